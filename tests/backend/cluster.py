"""A project of a cluster: its objects, claims as folders, and an API server whose Jobs run."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from servers.certs import Certificates
from servers.kube import KubeServer

from backend import container
from backend.container import Ended
from backend.graph import BackendError, Spec
from backend.jobs import follow_jobs
from backend.kubelet import ACCOUNT, Mount, Pod, Refused, check, claimed, write_files
from backend.rootfs import Rootfs

Files = Mapping[str, bytes]
NAMESPACE = "demo"
TERMINATION = "/dev/termination-log"


@dataclass
class Cluster:
    """One project.

    Attributes:
        folder: Everything it writes.
        image: The container that a step asks for to that image's files.
        kube: Its API server.
        secrets: Name to files.
        config_maps: Likewise.
        service_ca: What OpenShift signs its services' certificates with, its registry's too.
        claims: Name to folder.
        ended: Each pod's name to its container's termination message.
        started: Called with each pod when its container is about to start.
    """

    folder: Path
    image: Callable[[Spec], Rootfs]
    kube: KubeServer
    secrets: dict[str, Files] = field(default_factory=dict)
    config_maps: dict[str, dict[str, bytes]] = field(default_factory=dict)
    service_ca: bytes = b""
    claims: dict[str, Path] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    started: Callable[[Pod], None] = lambda pod: None

    def create_claim(self, values: Mapping[str, Any]) -> str:
        """Create a claim as the driver does for CreatePVC, and return its name.

        Raises:
            BackendError: An input is missing, or there is a claim of this name.
        """
        for needed in ("access_modes", "size"):
            if not values.get(needed):
                raise BackendError(f"failed to create pvc: parameter {needed} not provided")
        name = str(values.get("pvc_name") or "")
        if not name or name in self.claims:
            raise BackendError(f'failed to create pvc: persistentvolumeclaims "{name}" exists')
        self.claims[name] = claimed(self.folder / "claims" / name)
        return name

    def delete_claim(self, values: Mapping[str, Any]) -> None:
        """Delete a claim as the driver does for DeletePVC.

        Raises:
            BackendError: There is none of this name.
        """
        name = str(values.get("pvc_name") or "")
        if name not in self.claims:
            raise BackendError(f"failed to delete pvc {name}: cannot find pvc")
        shutil.rmtree(self.claims.pop(name))

    def starter(self, pod: Pod, spec: Spec) -> Callable[[Sequence[str], Mapping[str, Path]], Ended]:
        """Return what starts a pod with a command and its empty folders."""
        return partial(self.start, pod, spec)

    def start(
        self, pod: Pod, spec: Spec, command: Sequence[str], scratch: Mapping[str, Path]
    ) -> Ended:
        """Run a step's pod to its end.

        Args:
            pod: The pod.
            spec: Its container.
            command: The container's command, placeholders filled in.
            scratch: The pod's empty folders.

        Raises:
            Refused: Kubernetes would not start it.
        """
        check(pod)
        place = self.folder / "pods" / pod.name
        readable = {ACCOUNT: self._account(place)}
        readable |= {
            m.path: write_files(place / m.name, self._files(m))
            for m in pod.mounts
            if m.kind != "pvc"
        }
        claims = {m.path: self._claim(m) for m in pod.mounts if m.kind == "pvc"}
        last_word = place / "termination-log"
        last_word.touch(0o666)
        last_word.chmod(0o666)
        self._show(pod)
        self.started(pod)
        try:
            return container.run(
                self.image(spec),
                pod.name,
                command,
                env=dict(pod.env) | self._variables(pod),
                writable={**scratch, **claims, TERMINATION: last_word},
                readable=readable,
            )
        finally:
            self.ended[pod.name] = last_word.read_text()
            self.kube.store.delete("pods", pod.name)

    def _files(self, mount: Mount) -> Files:
        held = self.secrets if mount.kind == "secret" else self.config_maps
        if mount.name not in held and not mount.optional:
            problem = f'{mount.kind.lower()} "{mount.name}" not found'
            raise Refused(f'MountVolume.SetUp failed for volume "{mount.name}" : {problem}')
        return held.get(mount.name, {})

    def _claim(self, mount: Mount) -> Path:
        if mount.name not in self.claims:
            raise Refused(f'persistentvolumeclaim "{mount.name}" not found')
        return self.claims[mount.name]

    def _account(self, place: Path) -> Path:
        assert self.kube.certificates is not None
        files = {
            "token": b"of-the-pipeline-runner",
            "ca.crt": self.kube.certificates.ca.read_bytes(),
            "namespace": NAMESPACE.encode(),
        }
        files |= {"service-ca.crt": self.service_ca} if self.service_ca else {}
        return write_files(place / "account", files)

    def _variables(self, pod: Pod) -> dict[str, str]:
        host, _, port = self.kube.url.partition("://")[2].partition(":")
        return {
            "KFP_POD_NAME": pod.name,
            "KFP_POD_UID": pod.name,
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
        }

    def _show(self, pod: Pod) -> None:
        claims = [m.name for m in pod.mounts if m.kind == "pvc"]
        volumes = [{"name": c, "persistentVolumeClaim": {"claimName": c}} for c in claims]
        shown = {"kind": "Pod", "metadata": {"name": pod.name}, "status": {"phase": "Running"}}
        self.kube.store.put(shown | {"spec": {"nodeName": "worker-1", "volumes": volumes}})


@contextmanager
def cluster(folder: Path, image: Callable[[Spec], Rootfs]) -> Iterator[Cluster]:
    """Serve an empty project; its Jobs run with this machine's Buildah, by podman."""
    stop = threading.Event()
    certificates = Certificates.make(folder / "api")
    with KubeServer(namespaces={NAMESPACE}, certificates=certificates) as kube:
        made = Cluster(folder, image, kube)
        controller = threading.Thread(target=follow_jobs, args=(kube, made.claims, folder, stop))
        controller.start()
        try:
            yield made
        finally:
            stop.set()
            controller.join()
