"""The GPUs a cluster has free, read from its nodes, pods, quotas, limits and profiles.

Free means allocatable less the requests of pods that have not ended. What may not be read
is noted, never guessed: without nodes the plan falls back to profiles, or to
``--gpu``. A pool that is scaled to zero is there as its profile describes it.

Sources: Kubernetes API reference (Node, Pod), NVIDIA device plugin (time slicing, MPS, MIG
strategies), AMD device plugin (partitions).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from carferry.cluster.quantity import Quantity
from carferry.cluster.tolerations import Toleration
from carferry.errors import InputError
from carferry.gpu.inventory import labels as said
from carferry.gpu.inventory.catalogue import Gpu, find, made_by, mig_slice
from carferry.gpu.inventory.hardware_profiles import HardwareProfiles, read_profiles
from carferry.gpu.inventory.limits import allowances, per_pods
from carferry.gpu.inventory.listing import Json, List, cluster_or_projects, optional, permitted
from carferry.gpu.inventory.nodes import Inventory, NodeGroup
from carferry.gpu.inventory.pods import Use, used_by_node
from carferry.gpu.inventory.resources import (
    UNNAMED,
    amd_parts,
    is_accelerator,
    maker_of,
    mig_profile,
)

_BLOCKING = ("NoSchedule", "NoExecute")
_ROUTINE = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
_AMD_PARTITION = "amd.com/compute-memory-partition"


@dataclass(slots=True)
class _Seen:
    """What is known while nodes are read.

    Attributes:
        also: Resources that profiles call accelerators.
        unknown: What no label explains, to the nodes that have it.
    """

    image: str
    used: Mapping[str, Use]
    also: frozenset[str]
    unknown: dict[str, list[str]] = field(default_factory=dict)

    def notes(self) -> Iterator[str]:
        """Yield a line per kind of thing that no label explains."""
        for why, nodes in self.unknown.items():
            more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
            yield f"node {nodes[0]}{more}: {why}"


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
    profiles = read_profiles(cluster_or_projects(list_, namespace, notes))
    source = "profiles" if nodes is None else "nodes"
    groups = (
        _by_profiles(profiles, notes)
        if nodes is None
        else _by_nodes(list_, nodes, image, profiles, notes)
    )
    notes.extend(profiles.queues())
    lists = optional(list_, notes)
    place = f"/api/v1/namespaces/{namespace}"
    return Inventory(
        tuple(profiles.label(group) for group in groups),
        source,
        allowances=allowances(lists(f"{place}/resourcequotas"), profiles.resources),
        per_pods=per_pods(lists(f"{place}/limitranges"), profiles.resources),
        notes=tuple(dict.fromkeys(notes)),
    )


def _by_profiles(profiles: HardwareProfiles, notes: list[str]) -> tuple[NodeGroup, ...]:
    found = profiles.groups
    if found:
        notes.append("planned from hardware profiles: whether their GPUs are free is not known")
    else:
        way = "plan with --gpu 'L40S x2', or ask for get/list on nodes"
        notes.append(f"no profile names a GPU: {way}")
    return found


def _by_nodes(
    list_: List, nodes: list[Json], image: str, profiles: HardwareProfiles, notes: list[str]
) -> tuple[NodeGroup, ...]:
    refused = "no right to list pods: GPUs are allocatable, maybe not free"
    also = profiles.resources
    used = used_by_node(permitted(list_, "/api/v1/pods", notes, refused) or (), also)
    seen = _Seen(image, used, also)
    found = _merged(group for node in nodes for group in _options(node, seen))
    notes.extend(seen.notes())
    absent = profiles.absent(found)
    notes.extend(
        f"no node has {group.gpu.name} now: planned from hardware profile {group.profile}, "
        "the autoscaler must add a node"
        for group in absent
    )
    return (*found, *absent)


def _options(node: Json, seen: _Seen) -> Iterator[NodeGroup]:
    """Yield an option per accelerator resource of a node that can take pods."""
    name = str(node["metadata"]["name"])
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    offered = {
        key: int(Quantity.of(value))
        for key, value in allocatable.items()
        if is_accelerator(key, seen.also)
    }
    if not any(offered.values()) or not _usable(node):
        return
    use = seen.used.get(name, Use({}, 0))
    for resource, total in offered.items():
        gpu = _gpu(node, resource, seen) if total else None
        if gpu is None:
            continue
        yield NodeGroup(
            gpu=gpu,
            free=max(total - use.gpus.get(resource, 0), 0),
            total=total,
            resource=resource,
            replicas=said.replicas_of(_labels(node), resource) if gpu.shared else 1,
            tolerations=_tolerations(node),
            disk_bytes=_disk(allocatable, use),
            warm=int(bool(seen.image) and _holds(node, seen.image)),
            example=name,
        )


def _labels(node: Json) -> Json:
    labels: Json = node["metadata"].get("labels") or {}
    return labels


def _gpu(node: Json, resource: str, seen: _Seen) -> Gpu | None:
    """Return the product a node's labels name; None, and a note, if they name none."""
    labels, name = _labels(node), str(node["metadata"]["name"])
    product = said.product_of(labels, resource) or UNNAMED.get(resource, "")
    label = said.memory_of(labels, resource)
    try:
        found = _product(product, label, resource)
    except InputError as error:
        seen.unknown.setdefault(str(error), []).append(name)
        return None
    if found is None:
        why = f"{resource} without a product label; install GPU discovery"
        seen.unknown.setdefault(why, []).append(name)
        return None
    found = _cut(made_by(found, maker_of(resource), resource), resource, labels)
    found = replace(found, capability=found.capability or said.capability_of(labels))
    if found.shared or not said.is_sharing(labels, resource):
        return found
    return replace(found, name=f"{found.name}-SHARED", shared=True)


def _product(name: str, label_mib: int | None, resource: str) -> Gpu | None:
    if profile := mig_profile(resource):
        return mig_slice(name, profile, label_mib)
    return find(name, label_mib=label_mib) if name else None


def _cut(gpu: Gpu, resource: str, labels: Json) -> Gpu:
    """Return one device of a partitioned AMD GPU: its share of the memory."""
    if gpu.vendor != "amd":
        return gpu
    named = resource.partition("/")[2]
    mode = named if named != "gpu" else str(labels.get(_AMD_PARTITION) or "")
    parts = amd_parts(mode)
    if parts == 1:
        return gpu
    return replace(
        gpu,
        name=f"{gpu.name}-{mode.lower().partition('_')[0].upper()}",
        memory_gib=round(gpu.memory_gib / parts, 2),
        cost=round(gpu.cost / parts, 3),
        measured=False,
        slices=True,
        plugin=resource,
    )


def _usable(node: Json) -> bool:
    """Return whether the scheduler would place a pod here at all."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = all(c.get("status") == "True" for c in conditions if c.get("type") == "Ready")
    return ready and not (node.get("spec") or {}).get("unschedulable")


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
