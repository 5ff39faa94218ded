"""What running and waiting pods ask for, per node.

Source: Kubernetes resource model: containers and sidecars together, or the largest init
container if that is more; a limit without a request counts as the request.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from carferry.cluster.quantity import Quantity
from carferry.gpu.inventory.listing import Json
from carferry.gpu.inventory.resources import is_accelerator

_DISK = "ephemeral-storage"
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Use:
    """What the pods of one node have asked for."""

    gpus: Mapping[str, int]
    disk_bytes: int


def used_by_node(pods: Iterable[Json], also: frozenset[str] = frozenset()) -> dict[str, Use]:
    """Sum what pods that have not ended ask for, per node.

    Args:
        pods: Of every node.
        also: Resources that profiles call accelerators.
    """
    gpus: dict[str, Counter[str]] = defaultdict(Counter)
    disk: Counter[str] = Counter()
    for pod in pods:
        node = (pod.get("spec") or {}).get("nodeName")
        if not node or (pod.get("status") or {}).get("phase") in _ENDED:
            continue
        for name, amount in _pod_requests(pod["spec"]).items():
            if name == _DISK:
                disk[node] += int(amount)
            elif is_accelerator(name, also):
                gpus[node][name] += int(amount)
    return {node: Use(gpus[node], disk[node]) for node in {*gpus, *disk}}


def _pod_requests(spec: Json) -> dict[str, float]:
    """Return what a pod holds: containers and sidecars together, or its largest init container."""
    together: Counter[str] = Counter()
    largest: dict[str, float] = {}
    for container in spec.get("initContainers") or ():
        wants = _requests(container)
        if container.get("restartPolicy") == "Always":
            together.update(wants)
        for name, amount in wants.items():
            largest[name] = max(largest.get(name, 0), amount)
    for container in spec.get("containers") or ():
        together.update(_requests(container))
    return {name: max(together[name], largest.get(name, 0)) for name in {*together, *largest}}


def _requests(container: Json) -> dict[str, int]:
    """Return the requests of a container; a limit without a request counts as one."""
    resources = container.get("resources") or {}
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {
        name: int(Quantity.of(value))
        for name, value in wanted.items()
        if "/" in name or name == _DISK
    }
