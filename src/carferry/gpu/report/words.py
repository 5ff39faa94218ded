"""The plan in sentences, shared by every report."""

from __future__ import annotations

from collections.abc import Iterator

from carferry.gpu.report.rows import amount, context, keeps_cache, place, runtime
from carferry.gpu.search.plan import GpuPlan, Option
from carferry.gpu.search.unchecked import unknown_of
from carferry.gpu.sizing.estimate import Estimate, Model, Verdict
from carferry.gpu.units import GIB, gib, in_words

BADGES = {
    Verdict.FITS: "fits",
    Verdict.TIGHT: "tight",
    Verdict.UNCHECKED: "unchecked",
    Verdict.NO: "does not fit",
}
"""What a report calls each verdict."""

_OUTCOMES = {
    Verdict.FITS: "it fits",
    Verdict.TIGHT: "it is a tight fit",
    Verdict.UNCHECKED: "it may run",
}


def title(plan: GpuPlan) -> str:
    """Return the name of what was planned, of a folder its last part: the title of every report."""
    subject = plan.model.subject
    is_path = subject.startswith(("/", "./", "../", "~/"))
    return subject.rstrip("/").rpartition("/")[2] or subject if is_path else subject


def headline(plan: GpuPlan) -> str:
    """Return the answer in one line."""
    if plan.chosen is None and plan.other_release:
        return f"vLLM {plan.version.dated} does not serve {title(plan)}"
    if plan.chosen is None:
        return f"{title(plan)} does not fit any GPU option here"
    if plan.verdict is Verdict.TIGHT:
        return f"{title(plan)} is a tight fit on {place(plan.chosen)}"
    if plan.verdict is Verdict.UNCHECKED:
        return f"{title(plan)} may run on {place(plan.chosen)}, unchecked"
    return f"{title(plan)} fits on {place(plan.chosen)}"


def planned(plan: GpuPlan) -> str:
    """Return the plan in one line, to be told again if the model does not come up."""
    option = plan.chosen
    if option is None or option.best is None:
        return ""
    best = option.best
    cache = f" + KV {gib(best.kv):.1f} GiB" if best.needed and best.is_sized else ""
    unknown = unknown_of(plan.model, option.group.gpu)
    doubt = f", unchecked: {unknown}" if unknown else ""
    weights = f"{gib(best.weights):.1f} GiB" if best.is_weighed else "unknown"
    return (
        f"planned: {place(option)}, weights {weights}"
        f"{cache} of {gib(best.total):.1f} GiB each{doubt}"
    )


def reasons(plan: GpuPlan) -> Iterator[str]:
    """Yield the sentences that explain the answer."""
    option = plan.chosen or next((o for o in plan.options if o.best), None)
    gpu = option.group.gpu if option else None
    if unknown := unknown_of(plan.model, gpu):
        yield _unchecked(plan.model, unknown)
    if option is None or option.best is None:
        yield f"No option may run it: {plan.binding}."
        return
    if plan.chosen is None:
        yield f"The closest option is {place(option)}."
    told = _arithmetic(option.best, keeps_cache(plan))
    yield from told if option.best.is_sized else _weights_alone(plan, option.best)
    yield from _where(option)
    if plan.chosen is None:
        yield f"What stands in the way is {plan.binding}{_missing(plan.shortfall_gib)}."
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
        watch = "nothing that the plan knows of; when it has started, compare its log with --log."
        if plan.other_release:
            return f"serve it with {plan.other_release}; even then, {_NOTHING_HELPS.lower()}"
        return watch if plan.verdict is Verdict.UNCHECKED else _NOTHING_HELPS
    option = plan.change.option
    sized = option.best if option.best and option.best.is_sized else None
    length = f", up to {sized.choice.max_model_len} tokens" if sized else ""
    outcome = _OUTCOMES.get(option.verdict, "it fits")
    return f"{plan.change.what}: then {outcome} on {place(option)}{length}."


_NOTHING_HELPS = "No single change that was tried makes it fit."


def _unchecked(model: Model, unknown: str) -> str:
    """Return what the plan does not know, and what that makes of its figures."""
    if model.tensors:
        weights = "The weights are counted from the headers of its weights"
    elif model.shape.assumed:
        weights = "What its weights take is not known: no header was read"
    else:
        weights = "The weights are counted from its config"
    return (
        f"Not checked: this plan does not know {unknown}. {weights}: whether vLLM serves it, "
        "and what it holds besides, only its first start shows."
    )


def _weights_alone(plan: GpuPlan, best: Estimate) -> Iterator[str]:
    """Yield what is sure where only the weights are known, or not even they."""
    yield _share(best)
    if best.is_weighed and best.weights > best.requested:
        yield f"The weights take {amount(gib(best.weights))} GiB."
    elif best.is_weighed:
        left = gib(best.requested - best.weights)
        yield (
            f"The weights take {amount(gib(best.weights))} GiB of that; {amount(left)} are left "
            "for activations, graphs and the cache."
        )
    if context(plan, best) == "auto":
        yield "vLLM finds the longest context that fits (--max-model-len=auto)."


def _where(option: Option) -> Iterator[str]:
    """Yield the sentence that says which nodes offer it, if nodes were read."""
    group = option.group
    if group.absent:
        yield f"No such node is there now: the autoscaler must add one ({group.profile})."
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


def _arithmetic(best: Estimate, cached: bool) -> Iterator[str]:
    choice = best.choice
    overhead = best.overhead
    taken = best.graphs_budgeted and overhead.graphs
    graphs = f", {amount(gib(overhead.graphs))} graphs" if taken else ""
    adapters = f", {amount(gib(overhead.adapters))} LoRA adapters" if overhead.adapters else ""
    yield _share(best)
    yield (
        f"Out of that come {amount(gib(best.weights))} GiB weights, "
        f"{amount(gib(overhead.activation))} activations (the {overhead.binding} peaks), "
        f"{amount(gib(overhead.non_torch))} {runtime(best)}{adapters}{graphs}."
    )
    if not cached:
        yield "The model keeps no KV cache."
        return
    if best.kv <= 0 and not best.needed:
        yield "Nothing is left for the KV cache."
        return
    if best.kv <= 0:
        yield (
            f"Nothing is left for the KV cache; {best.holds} "
            f"need{_s(best)} {gib(best.needed):.1f} GiB."
        )
        return
    which = f"requests of {choice.max_model_len} tokens " if best.by_states else ""
    yield (
        f"{gib(best.kv):.1f} GiB are left for the KV cache; {best.holds} "
        f"need{_s(best)} {gib(best.needed):.1f}, and {best.concurrency:.1f} {which}can run at once."
    )


def _share(best: Estimate) -> str:
    choice = best.choice
    return (
        f"Each {choice.gpu.name} has {choice.gpu.memory_gib:.1f} GiB; vLLM takes "
        f"{choice.utilization:.0%} of it, {gib(best.requested):.1f} GiB."
    )


def _missing(short_gib: float) -> str:
    """Return how much is missing; nothing where a rule forbids and no memory is short."""
    return f": {in_words(short_gib * GIB)} are missing on each GPU" if short_gib else ""


def _s(best: Estimate) -> str:
    return "" if best.by_states or best.choice.concurrency != 1 else "s"
