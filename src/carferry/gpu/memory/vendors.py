"""What differs between the vendors of GPUs: contexts, communication buffers, graphs.

Sources: vLLM ``distributed/device_communicators`` (0.17 ``flashinfer_all_reduce.py``: sizes per
capability and ranks, four buffers each), ``v1/worker/gpu_worker.py``. The rest is fitted on
published logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from carferry.gpu.memory.choice import Choice
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.vllm.releases import VllmVersion


@dataclass(frozen=True, slots=True)
class Vendor:
    """GiB that a rank of one vendor's GPUs holds besides tensors.

    Attributes:
        context: Driver's context and libraries on one GPU.
        per_doubling: Buffers of collectives per doubling of the ranks.
        graphs: CUDA graphs, whatever their number.
        per_graph: One layer of one graph.
    """

    context: float
    per_doubling: float
    graphs: float
    per_graph: float


_NVIDIA = Vendor(0.12, 0.42, 0.3, 1.3e-4)
_VENDORS: Mapping[str, Vendor] = {
    "nvidia": _NVIDIA,
    "amd": Vendor(0.9, 0.6, 0.5, 3e-4),
    "habana": Vendor(0.9, 0.6, 0.3, 1.3e-4),
    "intel": Vendor(0.9, 0.6, 0.3, 1.3e-4),
}

_FUSED_MIB: Mapping[tuple[int, int], float] = {
    (90, 2): 64, (90, 4): 2, (90, 8): 0.5, (100, 2): 64, (100, 4): 32, (100, 8): 1,
}  # fmt: skip
"""(compute capability, ranks) to MiB of one fused all-reduce."""

_SWITCHED_GIB = 0.98
"""What ranks on Hopper and Blackwell hold besides from 0.17 on, however many they are; fitted on
the 0.19 logs of two and four H100."""

_FUSED_BUFFERS = 4
"""Buffers of that size from every rank: one to send, three to receive in turns."""


def vendor_of(name: str) -> Vendor:
    """Return a vendor by its name; one that is not known counts as NVIDIA."""
    return _VENDORS.get(name, _NVIDIA)


def non_torch(shape: ModelShape, choice: Choice, version: VllmVersion) -> float:
    """Return the GiB of a rank that torch does not hold."""
    vendor = vendor_of(choice.gpu.vendor)
    doublings = (choice.ranks * choice.data_parallel).bit_length() - 1
    fused = _fused(choice) if version.fused_reduce else 0.0
    more = version.more_context_gib if choice.gpu.capability >= 80 else 0.0
    return vendor.context + more + vendor.per_doubling * doublings + fused


def _fused(choice: Choice) -> float:
    """Return the GiB of what came with the fused all-reduce, its own buffers included."""
    capability = choice.gpu.capability // 10 * 10
    if choice.tp == 1 or capability not in (90, 100):
        return 0.0
    if choice.pp > 1 or choice.data_parallel > 1:
        return _SWITCHED_GIB
    size = _FUSED_MIB.get((capability, choice.tp), 0.0)
    return _SWITCHED_GIB + size * choice.tp * _FUSED_BUFFERS / 1024
