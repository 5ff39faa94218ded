"""Which nodes a deployment could come to run on, and which of them hold its image already.

Sources: Kubernetes, taints and tolerations (a toleration with an empty key matches all keys);
kubelet, node status (at most 50 images are listed, largest first).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from carferry.cluster.kinds import Object
from carferry.cluster.quantity import Quantity
from carferry.cluster.tolerations import Toleration
from carferry.refs import ImageRef

GPU, ALL = "gpu", "all"
_BINDING = ("NoSchedule", "NoExecute")
_CORDONED = "node.kubernetes.io/unschedulable"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment may run.

    Attributes:
        gpu_resource: That its pods ask for; empty if none.
        gpu_count: Of it, per pod.
        node_selector: Labels that its nodes have.
        tolerations: Of its pods.
    """

    gpu_resource: str = ""
    gpu_count: int = 1
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Toleration, ...] = ()

    def against(self, node: Object) -> str:
        """Return why no pod of the deployment can run on a node; empty if one can."""
        spec, status = node.get("spec") or {}, node.get("status") or {}
        labels = node["metadata"].get("labels") or {}
        if not _is_ready(status):
            return "not ready"
        if spec.get("unschedulable"):
            return "cordoned"
        for key, value in self.node_selector:
            if labels.get(key) != value:
                return f"not labelled {key}={value}"
        for taint in spec.get("taints") or []:
            if taint.get("effect") in _BINDING and not self._bears(taint):
                return f"tainted {_shown(taint)}"
        have = (status.get("allocatable") or {}).get(self.gpu_resource, 0)
        if self.gpu_resource and int(Quantity.of(have)) < max(1, self.gpu_count):
            return f"without {max(1, self.gpu_count)} {self.gpu_resource}"
        return ""

    def _bears(self, taint: Object) -> bool:
        return taint.get("key") == _CORDONED or any(
            tolerates(each, taint) for each in self.tolerations
        )


@dataclass(frozen=True, slots=True)
class Chosen:
    """The nodes to warm.

    Attributes:
        cold: Names of those that do not say they hold the image.
        warm: Names of those that do.
        left: Why others do not come into question, and how many.
    """

    cold: tuple[str, ...]
    warm: tuple[str, ...]
    left: tuple[tuple[str, int], ...]

    @property
    def reasons(self) -> str:
        """Why others do not, in words."""
        return ", ".join(f"{count} {reason}" for reason, count in self.left)


def choose(nodes: Iterable[Object], image: ImageRef, place: Place) -> Chosen:
    """Divide nodes into cold ones, warm ones and those that do not fit."""
    cold, warm, left = [], [], Counter[str]()
    for node in nodes:
        name = node["metadata"]["name"]
        if reason := place.against(node):
            left[reason] += 1
        elif holds(node, image):
            warm.append(name)
        else:
            cold.append(name)
    return Chosen(tuple(sorted(cold)), tuple(sorted(warm)), tuple(left.most_common()))


def holds(node: Object, image: ImageRef) -> bool:
    """Return whether a node says that it holds an image, by its digest."""
    wanted = f"{image.name}@{image.digest}"
    images = (node.get("status") or {}).get("images") or []
    return any(wanted in (each.get("names") or []) for each in images)


def tolerates(toleration: Toleration, taint: Object) -> bool:
    """Return whether a toleration lets a pod onto a node with this taint."""
    if toleration.effect not in ("", taint.get("effect")):
        return False
    if toleration.key not in ("", taint.get("key")):
        return False
    return toleration.operator == "Exists" or toleration.value == (taint.get("value") or "")


def _is_ready(status: Object) -> bool:
    conditions = status.get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _shown(taint: Object) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"
