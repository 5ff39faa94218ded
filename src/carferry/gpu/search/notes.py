"""What a reader should know of a plan besides its figures, a line each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.search.goal import Goal
from carferry.gpu.search.option import Option
from carferry.gpu.sizing.estimate import Model, estimate
from carferry.gpu.sizing.limits import weight_only
from carferry.gpu.vllm.version import find_version


def notes_of(model: Model, goal: Goal, chosen: Option | None) -> Iterator[str]:
    """Yield what a reader should know: of the model, the version, and the chosen option."""
    if model.shape.unknown:
        yield unchecked_note(model)
    if note := find_version(goal.vllm).note:
        yield note
    if chosen is None or chosen.best is None:
        return
    if not model.shape.unknown:
        yield from _choice_notes(model, goal, chosen)
    if chosen.pp > 1:
        yield f"{chosen.pp} nodes: KServe serves that as one InferenceService, a pod on each"
    if not goal.prices:
        yield "cheapest by the catalogue's relative prices; pass prices to order by your own"
    yield from _gpu_notes(model, chosen.group.gpu)


def calibrated_notes(model: Model, goal: Goal, option: Option) -> Iterator[str]:
    """Name the log that corrected the estimate of an option, and what it changed."""
    log = option.best.choice.calibration if option.best else None
    if option.best and log:
        bare = replace(option.best.choice, calibration=None)
        before = estimate(model, bare, find_version(goal.vllm)).overhead
        yield log.told(before, option.best.overhead)


def unchecked_note(model: Model) -> str:
    """Return the warning of a model that the plan does not know."""
    held = (
        "only the headers of its weights were held against the memory"
        if model.tensors
        else "no header of its weights was read, so nothing was held against the memory"
    )
    unknown = model.shape.unknown
    return (
        f"unchecked: the plan does not know {unknown}; {held}: vLLM may need more or not serve it"
    )


def _choice_notes(model: Model, goal: Goal, chosen: Option) -> Iterator[str]:
    if chosen.best is None:
        return
    choice, longest = chosen.best.choice, model.shape.positions
    if goal.max_model_len is None and choice.max_model_len < longest:
        served = f"{choice.max_model_len} of the model's {longest} tokens"
        yield f"context cut to {served}; pin --max-model-len"
    if choice.kv_dtype == "fp8" and goal.kv_dtype is None and model.shape.kv_dtype is None:
        yield "KV cache in fp8 to make it fit: a little less exact; pin --kv-cache-dtype=auto"
    if chosen.best.most_seqs is not None and goal.max_num_seqs is None:
        yield f"vLLM starts with at most {chosen.best.most_seqs} sequences: each holds a state"


def _gpu_notes(model: Model, gpu: Gpu) -> Iterator[str]:
    if weight_only(model.shape.quantization, gpu):
        yield f"{gpu.name} has no FP8 arithmetic: FP8 weights save memory, not time"
    if not gpu.measured:
        yield f"memory of {gpu.name} is not measured; it comes from a label or data sheet"
    if gpu.shared:
        yield "time-sliced GPU: other pods hold memory on it, so vLLM may refuse to start"
