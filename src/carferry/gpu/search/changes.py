"""The smallest change that would make a model fit, found by searching again.

Changes are tried from the gentlest to other hardware: fewer sequences, a shorter context, an
8-bit cache, weights of fewer bits, more GPUs of the same node, a larger slice, a second node,
another card. Each is searched like the question itself, so that what is named obeys every rule;
of changes as gentle as each other, one that surely fits comes before a tight one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from carferry.gpu.inventory.nodes import Inventory
from carferry.gpu.memory.choice import Choice
from carferry.gpu.search.goal import LORA_RANKS, Goal
from carferry.gpu.search.hardware import other_hardware
from carferry.gpu.search.option import Option
from carferry.gpu.search.settings import FLOOR, SEQS
from carferry.gpu.search.ways import search
from carferry.gpu.shape.shape import ModelShape, Quantization
from carferry.gpu.sizing.estimate import Estimate, Model, Verdict
from carferry.gpu.sizing.served import other_release
from carferry.gpu.vllm.version import find_version

_PACKED_BITS = 4.5
"""Bits of a weight with its scales and zeros in groups of 64 or 128 (AWQ, GPTQ, NVFP4)."""

_PARTS = ("attention", "mlp", "shared", "experts", "state")
_SHORT = (4096, 2048)
_FEWER_LORAS = (64, 16, 4, 1)


@dataclass(frozen=True, slots=True)
class Change:
    """The smallest change that would make the model fit, and what it leads to.

    Attributes:
        what: The change, in words; what the user had set is said.
        option: What a search finds then.
        model: What is planned for then: another revision, if that is the change.
        goal: What is wanted then.
    """

    what: str
    option: Option
    model: Model
    goal: Goal


@dataclass(frozen=True, slots=True)
class _Trial:
    """One thing changed: how it is said, and the question that it leads to."""

    what: str
    model: Model
    inventory: Inventory
    goal: Goal


def smallest_change(
    model: Model,
    inventory: Inventory,
    goal: Goal,
    current: Option,
    held: dict[Choice, int] | None = None,
) -> Change | None:
    """Re-run the search with one thing changed, gentlest first; None if nothing helps.

    Args:
        model: What is planned for.
        inventory: GPUs there are.
        goal: What is wanted.
        current: The best option as things are.
        held: As for ``search``.
    """
    for trials in _all_stages(model, inventory, goal):
        nearly: Change | None = None
        for trial in trials:
            same = trial.model is model and trial.goal.vllm == goal.vllm
            found = search(trial.model, trial.inventory, trial.goal, held if same else None)
            if not (found and found[0].best and found[0].verdict in _HELPS[current.verdict]):
                continue
            what = trial.what.format(**_words(found[0].best, goal))
            change = Change(what, found[0], trial.model, trial.goal)
            if found[0].verdict is Verdict.FITS:
                return change
            nearly = nearly or change
        if nearly:
            return nearly
    return None


_HELPS: Mapping[Verdict, tuple[Verdict, ...]] = {
    Verdict.TIGHT: (Verdict.FITS,),
    Verdict.NO: (Verdict.FITS, Verdict.TIGHT, Verdict.UNCHECKED),
}
"""What is better than a verdict that asks for a change."""


def _all_stages(model: Model, inventory: Inventory, goal: Goal) -> Iterator[Iterator[_Trial]]:
    """Yield the stages with this vLLM or, if it serves the model on no GPU, with one that does."""
    release, said = _other_release(model, inventory, goal)
    if not release:
        yield from _stages(model, inventory, goal)
        return
    with_it, goal = f"serve it with {said}: --vllm {release}", replace(goal, vllm=release)
    yield iter((_Trial(with_it, model, inventory, goal),))
    for trials in _stages(model, inventory, goal):
        yield (replace(trial, what=f"{with_it}, and {trial.what}") for trial in trials)


def _other_release(model: Model, inventory: Inventory, goal: Goal) -> tuple[str, str]:
    """Return the vLLM that serves the model where this one does on none of the GPUs."""
    version = find_version(goal.vllm)
    found = [other_release(model.shape, group.gpu, version) for group in inventory.groups]
    return found[0] if found and all(release for release, _ in found) else ("", "")


def _stages(model: Model, inventory: Inventory, goal: Goal) -> Iterator[Iterator[_Trial]]:
    """Yield what is tried together, from flags to other cards: a fit before a tight fit."""
    yield (_Trial(what, model, inventory, changed) for what, changed in _looser(model, goal))
    yield (_Trial(what, other, inventory, changed) for what, other, changed in _packed(model, goal))
    for steps in other_hardware(inventory, goal):
        yield (_Trial(what, model, gpus, changed) for what, gpus, changed in steps)


def _looser(model: Model, goal: Goal) -> Iterator[tuple[str, Goal]]:
    """Yield (what changes, goal) for everything a flag can change."""
    if goal.max_num_seqs:
        said = f"lower --max-num-seqs to {{seqs}}, which you set to {goal.max_num_seqs}"
        yield said, replace(goal, max_num_seqs=None)
    for seqs in SEQS[-2:]:
        if seqs < (goal.max_num_seqs or SEQS[0]):
            yield "lower --max-num-seqs to {seqs}", replace(goal, max_num_seqs=seqs)
    yield from _shorter(model, goal)
    if goal.kv_dtype == "auto":
        said = "let the KV cache be fp8: --kv-cache-dtype=fp8, which you set to auto"
        yield said, replace(goal, kv_dtype="fp8")
    if goal.utilization:
        set_to = f"which you set to {goal.utilization:g}"
        said = f"{{turn}} --gpu-memory-utilization to {{share:g}}, {set_to}"
        yield said, replace(goal, utilization=None)
    yield from _fewer_extras(goal)
    yield from _other_cut(goal)


def _shorter(model: Model, goal: Goal) -> Iterator[tuple[str, Goal]]:
    if goal.max_model_len and goal.max_model_len > FLOOR:
        said = f"lower --max-model-len to {{length}}, which you set to {goal.max_model_len}"
        yield said, replace(goal, max_model_len=None)
    for length in _SHORT:
        if length < min(goal.max_model_len or FLOOR, model.shape.positions):
            said = f", which you set to {goal.max_model_len}" if goal.max_model_len else ""
            yield f"serve --max-model-len {{length}}{said}", replace(goal, max_model_len=length)


def _fewer_extras(goal: Goal) -> Iterator[tuple[str, Goal]]:
    """Yield less of what comes on top of the model: adapters, drafts, a data type."""
    for loras in _FEWER_LORAS:
        if loras < (goal.loras or 1):
            said = f"lower --max-loras to {loras}, which you set to {goal.loras}"
            yield said, replace(goal, loras=loras)
    for rank in reversed(LORA_RANKS):
        if rank < (goal.lora_rank or 0):
            said = f"lower --lora-rank to {rank}, which you set to {goal.lora_rank}"
            yield said, replace(goal, lora_rank=rank)
    if goal.lora_rank or goal.loras:
        yield "serve no adapters: leave --lora-rank out", replace(goal, lora_rank=None, loras=None)
    if goal.speculative_tokens:
        said = "let no layers draft: leave --speculative-tokens out"
        yield said, replace(goal, speculative_tokens=None)
    if goal.dtype not in (None, "auto"):
        yield f"serve --dtype {{dtype}}, which you set to {goal.dtype}", replace(goal, dtype=None)


def _other_cut(goal: Goal) -> Iterator[tuple[str, Goal]]:
    """Yield the cuts that the user ruled out."""
    if goal.expert_parallel is not None or goal.data_parallel:
        free = replace(goal, expert_parallel=None, data_parallel=None)
        yield "leave --expert-parallel and --data-parallel to the plan", free
    if goal.gpu_count:
        said = f"use {{gpus}} GPUs in one pod, which you set to {goal.gpu_count}"
        yield said, replace(goal, gpu_count=None)
    if goal.nodes and goal.nodes > 1:
        said = f"use {{stages}} node, which you set to {goal.nodes}"
        yield said, replace(goal, nodes=1, gpu_count=None)


def _packed(model: Model, goal: Goal) -> Iterator[tuple[str, Model, Goal]]:
    """Yield revisions of the model with fewer bits; vLLM itself makes 8 bits of 16."""
    shape = model.shape
    if shape.unknown or goal.quantization:
        return
    if shape.quantization is None:
        said = "quantize to 8 bits: --quantization=fp8, or take an FP8 checkpoint"
        yield said, model, replace(goal, quantization="fp8")
    if shape.quantization is None or shape.quantization.method == "fp8":
        said = "take a 4-bit revision of the model (AWQ, GPTQ or w4a16)"
        yield said, replace(model, shape=_four_bits(shape), tensors=()), goal


def _four_bits(shape: ModelShape) -> ModelShape:
    packed = Quantization("awq", tuple((part, _PACKED_BITS) for part in _PARTS))
    return replace(shape, quantization=packed)


def _words(best: Estimate, goal: Goal) -> dict[str, object]:
    choice = best.choice
    return {
        "seqs": choice.max_num_seqs,
        "length": choice.max_model_len,
        "tp": choice.tp,
        "gpus": choice.tp * choice.data_parallel,
        "stages": choice.pp,
        "gpu": choice.gpu.name,
        "dtype": choice.dtype,
        "share": choice.utilization,
        "turn": "lower" if choice.utilization < (goal.utilization or 0) else "raise",
    }
