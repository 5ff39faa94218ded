"""How far off an estimate may be: the margin between *fits* and *tight*.

Fitted on the rows that may be tuned on (benchmarks/GPU.md): what is known well has a small
margin, and what is not known adds its own, so that *fits* is never said of it lightly.
"""

from __future__ import annotations

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.memory.choice import Choice
from carferry.gpu.memory.terms import Overhead
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.units import GIB
from carferry.gpu.vllm.releases import COPIED_BYTES, SORTED_BYTES, VllmVersion

_BASE_GIB = 0.5
_WEIGHTS, _PEAK = 0.02, 0.2
"""Shares of the weights, and of activations and graphs."""

_STATES = 0.3
"""Share of the states of all sequences, which no pool may be short of."""

_PER_DOUBLING_GIB = 0.15
"""Buffers of collectives, per doubling of the ranks."""

_UNMEASURED, _UNIFIED, _OTHER_VENDOR = 0.01, 0.1, 0.03
"""Shares of a GPU's memory: it comes from a label or data sheet; the host's memory is the GPU's
own, whose free part moves; the vendor has few published logs."""

_UNIFIED_GPUS = ("GB10", "GH200", "GB200", "GB300", "DGX-Spark", "Thor")


def margin(shape: ModelShape, choice: Choice, version: VllmVersion, overhead: Overhead) -> int:
    """Return the bytes by which the KV cache may be smaller than estimated, weights apart."""
    ranks = choice.ranks * choice.data_parallel
    peaks = _PEAK * (overhead.activation + overhead.graphs + overhead.adapters)
    parts = (
        _BASE_GIB * GIB,
        peaks,
        _PER_DOUBLING_GIB * GIB * (ranks.bit_length() - 1),
        _of_gpu(choice.gpu) * choice.gpu.memory_gib * GIB,
        _of_version(shape, choice, version),
    )
    return int(sum(parts))


def of_weights(weights: int) -> int:
    """Return the bytes by which weights may be larger than estimated."""
    return int(_WEIGHTS * weights)


def of_states(states: int) -> int:
    """Return the bytes by which the pool may miss the states of all sequences.

    Of eight logs that name the blocks, all had fewer than planned: 1 to 27 % fewer.
    """
    return int(_STATES * states)


def _of_gpu(gpu: Gpu) -> float:
    """Return the share of a GPU's memory that is not sure."""
    unified = gpu.capability == 121 or gpu.name.startswith(_UNIFIED_GPUS)
    parts = (
        0.0 if gpu.measured else _UNMEASURED,
        _UNIFIED if unified else 0.0,
        0.0 if gpu.vendor == "nvidia" else _OTHER_VENDOR,
    )
    return sum(parts)


def _of_version(shape: ModelShape, choice: Choice, version: VllmVersion) -> float:
    """Return what another sampler would take, if the release is not known itself."""
    if not version.is_guessed or shape.pooling:
        return 0.0
    rows = min(choice.max_num_seqs, choice.max_num_batched_tokens)
    return (SORTED_BYTES - COPIED_BYTES) * rows * shape.vocab
