"""The plan in figures: how one GPU's memory is spent, a row for each option, what was planned."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from carferry.gpu.search.command import command_of
from carferry.gpu.search.plan import GpuPlan, Option
from carferry.gpu.sizing.estimate import Estimate, Verdict
from carferry.gpu.units import gib, in_words
from carferry.gpu.vllm.version import find_version

MOST_ROWS = 40
_LAYERS = "num_hidden_layers"
_WITHOUT_CACHE = ("option", "verdict", "weights GiB", "free GiB", "longest input", "why")
_WITH_CACHE = ("option", "verdict", "weights GiB", "KV GiB", "context", "at once", "why")


@dataclass(frozen=True, slots=True)
class Slice:
    """One share of a GPU's memory: what it is, how much, and how the reports colour it."""

    key: str
    label: str
    gib: float


def slices(best: Estimate) -> tuple[Slice, ...]:
    """Return how one GPU's memory is spent, as it is stacked; no cache if none is kept."""
    if not best.is_sized:
        return _weighed(best)
    graphs = gib(best.overhead.graphs) if best.graphs_budgeted else 0.0
    spare = max(best.kv - best.needed, 0) if best.needed else 0
    parts = (
        Slice("weights", "weights", gib(best.weights)),
        Slice("other", runtime(best), gib(best.overhead.non_torch)),
        Slice(
            "activation", f"activations ({best.overhead.binding})", gib(best.overhead.activation)
        ),
        Slice("adapters", "LoRA adapters", gib(best.overhead.adapters)),
        Slice("graphs", "graphs", graphs),
        Slice("request", f"KV cache, {best.holds}", gib(best.needed)),
        Slice("spare", "KV cache, more requests", gib(spare)),
    )
    return tuple(part for part in parts if part.gib > 0)


def _weighed(best: Estimate) -> tuple[Slice, ...]:
    """Return the weights and what they leave, where nothing else is known."""
    if not best.is_weighed:
        return ()
    left = Slice("spare", "left for all else", gib(max(best.requested - best.weights, 0)))
    return tuple(
        part for part in (Slice("weights", "weights", gib(best.weights)), left) if part.gib
    )


def runtime(best: Estimate) -> str:
    """Return what a GPU's vendor calls what torch does not hold."""
    return "CUDA and NCCL" if best.choice.gpu.vendor == "nvidia" else "driver and communication"


def context(plan: GpuPlan, best: Estimate) -> int | str:
    """Return the context that the command of an option gives, tokens; ``auto`` is vLLM's choice."""
    length = command_of(plan.model, plan.goal, best).max_model_len
    return best.choice.max_model_len if length is None else length


def amount(size_gib: float) -> str:
    """Return GiB with as many digits as tell something of it."""
    return f"{size_gib:,.1f}" if size_gib >= 1 or not size_gib else f"{size_gib:.2f}"


def keeps_cache(plan: GpuPlan) -> bool:
    """Return whether the model keeps a KV cache, as all but encoders do."""
    needed = any(option.best.needed for option in plan.options if option.best)
    return needed or plan.model.shape.family != "encoder"


def place(option: Option) -> str:
    """Return where an option runs: ``2 x L40S in one node``, and how it differs from another."""
    name, count = option.group.gpu.name, option.gpu_count
    if option.pp > 1:
        where = f"{option.pp} {option.spread} with {count} x {name} each"
    else:
        where = f"{count} x {name}" + (" in one node" if count > 1 else "")
    engines = f"{option.dp} engines of {option.tp}" if option.dp > 1 else ""
    experts = "experts dealt out" if option.expert_parallel else ""
    ways = ", ".join(filter(None, (engines, experts)))
    return f"{where} ({ways})" if ways else where


def columns(plan: GpuPlan) -> tuple[str, ...]:
    """Return the heads of the rows."""
    return _WITH_CACHE if keeps_cache(plan) else _WITHOUT_CACHE


def rows(plan: GpuPlan) -> tuple[tuple[str, ...], ...]:
    """Return the cells of every option that is not folded into ``ruled_out``."""
    cached, (kept, _) = keeps_cache(plan), _folded(plan)
    return tuple(_row(plan, option, cached) for option in kept)


def ruled_out(plan: GpuPlan) -> tuple[str, ...]:
    """Return a line for each GPU: the ways to cut the model that a rule of vLLM forbids, and why.

    A GPU that no way is left for keeps a row of its own besides.
    """
    by_gpu: dict[str, list[Option]] = {}
    for option in _folded(plan)[1]:
        by_gpu.setdefault(option.group.gpu.name, []).append(option)
    return tuple(f"{gpu}: {_refusals(options)}" for gpu, options in by_gpu.items())


def shown(plan: GpuPlan, most: int = 12) -> tuple[Option, ...]:
    """Return the options worth showing: every GPU's best, then the rest in order."""
    firsts: dict[str, Option] = {}
    for option in plan.options:
        firsts.setdefault(option.group.gpu.name, option)
    rest = [option for option in plan.options if option not in firsts.values()]
    return (*firsts.values(), *rest)[:most]


def facts(plan: GpuPlan) -> Iterator[tuple[str, str]]:
    """Yield what was planned for, as (name, value)."""
    shape = plan.model.shape
    packed = shape.quantization.method if shape.quantization else "none"
    yield "architecture", shape.architecture or shape.model_type
    yield "cache family", shape.family
    yield "layers", "unknown" if _LAYERS in shape.assumed else str(len(shape.layers))
    yield "quantization", packed
    read = "safetensors headers" if plan.model.tensors else "counted from config.json"
    read = "unknown" if shape.assumed and not plan.model.tensors else read
    yield "weights from", read
    yield "vLLM version", _version(plan)
    yield "GPUs from", plan.inventory.source


def settings(best: Estimate) -> str:
    """Return the settings that differ between options."""
    choice = best.choice
    cache = "" if choice.kv_dtype == "auto" else f", {choice.kv_dtype} KV cache"
    return f"{choice.dtype}, {choice.max_num_seqs} sequences{cache}"


def _row(plan: GpuPlan, option: Option, cached: bool) -> tuple[str, ...]:
    best = option.best
    if best is None:
        return (place(option), "no", *("-" * (4 if cached else 3)), option.reason)
    missing = f"{in_words(best.shortfall)} short: {best.binding}"
    length, known = str(context(plan, best)), best.is_sized
    left = amount(gib(max(best.kv, 0))) if known else "-"
    at_once = (f"{best.concurrency:.1f}" if best.needed and known else "-",) if cached else ()
    why = missing if best.shortfall else settings(best)
    if best.verdict is Verdict.NO and not best.shortfall:
        why = best.binding
    weights = amount(gib(best.weights)) if best.is_weighed else "unknown"
    return (place(option), best.verdict.value, weights, left, length, *at_once, why)


def _folded(plan: GpuPlan) -> tuple[list[Option], list[Option]]:
    """Return the options that keep a row, and those that say only why they are none.

    Of a GPU that no way is left for the first keeps its row.
    """
    seen = {option.group.gpu.name for option in plan.options if option.best}
    kept, folded = list[Option](), list[Option]()
    for option in plan.options:
        name = option.group.gpu.name
        (kept if option.best or name not in seen else folded).append(option)
        seen.add(name)
    return kept, folded


def _refusals(options: Iterable[Option]) -> str:
    """Return the refusals of one GPU: sizes that fail alike are named together."""
    alike: dict[str, list[Option]] = {}
    for option in sorted(options, key=lambda each: (each.pp, each.tp)):
        alike.setdefault(re.sub(rf"\b{option.tp}\b(?=$| ranks)", "{}", option.reason), []).append(
            option
        )
    return "; ".join(_refusal(reason, group) for reason, group in alike.items())


def _refusal(reason: str, options: list[Option]) -> str:
    sizes = ", ".join(dict.fromkeys(str(option.tp) for option in options))
    nodes = {option.pp for option in options}
    where = f"{sizes} GPUs" if nodes == {1} else f"{sizes} GPUs in each of {max(nodes)} nodes"
    return f"{where}: {reason.replace('{}', sizes)}"


def _version(plan: GpuPlan) -> str:
    note = find_version(plan.goal.vllm).note
    return f"{plan.goal.vllm}: {note}" if note else plan.goal.vllm
