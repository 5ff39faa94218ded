"""The smallest change that would make a model fit, found by searching again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from carferry.gpu.inventory.catalogue import Gpu, products
from carferry.gpu.inventory.nodes import Inventory, NodeGroup
from carferry.gpu.memory.estimate import Estimate, Model
from carferry.gpu.search.ways import FLOOR, ORDER, Goal, Option, search


@dataclass(frozen=True, slots=True)
class Change:
    """The smallest change that would make the model fit, and what it leads to."""

    what: str
    option: Option


def smallest_change(
    model: Model, inventory: Inventory, goal: Goal, current: Option
) -> Change | None:
    """Re-run the search with one thing changed, gentlest first; None if nothing helps."""
    better = ORDER[current.verdict]
    for what, changed_goal, changed in _changes(model, inventory, goal):
        found = search(model, changed, changed_goal)
        if found and ORDER[found[0].verdict] < better and found[0].best:
            return Change(what.format(**_words(found[0].best)), found[0])
    return None


def _changes(
    model: Model, inventory: Inventory, goal: Goal
) -> Iterator[tuple[str, Goal, Inventory]]:
    """Yield (what changes, goal, inventory), from a flag to other hardware."""
    for what, changed in _looser(model, goal):
        yield what, changed, inventory
    for count in (2, 4, 8):
        yield f"use nodes with {count} x {{gpu}}", goal, _grown(inventory, count)
    for gpu, count in _bigger(inventory):
        group = NodeGroup(gpu, count, count, resource=gpu.resource)
        yield f"add a node with {count} x {gpu.name}", goal, Inventory((group,), "named")


def _looser(model: Model, goal: Goal) -> Iterator[tuple[str, Goal]]:
    """Yield (what changes, goal) for everything a flag can change."""
    if goal.max_num_seqs:
        yield "lower --max-num-seqs to {seqs}", replace(goal, max_num_seqs=None)
    if goal.max_model_len:
        yield "lower --max-model-len to {length}", replace(goal, max_model_len=None)
    if goal.gpu_count or goal.nodes:
        yield "use tensor parallel size {tp}", replace(goal, gpu_count=None, nodes=None)
    for length in (4096, 2048):
        if length < min(goal.max_model_len or FLOOR, model.shape.positions):
            yield "serve --max-model-len {length}", replace(goal, max_model_len=length)
    if (goal.utilization or 0) < 0.95:
        yield "raise --gpu-memory-utilization to 0.95", replace(goal, utilization=0.95)
    if model.shape.quantization is None and not goal.quantization:
        packed = replace(goal, quantization="fp8")
        yield "quantize to 8 bits: --quantization=fp8, or take an FP8 checkpoint", packed


def _grown(inventory: Inventory, count: int) -> Inventory:
    groups = tuple(
        replace(group, free=count, total=count)
        for group in inventory.groups
        if group.total < count and not group.gpu.slices
    )
    return replace(inventory, groups=groups, allowances={}, per_pods={})


def _bigger(inventory: Inventory) -> Iterator[tuple[Gpu, int]]:
    """Yield whole GPUs of the same vendors that hold more in all, cheapest first."""
    vendors = {group.gpu.vendor for group in inventory.groups}
    have = max(group.gpu.memory_gib for group in inventory.groups)
    for count in (1, 2, 4, 8):
        for gpu in sorted(products(), key=lambda gpu: gpu.cost):
            if gpu.vendor in vendors and gpu.memory_gib * count > have:
                yield gpu, count


def _words(best: Estimate) -> dict[str, object]:
    choice = best.choice
    return {
        "seqs": choice.max_num_seqs,
        "length": choice.max_model_len,
        "tp": choice.tp,
        "gpu": choice.gpu.name,
    }
