"""Predict a start of vLLM with the settings of its own log, and hold the two side by side.

Where a log tells only what was left for the cache (most do, at vLLM's usual level), activations
and non-torch memory are one term: what is neither weights, graphs nor cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.log.started import StartLog
from carferry.gpu.sizing.estimate import (
    Choice,
    Estimate,
    Model,
    cache_of,
    default_choice,
    estimate,
    loaded_shape,
)
from carferry.gpu.units import GIB, gib
from carferry.gpu.vllm.version import VllmVersion

WEIGHTS, ACTIVATION, NON_TORCH = "weights", "activations", "non-torch"
OVERHEAD, GRAPHS, CACHE = "activations and non-torch", "CUDA graphs", "KV cache"
LAYOUT, TOKENS, AT_ONCE = "KV layout", "KV tokens", "requests at once"
_PARTS = (WEIGHTS, ACTIVATION, NON_TORCH, OVERHEAD, GRAPHS)


@dataclass(frozen=True, slots=True)
class Line:
    """One term, predicted and logged.

    Attributes:
        unit: ``GiB``, ``tokens`` or ``x``.
        band: How far apart they may be.
    """

    term: str
    unit: str
    predicted: float
    logged: float
    band: float

    @property
    def off(self) -> float:
        """Predicted less logged, in the unit."""
        return self.predicted - self.logged

    @property
    def is_within(self) -> bool:
        """Whether they agree within our band."""
        return abs(self.off) <= self.band


@dataclass(frozen=True, slots=True)
class Comparison:
    """A start of vLLM and its prediction.

    Attributes:
        log: What vLLM said.
        best: The prediction, with the log's own settings.
        lines: The terms that the log tells.
        notes: What a reader should know, a line each.
    """

    log: StartLog
    best: Estimate
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """Which term is off, and by how much, in one sentence."""
        if not self.lines:
            return "The log tells no figure that is predicted."
        wrong = [line for line in self.lines if not line.is_within]
        if not wrong:
            return "Every term is within our band."
        layout = [line for line in wrong if line.term == LAYOUT]
        parts = [line for line in wrong if line.term in _PARTS]
        worst = max(parts or layout or wrong, key=lambda line: abs(line.off) / line.band)
        more = "more" if worst.off < 0 else "less"
        return (
            f"{worst.term.capitalize() if worst.term.islower() else worst.term}: "
            f"{abs(worst.off):,.2f} {worst.unit} {more} than predicted, "
            f"beyond our band of {worst.band:,.2f}."
        )

    def line(self, term: str) -> Line | None:
        """Return the line of a term; None if the log does not tell it."""
        return next((line for line in self.lines if line.term == term), None)


def compare(
    log: StartLog, model: Model, gpu: Gpu, version: VllmVersion, given: Choice | None = None
) -> Comparison:
    """Predict with a log's settings, and compare term by term.

    Args:
        log: What vLLM said.
        model: What it loaded.
        gpu: What it ran on; the log's own total counts instead of the catalogue's.
        version: Of vLLM.
        given: Settings for what the log does not tell.
    """
    choice = choice_of(log, model, gpu, version, given)
    best = estimate(model, choice, version)
    return Comparison(
        log, best, tuple(_lines(log, model, best, version)), tuple(_notes(log, model, gpu))
    )


def choice_of(
    log: StartLog, model: Model, gpu: Gpu, version: VllmVersion, given: Choice | None
) -> Choice:
    """Return the settings of a log; what it does not tell is as given, or vLLM's default."""
    if log.total_gib:
        gpu = replace(gpu, memory_gib=log.total_gib)
    base = given or default_choice(model.shape, gpu, version)
    quantized = log.quantization == "fp8" and model.shape.quantization is None
    return replace(
        base,
        gpu=gpu,
        tp=log.tp or base.tp,
        pp=log.pp or base.pp,
        data_parallel=log.dp or base.data_parallel,
        expert_parallel=log.expert_parallel or base.expert_parallel,
        speculative_tokens=log.speculative_tokens or base.speculative_tokens,
        context_ranks=log.context_ranks or base.context_ranks,
        dtype=log.dtype if log.dtype in _DTYPES else base.dtype,
        kv_dtype="fp8" if log.kv_dtype == "fp8" else base.kv_dtype,
        quantization="fp8" if quantized else base.quantization,
        max_model_len=log.max_model_len or base.max_model_len,
        max_num_seqs=log.max_num_seqs or base.max_num_seqs,
        max_num_batched_tokens=log.max_num_batched_tokens or base.max_num_batched_tokens,
        utilization=log.utilization or base.utilization,
        block=log.block or base.block,
        eager=log.eager or base.eager,
        calibration=None,
    )


_DTYPES = ("bfloat16", "float16", "float32")


def _lines(log: StartLog, model: Model, best: Estimate, version: VllmVersion) -> Iterator[Line]:
    yield from _parts(log, best)
    budget = None if log.fixed_kv else log.kv_gib
    if budget is not None:
        yield Line(CACHE, "GiB", gib(best.kv), budget, gib(best.band))
    choice = best.choice
    pool = cache_of(loaded_shape(model.shape, choice.quantization), choice, version)
    if log.tokens is not None and log.kv_gib is not None and pool.groups:
        held = pool.tokens(int(log.kv_gib * GIB), choice.max_model_len)
        yield Line(LAYOUT, "tokens", held, log.tokens, 0.01 * log.tokens + 64)
    if log.tokens is not None and pool.groups and not log.fixed_kv:
        share = best.band / max(best.kv, best.band)
        yield Line(TOKENS, "tokens", best.tokens, log.tokens, share * best.tokens + 64)
        if log.concurrency is not None:
            band = share * best.concurrency + 0.01
            yield Line(AT_ONCE, "x", round(best.concurrency, 2), log.concurrency, band)


def _parts(log: StartLog, best: Estimate) -> Iterator[Line]:
    """Yield what comes out of vLLM's share besides the cache, in GiB."""
    over = best.overhead
    if log.weights_gib is not None:
        yield Line(WEIGHTS, "GiB", gib(best.weights), log.weights_gib, 0.02 * log.weights_gib + 0.1)
    if log.activation_gib is not None:
        size = gib(over.activation)
        yield Line(ACTIVATION, "GiB", size, log.activation_gib, 0.2 * size + 0.25)
    if log.non_torch_gib is not None:
        yield Line(NON_TORCH, "GiB", gib(over.non_torch), log.non_torch_gib, 0.3)
    graphs = _graphs(log, best)
    rest = _rest(log, best, graphs or 0.0)
    if rest is not None and None in (log.activation_gib, log.non_torch_gib):
        size = gib(over.activation + over.non_torch)
        yield Line(OVERHEAD, "GiB", size, rest, 0.2 * size + 0.4)
    if graphs is not None:
        yield Line(GRAPHS, "GiB", gib(over.graphs), graphs, 0.2 * gib(over.graphs) + 0.3)


def _graphs(log: StartLog, best: Estimate) -> float | None:
    """Return what vLLM set aside for CUDA graphs where that comes out of the cache, else took."""
    if best.graphs_budgeted and log.reserves is not False:
        return log.reserved_gib
    return log.graphs_gib


def _rest(log: StartLog, best: Estimate, graphs: float) -> float | None:
    """Return what is neither weights, graphs nor cache; None if the log does not tell."""
    if log.weights_gib is None or log.kv_gib is None or log.fixed_kv or _share(log) is None:
        return None
    requested = log.requested_gib or gib(best.requested)
    budgeted = graphs if best.graphs_budgeted and log.reserves is not False else 0.0
    return round(requested - log.weights_gib - log.kv_gib - budgeted, 2)


def _share(log: StartLog) -> float | None:
    """Return what is known of vLLM's share: told, or a default because the settings are told."""
    return log.requested_gib or log.utilization or (1.0 if log.has_settings else None)


def _notes(log: StartLog, model: Model, gpu: Gpu) -> Iterator[str]:
    name = log.model.rstrip("/").rpartition("/")[2]
    if name and not log.model.startswith("/") and name not in model.subject:
        yield f"the log is of {log.model}, the prediction of {model.subject}"
    if log.starts > 1:
        yield f"vLLM starts {log.starts} times in the log; the last start counts"
    if log.total_gib and abs(log.total_gib - gpu.memory_gib) > 0.02 * gpu.memory_gib:
        yield f"the log's GPU has {log.total_gib:.1f} GiB, a {gpu.name} {gpu.memory_gib:.1f}"
    if log.fixed_kv:
        yield "the size of the KV cache was given (--kv-cache-memory), so vLLM measured nothing"
    if _share(log) is None:
        yield "the log does not tell --gpu-memory-utilization; the version's default is assumed"
    if log.lora:
        yield "LoRA is on in the log; adapters are not in the prediction"
    if log.failure:
        yield f"vLLM did not start: {log.failure}"
