"""Nodes that exist in the API alone, shaped as the GPU operators shape theirs.

The scheduler and carferry's plan see them as any node; no kubelet stands behind one, so what is
bound there stays pending, and after 50 s without a heartbeat it is not Ready any more.

Sources: NVIDIA/k8s-device-plugin, docs/gpu-feature-discovery/README.md (labels, in MiB) and its MIG
strategies; ROCm/k8s-device-plugin, docs/user-guide/resource-allocation.md and cmd/k8s-node-labeller
(labels); product names as nvidia-smi and the labellers write them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cluster.rig.node import Node

_NVIDIA, _AMD = "nvidia.com/gpu", "amd.com/gpu"
_READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "made by a test"}


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of node.

    Attributes:
        name: Of the node.
        offers: Extended resources and how many of each.
        labels: As GPU discovery writes them.
        taint: Key of its taint, effect NoSchedule.
    """

    name: str
    offers: Mapping[str, int]
    labels: Mapping[str, str] = field(default_factory=dict)
    taint: str = _NVIDIA


def nvidia(name: str, product: str, count: int, mib: int, compute: str, **more: str) -> Shape:
    """Return a node with whole NVIDIA GPUs."""
    major, _, minor = compute.partition(".")
    labels = {
        "gpu.product": product, "gpu.memory": str(mib), "gpu.count": str(count),
        "gpu.compute.major": major, "gpu.compute.minor": minor, "gpu.present": "true",
    }  # fmt: skip
    full = {f"nvidia.com/{key}": value for key, value in (labels | more).items()}
    return Shape(name, {_NVIDIA: count}, full)


_MIG = {
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
    "nvidia.com/gpu.memory": "81920",
    "nvidia.com/gpu.count": "8",
    "nvidia.com/mig.strategy": "mixed",
    "nvidia.com/mig-1g.10gb.count": "4",
    "nvidia.com/mig-1g.10gb.memory": "9728",
    "nvidia.com/mig-3g.40gb.count": "2",
    "nvidia.com/mig-3g.40gb.memory": "40192",
}
FLEET = (
    nvidia("shape-t4", "Tesla-T4", 1, 15360, "7.5"),
    nvidia("shape-l40s", "NVIDIA-L40S", 1, 46068, "8.9"),
    nvidia("shape-a100", "NVIDIA-A100-SXM4-80GB", 2, 81920, "8.0"),
    nvidia("shape-h100", "NVIDIA-H100-80GB-HBM3", 8, 81559, "9.0"),
    Shape("shape-mig", {"nvidia.com/mig-1g.10gb": 4, "nvidia.com/mig-3g.40gb": 2}, _MIG),
    Shape(
        "shape-mi300x",
        {_AMD: 8},
        {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM", "amd.com/gpu.vram": "192G"},
        _AMD,
    ),
)


@contextmanager
def standing(node: Node, shapes: tuple[Shape, ...] = FLEET) -> Iterator[None]:
    """Let nodes of these shapes be in the API until the block ends."""
    names = [shape.name for shape in shapes]
    try:
        node.apply(*map(_object, shapes))
        for shape in shapes:
            _report(node, shape)
        yield
    finally:
        node.kubectl("delete", "node", "--ignore-not-found", "--wait=false", *names)


def _object(shape: Shape) -> dict[str, Any]:
    taint = {"key": shape.taint, "value": "present", "effect": "NoSchedule"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": shape.name, "labels": dict(shape.labels)},
        "spec": {"taints": [taint]},
    }


def _report(node: Node, shape: Shape) -> None:
    """Write the status that a kubelet and its device plugins would."""
    amounts = {"cpu": "64", "memory": "512Gi", "ephemeral-storage": "500Gi", "pods": "110"}
    amounts |= {resource: str(count) for resource, count in shape.offers.items()}
    status = {"capacity": amounts, "allocatable": amounts, "conditions": [_READY]}
    words = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    node.kubectl("patch", "node", shape.name, *words)
