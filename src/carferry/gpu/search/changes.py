"""The smallest change that would make a model fit, found by searching again.

Changes are tried from the gentlest to other hardware: fewer sequences, a shorter context, an
8-bit cache, weights of fewer bits, more GPUs of the same node, a larger slice, a second node,
another card. Each is searched like the question itself, so that what is named obeys every rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from carferry.gpu.inventory.nodes import Inventory
from carferry.gpu.memory.choice import Choice
from carferry.gpu.search.goal import Goal
from carferry.gpu.search.hardware import other_hardware
from carferry.gpu.search.option import ORDER, Option
from carferry.gpu.search.settings import FLOOR, SEQS
from carferry.gpu.search.ways import search
from carferry.gpu.shape.shape import ModelShape, Quantization
from carferry.gpu.sizing.estimate import Estimate, Model
from carferry.gpu.sizing.served import other_release
from carferry.gpu.vllm.version import find_version

_PACKED_BITS = 4.5
"""Bits of a weight with its scales and zeros in groups of 64 or 128 (AWQ, GPTQ, NVFP4)."""

_PARTS = ("attention", "mlp", "shared", "experts", "state")
_SHORT = (4096, 2048)


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
    better = ORDER[current.verdict]
    for trial in _trials(model, inventory, goal):
        same = trial.model is model and trial.goal.vllm == goal.vllm
        known = held if same else None
        found = search(trial.model, trial.inventory, trial.goal, known)
        if found and ORDER[found[0].verdict] < better and found[0].best:
            what = trial.what.format(**_words(found[0].best))
            return Change(what, found[0], trial.model, trial.goal)
    return None


def _trials(model: Model, inventory: Inventory, goal: Goal) -> Iterator[_Trial]:
    """Yield what is tried: another vLLM if this one cannot, then a flag, then other hardware."""
    release, said = _other_release(model, inventory, goal)
    if not release:
        yield from _same_release(model, inventory, goal)
        return
    with_it, goal = f"serve it with {said}: --vllm {release}", replace(goal, vllm=release)
    yield _Trial(with_it, model, inventory, goal)
    for trial in _same_release(model, inventory, goal):
        yield replace(trial, what=f"{with_it}, and {trial.what}")


def _other_release(model: Model, inventory: Inventory, goal: Goal) -> tuple[str, str]:
    """Return the vLLM that serves the model where this one does on none of the GPUs."""
    version = find_version(goal.vllm)
    found = [other_release(model.shape, group.gpu, version) for group in inventory.groups]
    return found[0] if found and all(release for release, _ in found) else ("", "")


def _same_release(model: Model, inventory: Inventory, goal: Goal) -> Iterator[_Trial]:
    for what, changed in _looser(model, goal):
        yield _Trial(what, model, inventory, changed)
    for what, revision, changed in _packed(model, goal):
        yield _Trial(what, revision, inventory, changed)
    for what, changed_inventory, changed in other_hardware(inventory, goal):
        yield _Trial(what, model, changed_inventory, changed)


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
        said = (
            "raise --gpu-memory-utilization to {share:g}, which you set to "
            + f"{goal.utilization:g}"
        )
        yield said, replace(goal, utilization=None)
    yield from _other_cut(goal)


def _shorter(model: Model, goal: Goal) -> Iterator[tuple[str, Goal]]:
    if goal.max_model_len and goal.max_model_len > FLOOR:
        said = f"lower --max-model-len to {{length}}, which you set to {goal.max_model_len}"
        yield said, replace(goal, max_model_len=None)
    for length in _SHORT:
        if length < min(goal.max_model_len or FLOOR, model.shape.positions):
            said = f", which you set to {goal.max_model_len}" if goal.max_model_len else ""
            yield f"serve --max-model-len {{length}}{said}", replace(goal, max_model_len=length)


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


def _words(best: Estimate) -> dict[str, object]:
    choice = best.choice
    return {
        "seqs": choice.max_num_seqs,
        "length": choice.max_model_len,
        "tp": choice.tp,
        "gpus": choice.tp * choice.data_parallel,
        "stages": choice.pp,
        "gpu": choice.gpu.name,
        "share": choice.utilization,
    }
