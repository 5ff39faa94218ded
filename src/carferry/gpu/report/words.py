"""The plan in sentences and rows, shared by every report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carferry.gpu.memory.estimate import Choice, Estimate, Verdict, requests
from carferry.gpu.search.plan import GpuPlan, Option
from carferry.gpu.units import gib


@dataclass(frozen=True, slots=True)
class Slice:
    """One share of a GPU's memory: what it is, how much, and how the reports colour it."""

    key: str
    label: str
    gib: float


def headline(plan: GpuPlan) -> str:
    """Return the answer in one line."""
    if plan.chosen is None:
        return f"{plan.model.subject} does not fit any GPU option here"
    if plan.verdict is Verdict.TIGHT:
        return f"{plan.model.subject} is a tight fit on {place(plan.chosen)}"
    return f"{plan.model.subject} fits on {place(plan.chosen)}"


def planned(plan: GpuPlan) -> str:
    """Return the plan in one line, to be told again if the model does not come up."""
    option = plan.chosen
    if option is None or option.best is None:
        return ""
    best = option.best
    return (
        f"planned: {place(option)}, weights {gib(best.weights):.1f} GiB + "
        f"KV {gib(best.kv):.1f} GiB of {gib(best.total):.1f} GiB each"
    )


def place(option: Option) -> str:
    """Return where an option runs: ``2 x L40S in one node``."""
    name = option.group.gpu.name
    if option.pp > 1:
        return f"{option.pp} nodes with {option.tp} x {name} each"
    return f"{option.tp} x {name}" + (" in one node" if option.tp > 1 else "")


def reasons(plan: GpuPlan) -> Iterator[str]:
    """Yield the sentences that explain the answer."""
    option = plan.chosen or next((o for o in plan.options if o.best), None)
    if option is None or option.best is None:
        yield f"No option may run it: {plan.binding}."
        return
    if plan.chosen is None:
        yield f"The closest option is {place(option)}."
    yield from _arithmetic(option.best)
    yield from _where(option)
    if plan.chosen is None:
        yield (
            f"What stands in the way is {plan.binding}: "
            f"{plan.shortfall_gib:.1f} GiB are missing on each GPU."
        )
    elif plan.verdict is Verdict.TIGHT:
        yield (
            f"The margin is below our own error of {gib(option.best.band):.1f} GiB, "
            "so it may still fail to start."
        )


def change(plan: GpuPlan) -> str:
    """Return what to change, or that nothing has to."""
    if plan.verdict is Verdict.FITS:
        return "nothing."
    if plan.change is None:
        return "No single change that was tried makes it fit."
    option = plan.change.option
    length = f", up to {option.best.choice.max_model_len} tokens" if option.best else ""
    outcome = "it fits" if option.verdict is Verdict.FITS else "it is a tight fit"
    return f"{plan.change.what}: then {outcome} on {place(option)}{length}."


def slices(best: Estimate) -> tuple[Slice, ...]:
    """Return how one GPU's memory is spent, in the order it is stacked."""
    graphs = gib(best.overhead.graphs) if best.graphs_budgeted else 0.0
    spare = max(best.kv - best.needed, 0)
    parts = (
        Slice("weights", "weights", gib(best.weights)),
        Slice("other", "CUDA and NCCL", gib(best.overhead.non_torch)),
        Slice(
            "activation", f"activations ({best.overhead.binding})", gib(best.overhead.activation)
        ),
        Slice("graphs", "CUDA graphs", graphs),
        Slice("request", f"KV cache, {requests(best.choice)}", gib(best.needed)),
        Slice("spare", "KV cache, more requests", gib(spare)),
    )
    return tuple(part for part in parts if part.gib > 0)


def option_row(option: Option) -> tuple[str, ...]:
    """Return the cells of an option: place, verdict, weights, KV, context, concurrency, why."""
    best = option.best
    if best is None:
        return place(option), "no", "-", "-", "-", "-", option.reason
    missing = f"{gib(best.shortfall):.1f} GiB short: {best.binding}"
    at_once = f"{best.concurrency:.1f}" if best.needed else "-"
    return (
        place(option),
        best.verdict.value,
        f"{gib(best.weights):.1f}",
        f"{gib(max(best.kv, 0)):.1f}",
        str(best.choice.max_model_len),
        at_once,
        missing if best.shortfall else settings(best),
    )


COLUMNS = ("option", "verdict", "weights GiB", "KV GiB", "context", "at once", "why")


def settings(best: Estimate) -> str:
    """Return the settings that differ between options."""
    choice = best.choice
    cache = "" if choice.kv_dtype == "auto" else f", {choice.kv_dtype} KV cache"
    return f"{choice.dtype}, {choice.max_num_seqs} sequences{cache}"


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
    yield "layers", str(len(shape.layers))
    yield "quantization", packed
    read = "safetensors headers" if plan.model.tensors else "counted from config.json"
    yield "weights from", read
    yield "vLLM version", plan.goal.vllm
    yield "GPUs from", plan.inventory.source


def _where(option: Option) -> Iterator[str]:
    """Yield the sentence that says which nodes offer it, if nodes were read."""
    group = option.group
    if not group.example:
        return
    rules = ", ".join(map(str, group.tolerations))
    yield (
        f"{group.free} of {group.total} are free on {group.nodes} such node"
        + ("s" if group.nodes > 1 else "")
        + f" ({group.example})"
        + (f", tolerating {rules}" if rules else "")
        + (f"; hardware profile {group.profile}" if group.profile else "")
        + "."
    )


def _arithmetic(best: Estimate) -> Iterator[str]:
    choice = best.choice
    overhead = best.overhead
    graphs = f", {gib(overhead.graphs):.1f} CUDA graphs" if best.graphs_budgeted else ""
    yield (
        f"Each {choice.gpu.name} has {choice.gpu.memory_gib:.1f} GiB; vLLM takes "
        f"{choice.utilization:.0%} of it, {gib(best.requested):.1f} GiB."
    )
    yield (
        f"Out of that come {gib(best.weights):.1f} GiB weights, "
        f"{gib(overhead.activation):.1f} activations (the {overhead.binding} peaks), "
        f"{gib(overhead.non_torch):.1f} CUDA and NCCL{graphs}."
    )
    if not best.needed:
        yield "The model keeps no KV cache."
        return
    if best.kv <= 0:
        yield (
            f"Nothing is left for the KV cache; {requests(choice)} "
            f"need{_s(choice)} {gib(best.needed):.1f} GiB."
        )
        return
    yield (
        f"{gib(best.kv):.1f} GiB are left for the KV cache; {requests(choice)} "
        f"need{_s(choice)} {gib(best.needed):.1f}, and {best.concurrency:.1f} can run at once."
    )


def _s(choice: Choice) -> str:
    return "" if choice.concurrency != 1 else "s"
