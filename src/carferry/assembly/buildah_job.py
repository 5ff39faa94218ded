"""Buildah in a Job of its own: a pipeline's step has every capability dropped, this pod has two.

The step and the Job mount one volume at the same path, so the commands are the same as on a
laptop. The Job speaks to no registry and to no API: files in, OCI layout out.

Sources: openshift/cluster-kube-apiserver-operator, SCC nested-container; containers/image_build,
buildah/Containerfile; Kubernetes documentation, Jobs and User Namespaces.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carferry.assembly.buildah import ACCOUNT, IMAGE, Recipe, Security
from carferry.cluster.api import Api
from carferry.cluster.jobs import run_job
from carferry.cluster.kinds import JOBS, KINDS, Object
from carferry.cluster.watch.clock import Clock
from carferry.errors import InputError

DEADLINE_S = 4 * 3600
SCC_SETFCAP = "carferry-buildah"
"""SecurityContextConstraints of ours, in manifests/buildah-setfcap/."""

_KEEP_S = 3600  # seconds a Job outlives its end, should its maker not come back to delete it
_SCRATCH = "/scratch"
_LONGEST = 120 * 1024  # bytes of script; Linux ends one argument at 128 KiB (MAX_ARG_STRLEN)
_LABELS = {"app.kubernetes.io/managed-by": "carferry", "app.kubernetes.io/component": "buildah"}
_RESOURCES = {
    "requests": {"cpu": "250m", "memory": "1Gi"},
    "limits": {"cpu": "4", "memory": "8Gi"},
}
_UNCONFINED = {"type": "Unconfined"}  # runtimes' own profiles refuse unshare(CLONE_NEWUSER)


@dataclass(frozen=True, slots=True)
class JobBuildah:
    """Runs Buildah in a Job beside this step.

    Attributes:
        api: The connection, as the step's account.
        claim: Name of the claim that this step has mounted.
        folder: Where the claim is mounted: model and scratch space must be inside.
        image: Holds ``buildah``, ``sh``, ``mkdir`` and ``chmod``.
        account: ServiceAccount of the Job's pod.
        security: How the pod is privileged.
        deadline_s: Seconds for all layers together.
        clock: Time; None is the machine's.
    """

    api: Api
    claim: str
    folder: Path
    image: str = IMAGE
    account: str = ACCOUNT
    security: Security = Security.USERNS
    deadline_s: int = DEADLINE_S
    clock: Clock | None = None

    @contextmanager
    def scratch(self, workdir: Path | None) -> Iterator[Path]:
        """Lend the same folder of the volume to every try, so that every try makes the same Job.

        Raises:
            InputError: ``workdir`` is not on the volume.
        """
        folder = (workdir or self.folder) / "carferry-buildah"
        self._check(folder)
        if not folder.is_dir():  # an earlier try's is open already, and may be another user's
            folder.mkdir(parents=True)
            # Another account writes here: what the two pods have in common is this volume alone.
            folder.chmod(0o777)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def run(self, recipes: Sequence[Recipe]) -> None:
        """Follow all recipes in one Job.

        Raises:
            InputError: A path that the Job would not see.
            ToolFailed: Buildah or its pod failed.
            DeadlineExceeded: Not done in time.
            ClusterError: The API refused, as without a permission.
        """
        for recipe in recipes:
            self._check(recipe.folder)
            self._check(recipe.image.path)
        made = job(
            recipes,
            namespace=self.api.namespace,
            claim=self.claim,
            mount_path=self.folder,
            image=self.image,
            service_account=self.account,
            security=self.security,
            deadline_s=self.deadline_s,
            node=_node_of(self.api, self.claim),
        )
        run_job(self.api, made, deadline_s=self.deadline_s, clock=self.clock)

    def _check(self, path: Path) -> None:
        if not path.is_relative_to(self.folder):
            reason = f"not on the volume that the Buildah Job sees, {self.folder}"
            raise InputError("use folder", path, reason, "put model and scratch space on it")


def job(
    recipes: Sequence[Recipe],
    *,
    namespace: str,
    claim: str,
    mount_path: Path,
    image: str = IMAGE,
    service_account: str = ACCOUNT,
    security: Security = Security.USERNS,
    deadline_s: int = DEADLINE_S,
    node: str = "",
) -> Object:
    """Return a batch/v1 Job that follows the recipes; its name is made from all it does.

    Args:
        recipes: What to do.
        namespace: Where the claim is.
        claim: PersistentVolumeClaim with the files and room for the layers.
        mount_path: Where the recipes expect it.
        image: Holds ``buildah``, ``sh``, ``mkdir`` and ``chmod``.
        service_account: Allowed to use the SCC that ``security`` asks for.
        security: How the pod is privileged.
        deadline_s: Seconds after which the cluster stops it.
        node: Where the pod must run, since a ReadWriteOnce volume is on one node; empty: any.
            Not part of the name.

    Raises:
        InputError: More commands than one argument can hold.
    """
    container = {
        "name": "buildah",
        "image": image,
        "command": ["sh", "-ec", script(recipes)],
        "env": [{"name": name, "value": value} for name, value in environment(_SCRATCH).items()],
        "resources": _RESOURCES,
        "securityContext": _container_security(security),
        "volumeMounts": [
            {"name": "data", "mountPath": str(mount_path)},
            {"name": "scratch", "mountPath": _SCRATCH},
        ],
    }
    pod = {
        **_pod_security(security),
        "serviceAccountName": service_account,
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": claim}},
            {"name": "scratch", "emptyDir": {}},
        ],
    }
    name = f"carferry-buildah-{_fingerprint(pod)}"
    return _job(name, namespace, pod | _pinned(node), security, deadline_s)


def script(recipes: Sequence[Recipe]) -> str:
    """Return the recipes as one POSIX shell script for ``sh -e``; $STORAGE is Buildah's.

    Raises:
        InputError: More than one argument can hold.
    """
    lines = [
        # Buildah wants one of its own; a volume's folder belongs to root.
        'mkdir -p -m 0700 "$XDG_RUNTIME_DIR"',
        "umask 0",
        'buildah() { command buildah --root "$STORAGE/root" --runroot "$STORAGE/run" "$@"; }',
    ]
    for recipe in recipes:
        lines.append(shlex.join(["echo", f"pack {recipe.layer}"]))
        lines += [shlex.join(command) for command in (*recipe.work, recipe.clean_up)]
    # Blobs come out 0644 whatever the umask; the step may link only what it could write.
    folders = sorted({str(recipe.image.path) for recipe in recipes})
    lines += [shlex.join(["chmod", "-R", "a+rwX", folder]) for folder in folders]
    text = "\n".join([*lines, ""])
    if len(text.encode()) > _LONGEST:
        reason = f"{len(text.encode())} bytes of commands, at most {_LONGEST}"
        raise InputError("make job", "buildah", reason, "use --engine stream")
    return text


def environment(scratch: str) -> dict[str, str]:
    """Return the variables the script needs, all of Buildah's writing sent to one folder.

    No overlay: that wants a device or a privilege more, and layers are not stacked anyway.
    """
    folders = {"STORAGE": scratch, "TMPDIR": scratch, "HOME": scratch}
    runtime = {"XDG_RUNTIME_DIR": f"{scratch}/runtime"}
    return {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot", **folders, **runtime}


def _job(name: str, namespace: str, pod: Object, security: Security, deadline_s: int) -> Object:
    scc = "nested-container" if security is Security.USERNS else SCC_SETFCAP
    # A mesh's sidecar would outlive Buildah, and the Job would never be complete.
    annotations = {"openshift.io/required-scc": scc, "sidecar.istio.io/inject": "false"}
    return {
        "apiVersion": JOBS.api_version,
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(_LABELS)},
        "spec": {
            "backoffLimit": 0,  # the pipeline's step is what is tried again
            "activeDeadlineSeconds": deadline_s,
            "ttlSecondsAfterFinished": _KEEP_S,
            "template": {
                "metadata": {"labels": dict(_LABELS), "annotations": annotations},
                "spec": pod,
            },
        },
    }


def _pod_security(security: Security) -> Object:
    # Group 0 owns what it writes, as the group of OpenShift's random users.
    if security is Security.USERNS:
        user = {"runAsUser": 1000, "runAsNonRoot": True}  # "build" in the image, with subuids
        return {
            "hostUsers": False,
            "securityContext": user | {"fsGroup": 0, "seccompProfile": _UNCONFINED},
        }
    return {"securityContext": {"runAsUser": 0, "fsGroup": 0, "seccompProfile": _UNCONFINED}}


def _container_security(security: Security) -> Object:
    # Escalation: newuidmap is a program with capabilities of its own.
    if security is Security.USERNS:
        capabilities = {"drop": ["ALL"], "add": ["SETUID", "SETGID"]}
        return {
            "allowPrivilegeEscalation": True,
            "procMount": "Unmasked",
            "capabilities": capabilities,
        }
    return {"allowPrivilegeEscalation": True, "capabilities": {"add": ["SETFCAP"]}}


def _pinned(node: str) -> Object:
    if not node:
        return {}
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": required}}


def _fingerprint(pod: Any) -> str:
    return hashlib.sha256(json.dumps(pod, sort_keys=True).encode()).hexdigest()[:12]


def _node_of(api: Api, claim: str) -> str:
    """Return the node that the claim is mounted on, which is this step's; empty if none."""
    for pod in api.list(KINDS["Pod"], api.namespace):
        claims = [
            (volume.get("persistentVolumeClaim") or {}).get("claimName")
            for volume in pod["spec"].get("volumes") or []
        ]
        if claim in claims and (pod.get("status") or {}).get("phase") == "Running":
            return str(pod["spec"].get("nodeName", ""))
    return ""
