"""The arithmetic of one choice: what every GPU holds, and whether a request still fits.

    requested = ceil(total x utilization)
    kv        = requested - weights - non-torch - activation - graphs (from vLLM 0.20)
    fits      when kv holds one request of max_model_len with a margin for our own error

Source: vLLM 0.33 ``v1/worker/gpu_worker.py`` (determine_available_memory) and
``v1/core/kv_cache_planning.py`` (one request must fit, plus the null block).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.loaded.weights import weights_per_gpu
from carferry.gpu.memory.choice import Choice, requests
from carferry.gpu.memory.drafts import draft_bytes
from carferry.gpu.memory.kv import Cache, cache
from carferry.gpu.memory.margin import margin, of_states, of_weights
from carferry.gpu.memory.overhead import doubted_bytes, late_bytes, overhead_of
from carferry.gpu.memory.terms import Overhead
from carferry.gpu.packing.online import online
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.sizing.limits import own_kv_dtype, resolve_dtype
from carferry.gpu.sizing.starts import least_batch
from carferry.gpu.units import GIB
from carferry.gpu.vllm.version import LATEST, VllmVersion, find_version
from carferry.weights.safetensors import Tensor

__all__ = [
    "Choice",
    "Estimate",
    "Model",
    "Verdict",
    "cache_of",
    "default_choice",
    "estimate",
    "loaded_shape",
    "requests",
]

_CONTEXT, _SURE_CONTEXT = GIB // 4, 6 * GIB // 10
"""What the driver's context takes before vLLM asks what is free: surely, and at most."""

_BROKEN = 0.2
"""Share of the activations that the pieces may not hold again: as sure as the activations are."""

_ENGINES = 23 * GIB // 10
"""What several engines take beside vLLM's share: 1.9 GiB of an L4 in a log of four that started,
and 0.4 that the sampler of one of two still wanted when it ran out of memory (vLLM 0.29)."""


class Verdict(Enum):
    """Whether a choice starts: surely, within our error, not known, or not."""

    FITS = "fits"
    TIGHT = "tight"
    UNCHECKED = "unchecked"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Model:
    """What is planned for.

    Attributes:
        shape: From its config.
        tensors: From the headers of its weights, if they were read.
        subject: Its name.
        arguments: What vLLM must be told to load it, wherever it runs.
        notes: What a reader should know of it, a line each.
    """

    shape: ModelShape
    tensors: Sequence[Tensor] = field(default=(), repr=False)
    subject: str = "model"
    arguments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """The memory of the fullest GPU under a choice, in bytes unless named otherwise.

    Attributes:
        requested: vLLM's share of the GPU.
        kv: What is left for the KV cache; negative if nothing is.
        needed: KV cache for the requests that must fit at once, and the null block; or for the
            states of all sequences, if those take more.
        band: Margin for our own error, from the published rows.
        tokens: Token count vLLM would log.
        concurrency: Requests of max_model_len at once.
        most_seqs: Most sequences vLLM starts with, if each holds a state; None if any number.
        doubted: What may be taken less than estimated, so that nothing is refused for it.
        late: What is taken after the KV cache was sized, and not profiled.
        by_states: Whether ``needed`` is for the states of all sequences, not for requests.
        is_weighed: Whether the weights are known, from headers or a whole config.
        is_sized: Whether all the rest is: cache, context, activations. If not, only the weights
            may be told.
    """

    choice: Choice
    requested: int
    weights: int
    overhead: Overhead
    graphs_budgeted: bool
    kv: int
    needed: int
    band: int
    tokens: int
    concurrency: float
    verdict: Verdict
    binding: str
    most_seqs: int | None = None
    late: int = 0
    doubted: int = 0
    by_states: bool = False
    is_weighed: bool = True
    is_sized: bool = True

    @property
    def total(self) -> int:
        """Memory of the GPU as torch sees it."""
        return int(self.choice.gpu.memory_gib * GIB)

    @property
    def shortfall(self) -> int:
        """Bytes missing, of the cache or for the driver's context; 0 if it fits."""
        outside = _CONTEXT - _outside(self) if self.verdict is Verdict.NO else 0
        return max(self.needed - self.kv, outside, 0)

    @property
    def holds(self) -> str:
        """What ``needed`` is for, in words."""
        several = f"states of {self.choice.max_num_seqs} sequences"
        return several if self.by_states else requests(self.choice)


def estimate(
    model: Model,
    choice: Choice,
    version: VllmVersion | None = None,
    weights: int | None = None,
) -> Estimate:
    """Work out one choice; pure arithmetic, no constraint is checked here.

    Args:
        model: What is planned for.
        choice: How it would run.
        version: The vLLM that serves; the newest if not given.
        weights: Bytes on the fullest GPU, if they are known: most of the work.
    """
    version = version or find_version(LATEST)
    shape = loaded_shape(model.shape, choice.quantization)
    requested = math.ceil(choice.gpu.memory_gib * GIB * choice.utilization)
    weights = weights_of(model, choice, version) if weights is None else weights
    overhead = _overhead(shape, choice, version)
    pool = cache_of(shape, choice, version)
    kv = requested - weights - overhead.budgeted()
    states = _has_states(pool, choice, version)
    asked, held = _blocks_asked(pool, choice), choice.max_num_seqs if states else 0
    work = Estimate(
        choice=choice,
        requested=requested,
        weights=weights,
        overhead=overhead,
        graphs_budgeted=overhead.reserved,
        kv=kv,
        needed=max(asked, held) * pool.bytes_per_block,
        band=_band(shape, choice, version, overhead, pool if states else None)
        + of_weights(weights),
        tokens=pool.tokens(kv, choice.max_model_len),
        concurrency=pool.concurrency(kv, choice.max_model_len),
        verdict=Verdict.NO,
        binding="",
        most_seqs=pool.blocks(kv) if states else None,
        late=late_bytes(shape, choice, version, overhead),
        doubted=doubted_bytes(shape, choice, version),
        by_states=held > asked,
    )
    return _with_verdict(work)


def cache_of(shape: ModelShape, choice: Choice, version: VllmVersion) -> Cache:
    """Return the KV cache layout of a choice."""
    return cache(shape, choice, version)


def loaded_shape(shape: ModelShape, quantization: str) -> ModelShape:
    """Return the shape as it is after vLLM quantized the weights while loading."""
    return replace(shape, quantization=online(quantization)) if quantization else shape


def default_choice(shape: ModelShape, gpu: Gpu, version: VllmVersion) -> Choice:
    """Return what vLLM's server would do on a GPU without any argument."""
    batched, seqs = version.batching(gpu)
    batched = max(batched, least_batch(shape, shape.positions, version))
    return Choice(
        gpu=gpu,
        dtype=resolve_dtype(shape, gpu),
        kv_dtype=own_kv_dtype(shape, version),
        max_num_seqs=seqs,
        max_num_batched_tokens=batched,
        max_model_len=shape.positions,
        utilization=version.utilization,
    )


def weights_of(model: Model, choice: Choice, version: VllmVersion) -> int:
    """Return the weights as loaded; headers say nothing of weights that vLLM quantizes itself."""
    shape = loaded_shape(model.shape, choice.quantization)
    stored = weights_per_gpu(
        shape,
        choice.gpu,
        tp=choice.tp,
        pp=choice.pp,
        dtype=choice.dtype,
        tensors=() if choice.quantization else model.tensors,
        version=version,
        batched_tokens=choice.max_num_batched_tokens,
        expert_parallel=choice.expert_parallel,
        data_parallel=choice.data_parallel,
    )
    return int(stored + draft_bytes(shape, choice, stored))


def _has_states(pool: Cache, choice: Choice, version: VllmVersion) -> bool:
    """Return whether vLLM wants a block of states for every sequence: it captures their graphs."""
    return version.states_checked and not choice.eager and pool.state_block is not None


def _band(
    shape: ModelShape,
    choice: Choice,
    version: VllmVersion,
    overhead: Overhead,
    states: Cache | None,
) -> int:
    """Return the margin, that of the states in it if every sequence must have one."""
    known = margin(shape, choice, version, overhead)
    held = choice.max_num_seqs * states.bytes_per_block if states else 0
    asked = states.bytes_per_request(choice.max_model_len) if states else 0
    return known + max(of_states(held) + min(held - asked, 0), 0)


def _blocks_asked(pool: Cache, choice: Choice) -> int:
    """Return the blocks of the requests that must fit at once, and the null block."""
    return math.ceil(pool.blocks_per_request(choice.max_model_len) * choice.concurrency) + 1


def _overhead(shape: ModelShape, choice: Choice, version: VllmVersion) -> Overhead:
    overhead = overhead_of(shape, choice, version)
    log = choice.calibration
    return log.corrected(overhead, choice.ranks) if log else overhead


def _with_verdict(work: Estimate) -> Estimate:
    spare = work.kv - work.needed
    if spare + work.doubted < 0 or _outside(work) < _CONTEXT:
        verdict = Verdict.NO
    elif spare < work.band or _is_crowded(work) or work.choice.gpu.shared:
        verdict = Verdict.TIGHT
    else:
        verdict = Verdict.FITS
    return replace(work, verdict=verdict, binding=_binding(work))


def _outside(work: Estimate) -> int:
    """Return the bytes of the GPU that vLLM does not ask for."""
    return work.total - work.requested


def _is_crowded(work: Estimate) -> bool:
    """Return whether what vLLM does not ask for may be too little for what it takes there.

    The driver's context is there in any case; graphs that are not reserved are captured there,
    and leave in pieces what the profile gave back, so the sampler's warm-up may want some anew.
    """
    overhead = work.overhead
    graphs = 0 if work.graphs_budgeted else overhead.graphs + _BROKEN * overhead.activation
    engines = _ENGINES if work.choice.data_parallel > 1 else 0
    return _outside(work) < _SURE_CONTEXT + work.late + graphs + engines


def _binding(work: Estimate) -> str:
    """Name what takes the memory that is missing, or the scarcest thing if it fits."""
    if work.weights > work.requested:
        return "weights"
    if _outside(work) < _CONTEXT:
        return "driver's context beside vLLM's share"
    if work.kv < 0:
        adapted = work.overhead.adapters > work.overhead.activation
        return "adapters" if adapted else f"activations ({work.overhead.binding})"
    seqs = work.choice.max_num_seqs
    if work.most_seqs is not None and work.most_seqs < seqs:
        return f"states of {seqs} sequences"
    return f"KV cache for {work.holds}"
