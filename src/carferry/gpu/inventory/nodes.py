"""The GPUs a plan may choose from, as groups of nodes that are one option each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from carferry.cluster.tolerations import Toleration
from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.inventory.wanted import parse_gpus


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Nodes with the same GPU, the same number free and the same conditions.

    Attributes:
        gpu: What one of them is.
        free: GPUs free on each node (allocatable less requests), or allocatable if pods
            cannot be listed.
        total: GPUs on each node.
        nodes: How many such nodes.
        resource: Extended resource a pod asks for, any ``vendor/resource``.
        replicas: Pods a time-sliced device serves; 1 if it is not shared.
        tolerations: Taints to tolerate.
        disk_bytes: Ephemeral storage left on the emptiest node; None if unknown.
        warm: How many of the nodes already hold the image.
        profile: HardwareProfile or AcceleratorProfile that leads here; may be empty.
        example: Name of one of the nodes; empty for GPUs that were only named.
        absent: No such node is there now; the autoscaler must add one.
    """

    gpu: Gpu
    free: int
    total: int
    nodes: int = 1
    resource: str = "nvidia.com/gpu"
    replicas: int = 1
    tolerations: tuple[Toleration, ...] = ()
    disk_bytes: int | None = None
    warm: int = 0
    profile: str = ""
    example: str = ""
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Inventory:
    """Every option, where it comes from and what a reader should know about it.

    Attributes:
        source: ``nodes``, ``profiles`` or ``named`` (from ``--gpu``).
        allowances: Resource to how many of it the namespace's quotas still allow.
        per_pods: Resource to how many of it a LimitRange allows one pod.
        notes: What could not be seen or taken into account, a line each.
    """

    groups: tuple[NodeGroup, ...]
    source: str
    allowances: Mapping[str, int] = field(default_factory=dict)
    per_pods: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def named(text: str) -> Inventory:
    """Return the inventory behind ``--gpu "L40S x2"``: products and counts, no nodes.

    Raises:
        InputError: An unknown GPU, or a count that is not 1 to 64.
    """
    groups = tuple(
        NodeGroup(each.gpu, each.count, each.count, each.nodes, resource=each.gpu.resource)
        for each in parse_gpus(text)
    )
    return Inventory(groups, "named", notes=(f"planned for --gpu {text!r}, no node was looked at",))
