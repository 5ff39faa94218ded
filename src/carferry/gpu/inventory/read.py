"""The GPUs a cluster has free, read from its nodes, pods, quotas and limits.

Free means allocatable less the requests of pods that have not ended. What may not be read
is noted, never guessed: without nodes the plan falls back to profiles, or to
``--gpu``.

Sources: Kubernetes API reference (Node, Pod, ResourceQuota, LimitRange), GPU Feature
Discovery README (labels), NVIDIA device plugin (time slicing, MIG strategies), AMD device
plugin labeller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from carferry.cluster.quantity import Quantity
from carferry.cluster.tolerations import Toleration
from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import Gpu, find, mig_slice
from carferry.gpu.inventory.hardware_profiles import read_profiles
from carferry.gpu.inventory.listing import Json, List, cluster_or_projects, optional, permitted
from carferry.gpu.inventory.nodes import Inventory, NodeGroup
from carferry.gpu.inventory.pods import MIG, Use, is_gpu, used_by_node

_BLOCKING = ("NoSchedule", "NoExecute")
_ROUTINE = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
_PARTS = ("major", "minor")


def read_inventory(list_: List, *, namespace: str, image: str = "") -> Inventory:
    """Read every GPU option of a cluster, as far as the caller may see it.

    Args:
        list_: Lists a collection by its path.
        namespace: Where the model will be served; its quotas and limits count.
        image: Model image to look for on the nodes, ``host/repo:tag`` or with a digest.

    Raises:
        ClusterError: The API failed in another way than refusing or not knowing a path.
    """
    notes: list[str] = []
    nodes = permitted(
        list_, "/api/v1/nodes", notes, "no right to list nodes: free GPUs are not known"
    )
    groups = _node_groups(list_, nodes, image, notes) if nodes is not None else ()
    profiles = read_profiles(cluster_or_projects(list_, namespace, notes))
    source = "nodes"
    if nodes is None:
        groups, source = profiles.groups, "profiles"
        notes.extend(_profile_notes(bool(groups)))
    return Inventory(
        tuple(profiles.label(group) for group in groups),
        source,
        allowances=_allowances(list_, namespace, notes),
        per_pods=_per_pods(list_, namespace, notes),
        notes=tuple(notes),
    )


def _profile_notes(found: bool) -> Iterator[str]:
    if found:
        yield "planned from hardware profiles: whether their GPUs are free is not known"
    else:
        yield "no profile names a GPU: plan with --gpu 'L40S x2', or ask for get/list on nodes"


def _node_groups(
    list_: List, nodes: list[Json], image: str, notes: list[str]
) -> tuple[NodeGroup, ...]:
    refused = "no right to list pods: GPUs are allocatable, maybe not free"
    used = used_by_node(permitted(list_, "/api/v1/pods", notes, refused) or ())
    found = [group for node in nodes for group in _options(node, used, image, notes)]
    return _merged(found)


def _options(
    node: Json, used: Mapping[str, Use], image: str, notes: list[str]
) -> Iterator[NodeGroup]:
    """Yield an option per GPU resource of a node that can take pods."""
    name = str(node["metadata"]["name"])
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    offered = {key: int(Quantity.of(value)) for key, value in allocatable.items() if is_gpu(key)}
    if not any(offered.values()) or not _usable(node):
        return
    use = used.get(name, Use({}, 0))
    for resource, total in offered.items():
        if not total:
            continue
        gpu = _gpu(node, resource, notes)
        if gpu is None:
            continue
        yield NodeGroup(
            gpu=gpu,
            free=max(total - use.gpus.get(resource, 0), 0),
            total=total,
            resource=resource,
            replicas=_replicas(node, gpu),
            tolerations=_tolerations(node),
            disk_bytes=_disk(allocatable, use),
            warm=int(bool(image) and _holds(node, image)),
            example=name,
        )


def _gpu(node: Json, resource: str, notes: list[str]) -> Gpu | None:
    """Return the product a node's labels name; None, and a note, if they name none."""
    labels, name = node["metadata"].get("labels") or {}, node["metadata"]["name"]
    product = _product(labels, resource)
    if not product:
        notes.append(f"node {name}: {resource} without a product label; install GPU discovery")
        return None
    try:
        if resource.startswith(MIG):
            profile = resource.removeprefix(MIG)
            found = mig_slice(product, profile, _mib(labels, f"{resource}.memory"))
        else:
            found = find(product, label_mib=_memory(labels))
    except InputError as error:
        notes.append(f"node {name}: {error}")
        return None
    return replace(found, capability=found.capability or _capability(labels))


def _product(labels: Json, resource: str) -> str:
    """Return the product label; Gaudi has none, so the smaller generation is assumed."""
    if resource == "habana.ai/gaudi":
        return "Gaudi-2"
    return str(labels.get("nvidia.com/gpu.product") or labels.get("amd.com/gpu.product-name") or "")


def _memory(labels: Json) -> int | None:
    """Return the memory label, MiB: NVIDIA's in MiB, AMD's as a quantity such as 192G."""
    vram = str(labels.get("amd.com/gpu.vram") or "")
    if vram:
        return int(Quantity.of(vram)) >> 20
    return _mib(labels, "nvidia.com/gpu.memory")


def _capability(labels: Json) -> int:
    """Return the labelled compute capability times ten; 0 if there is none."""
    major, minor = (str(labels.get(f"nvidia.com/gpu.compute.{part}", "")) for part in _PARTS)
    return int(major) * 10 + int(minor) if major.isdecimal() and minor.isdecimal() else 0


def _mib(labels: Json, key: str) -> int | None:
    """Return a memory label, MiB; None if it is absent or no number."""
    value = str(labels.get(key, ""))
    return int(value) if value.isdecimal() else None


def _usable(node: Json) -> bool:
    """Return whether the scheduler would place a pod here at all."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = all(c.get("status") == "True" for c in conditions if c.get("type") == "Ready")
    return ready and not (node.get("spec") or {}).get("unschedulable")


def _replicas(node: Json, gpu: Gpu) -> int:
    if not gpu.shared:
        return 1
    value = str((node["metadata"].get("labels") or {}).get("nvidia.com/gpu.replicas", "1"))
    return max(int(value), 1) if value.isdecimal() else 1


def _tolerations(node: Json) -> tuple[Toleration, ...]:
    taints = (node.get("spec") or {}).get("taints") or ()
    return tuple(
        Toleration(
            key=str(taint["key"]), value=str(taint.get("value") or ""), effect=str(taint["effect"])
        )
        for taint in taints
        if taint.get("effect") in _BLOCKING and not str(taint["key"]).startswith(_ROUTINE)
    )


def _disk(allocatable: Json, use: Use) -> int | None:
    value = allocatable.get("ephemeral-storage")
    return None if value is None else int(Quantity.of(value)) - use.disk_bytes


def _holds(node: Json, image: str) -> bool:
    images = (node.get("status") or {}).get("images") or ()
    return any(image in (entry.get("names") or ()) for entry in images)


def _merged(found: Iterable[NodeGroup]) -> tuple[NodeGroup, ...]:
    """Join nodes that differ only in name, disk and cached image; the emptiest disk counts."""
    merged: dict[NodeGroup, NodeGroup] = {}
    for group in found:
        key = replace(group, disk_bytes=None, warm=0, example="")
        seen = merged.get(key)
        merged[key] = group if seen is None else _joined(seen, group)
    return tuple(merged.values())


def _joined(seen: NodeGroup, more: NodeGroup) -> NodeGroup:
    disks = [disk for disk in (seen.disk_bytes, more.disk_bytes) if disk is not None]
    return replace(
        seen,
        nodes=seen.nodes + 1,
        disk_bytes=min(disks, default=None),
        warm=seen.warm + more.warm,
    )


def _allowances(list_: List, namespace: str, notes: list[str]) -> dict[str, int]:
    """Return how many of each GPU resource the namespace's quotas still allow."""
    left: dict[str, int] = {}
    for quota in optional(list_, notes)(f"/api/v1/namespaces/{namespace}/resourcequotas"):
        status = quota.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        for key in hard:
            resource = str(key).removeprefix("requests.")
            if is_gpu(resource) and resource != key:
                free = int(Quantity.of(hard[key])) - int(Quantity.of(used.get(key, 0)))
                left[resource] = max(min(free, left.get(resource, free)), 0)
    return left


def _per_pods(list_: List, namespace: str, notes: list[str]) -> dict[str, int]:
    """Return how many of each GPU resource a LimitRange allows one container or pod."""
    most: dict[str, int] = {}
    for item in optional(list_, notes)(f"/api/v1/namespaces/{namespace}/limitranges"):
        for limit in (item.get("spec") or {}).get("limits") or ():
            for resource, amount in (limit.get("max") or {}).items():
                if is_gpu(resource):
                    count = int(Quantity.of(amount))
                    most[resource] = min(count, most.get(resource, count))
    return most
