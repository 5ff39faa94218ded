"""What a reader should know of a plan besides its figures, a line each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.search.goal import Goal
from carferry.gpu.search.option import Option
from carferry.gpu.search.unchecked import unknown_of
from carferry.gpu.sizing.estimate import Model, estimate
from carferry.gpu.sizing.limits import own_kv_dtype, weight_only
from carferry.gpu.vllm.version import find_version

_DOUBTS = (
    "unchecked:", "planned as vLLM", "planned from hardware profiles", "time-sliced GPU",
    "no right to list", "no vLLM version is named",
)  # fmt: skip


def notes_of(model: Model, goal: Goal, chosen: Option | None) -> Iterator[str]:
    """Yield what a reader should know: of the model, the version, and the chosen option."""
    gpu = chosen.group.gpu if chosen else None
    if unknown_of(model, gpu):
        yield unchecked_note(model, gpu)
    if note := find_version(goal.vllm).note:
        yield note
    if chosen is None or chosen.best is None:
        return
    if chosen.best.is_sized:
        yield from _choice_notes(model, goal, chosen)
    if chosen.pp > 1:
        where = "a pod on each" if chosen.spread == "nodes" else "on fewer nodes"
        yield f"{chosen.pp} {chosen.spread}: KServe serves that as one InferenceService, {where}"
    if not goal.prices and not chosen.group.gpu.typed:
        yield "cheapest by the catalogue's relative prices"
    yield from _gpu_notes(model, chosen.group.gpu)


def calibrated_notes(model: Model, goal: Goal, option: Option) -> Iterator[str]:
    """Name the log that corrected the estimate of an option, and what it changed."""
    log = option.best.choice.calibration if option.best else None
    if option.best and log:
        bare = replace(option.best.choice, calibration=None)
        before = estimate(model, bare, find_version(goal.vllm)).overhead
        yield log.told(before, option.best.overhead)


def unchecked_note(model: Model, gpu: Gpu | None = None) -> str:
    """Return the warning of a model or a GPU that the plan does not know."""
    if model.tensors:
        held = "only the headers of its weights were held against the memory"
    elif not model.shape.unknown:
        held = "only the weights were held against the memory"
    else:
        held = "no header of its weights was read, so nothing was held against the memory"
    unknown = unknown_of(model, gpu)
    return (
        f"unchecked: the plan does not know {unknown}; {held}: vLLM may need more or not serve it"
    )


def is_doubt(note: str) -> bool:
    """Return whether a note says that the plan may be wrong: it is told even where few words are.

    A note that does not is a remark on a plan that holds.
    """
    return note.startswith(_DOUBTS)


def _choice_notes(model: Model, goal: Goal, chosen: Option) -> Iterator[str]:
    if chosen.best is None:
        return
    choice, longest = chosen.best.choice, model.shape.positions
    if goal.max_model_len is None and choice.max_model_len < longest:
        served = f"{choice.max_model_len} of the model's {longest} tokens"
        yield f"context cut to {served}; pin --max-model-len"
    own = own_kv_dtype(model.shape, find_version(goal.vllm))
    if choice.kv_dtype == "fp8" and goal.kv_dtype is None and own != "fp8":
        yield "KV cache in fp8 to make it fit: a little less exact; pin --kv-cache-dtype=auto"
    if chosen.best.most_seqs is not None and goal.max_num_seqs is None:
        yield f"vLLM starts with at most {chosen.best.most_seqs} sequences: each holds a state"


def _gpu_notes(model: Model, gpu: Gpu) -> Iterator[str]:
    if weight_only(model.shape.quantization, gpu):
        yield f"{gpu.name} has no FP8 arithmetic: FP8 weights save memory, not time"
    if gpu.typed:
        yield f"{gpu.name} is a memory without a product: what its kernels refuse is not checked"
    elif not gpu.measured:
        yield f"memory of {gpu.name} is not measured; it comes from a label or data sheet"
    if gpu.shared:
        yield "time-sliced GPU: other pods hold memory on it, so vLLM may refuse to start"
