"""A project of a real cluster, in the place of `backend.cluster.Cluster`: each step is a pod.

The pods are what Pod Security's level ``restricted`` admits, which is also what OpenShift makes of
a step: a random user, no capability, no way to more, a read-only root. Their empty folders, which
the launcher reads and writes here, are parts of one claim whose volume is a folder of this machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from backend.container import Ended
from backend.graph import Spec
from backend.kubelet import USER, Mount, Pod, claimed

from cluster.rig.node import Node
from cluster.runner import RUNNER, claim_folder

Object = dict[str, Any]
_SCRATCH = "of-the-launcher"
_PATIENCE_S = 120.0
_CONFINED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
_USER = {
    "runAsUser": USER,
    "runAsGroup": 0,
    "runAsNonRoot": True,
    "supplementalGroups": [USER],
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass
class PodProject:
    """One namespace.

    Attributes:
        node: The node.
        namespace: Whose account and rights are there already.
        folder: Everything that is written on this machine.
        image: The container that a step asks for to an image in the node's registry.
        ended: Each pod's name to its container's termination message.
    """

    node: Node
    namespace: str
    folder: Path
    image: Callable[[Spec], str]
    ended: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the claim of the pods' empty folders."""
        (self.folder / "scratch").mkdir(parents=True)
        claim_folder(self.node, self.namespace, _SCRATCH, self.folder / "scratch")

    def create_claim(self, values: Mapping[str, Any]) -> str:
        """Create a claim as the driver does for CreatePVC, and return its name."""
        name = str(values["pvc_name"])
        folder = claimed(self.folder / "claims" / name)
        claim_folder(self.node, self.namespace, name, folder)
        return name

    def delete_claim(self, values: Mapping[str, Any]) -> None:
        """Delete a claim as the driver does for DeletePVC."""
        where = ("-n", self.namespace, "--wait=false")
        self.node.kubectl("delete", *where, "persistentvolumeclaim", str(values["pvc_name"]))

    def starter(self, pod: Pod, spec: Spec) -> Callable[[Sequence[str], Mapping[str, Path]], Ended]:
        """Return what starts a pod with a command and its empty folders."""
        return partial(self.start, pod, spec)

    def start(
        self, pod: Pod, spec: Spec, command: Sequence[str], scratch: Mapping[str, Path]
    ) -> Ended:
        """Run a step's pod to its end."""
        made = self._pod(pod, self.image(spec), command, scratch)
        self.node.kubectl("create", "-f", "-", stdin=json.dumps(made))
        try:
            state = self._await(pod.name)
            self.ended[pod.name] = state.get("message", "")
            said = self.node.kubectl("logs", "-n", self.namespace, pod.name)
            return Ended(int(state["exitCode"]), said)
        finally:
            self.node.kubectl("delete", "-n", self.namespace, "pod", pod.name, "--wait=false")

    def _pod(
        self, pod: Pod, image: str, command: Sequence[str], scratch: Mapping[str, Path]
    ) -> Object:
        root = self.folder / "scratch"
        empty = [
            {"name": _SCRATCH, "mountPath": path, "subPath": str(here.relative_to(root))}
            for path, here in scratch.items()
        ]
        given = dict(pod.env) | {"KFP_POD_NAME": pod.name, "KFP_POD_UID": pod.name}
        container = {
            "name": "main",
            "image": image,
            "command": list(command),
            "env": [{"name": name, "value": value} for name, value in given.items()],
            "volumeMounts": [*empty, *({"name": m.name, "mountPath": m.path} for m in pod.mounts)],
            "securityContext": _CONFINED,
        }
        claim = {"name": _SCRATCH, "persistentVolumeClaim": {"claimName": _SCRATCH}}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod.name, "namespace": self.namespace},
            "spec": {
                "serviceAccountName": RUNNER,
                "restartPolicy": "Never",
                "securityContext": _USER,
                "containers": [container],
                "volumes": [claim, *(_volume(mount) for mount in pod.mounts)],
            },
        }

    def _await(self, name: str) -> Object:
        """Return how a pod's container ended."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            status = self.node.get("-n", self.namespace, "pod", name)["status"]
            for each in status.get("containerStatuses", []):
                if "terminated" in each["state"]:
                    return dict(each["state"]["terminated"])
            time.sleep(0.3)
        raise TimeoutError(f"pod {name} does not end: {json.dumps(status)}")


def _volume(mount: Mount) -> Object:
    if mount.kind == "pvc":
        return {"name": mount.name, "persistentVolumeClaim": {"claimName": mount.name}}
    key = "secretName" if mount.kind == "secret" else "name"
    kind = "secret" if mount.kind == "secret" else "configMap"
    return {"name": mount.name, kind: {key: mount.name, "optional": mount.optional}}
