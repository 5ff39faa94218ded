"""The plan: the cheapest option that fits or, if none does, what stands in the way.

For every node type and every way to cut the model across it, the gentlest settings that start
are kept. If nothing fits, the search runs again with one thing changed at a time, gentlest
first, and the first change that helps is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from carferry.errors import DoesNotFit, InputError
from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.inventory.nodes import Inventory
from carferry.gpu.memory.estimate import Choice, Model, Verdict, estimate
from carferry.gpu.memory.limits import weight_only
from carferry.gpu.memory.vllm_version import find_version
from carferry.gpu.search.changes import Change, smallest_change
from carferry.gpu.search.ways import Goal, Option, search
from carferry.gpu.units import GIB
from carferry.gpu.vllm_args import VllmArgs

__all__ = ["Change", "Goal", "GpuPlan", "Option", "plan"]


@dataclass(frozen=True, slots=True)
class GpuPlan:
    """The decision, with everything a report needs.

    Attributes:
        chosen: The cheapest option that fits (or is tight, if none fits); None if none does.
        options: Every option that was tried, best first.
        binding: What stands in the way, or what is scarcest.
        shortfall_gib: GiB missing per GPU on the closest option; 0 if it fits.
        change: The smallest change that helps; None if none is needed or none was found.
        notes: What a reader should know besides, a line each.
    """

    model: Model
    goal: Goal
    inventory: Inventory
    verdict: Verdict
    chosen: Option | None
    options: tuple[Option, ...]
    binding: str
    shortfall_gib: float
    change: Change | None
    notes: tuple[str, ...]

    @property
    def is_fit(self) -> bool:
        """Whether an option runs the model, a tight one included."""
        return self.chosen is not None

    @property
    def gpu_resource(self) -> str:
        """The extended resource each pod asks for; empty if nothing fits."""
        return self.chosen.gpu_resource if self.chosen else ""

    @property
    def gpu_count(self) -> int:
        """GPUs each pod asks for; 0 if nothing fits."""
        return self.chosen.gpu_count if self.chosen else 0

    @property
    def vllm_args(self) -> VllmArgs | None:
        """VLLM's arguments for the chosen option, explicit and complete; None if nothing fits."""
        if not (self.chosen and self.chosen.best):
            return None
        return replace(_vllm_args(self.chosen.best.choice), more=self.model.arguments)

    @property
    def arguments(self) -> tuple[str, ...]:
        """``vllm_args`` as a command line takes them; empty if nothing fits."""
        return self.vllm_args.render() if self.vllm_args else ()

    @property
    def changes(self) -> tuple[str, ...]:
        """The smallest changes that would make it fit, in words; empty if none is known."""
        return (self.change.what,) if self.change else ()


def plan(model: Model, inventory: Inventory, goal: Goal | None = None) -> GpuPlan:
    """Decide how a model runs on an inventory.

    Raises:
        DoesNotFit: The inventory holds no GPU at all.
        InputError: The goal asks for a longer context than the model has.
    """
    goal = goal or Goal()
    if not any(group.total for group in inventory.groups):
        raise DoesNotFit(
            "plan",
            model.subject,
            "no GPU nodes here",
            "add a GPU node or plan with --gpu 'L40S x2'",
        )
    check_goal(model, goal)
    options = search(model, inventory, goal)
    best = options[0]
    chosen = best if best.verdict is not Verdict.NO else None
    closest = chosen or _closest(options)
    change = None if best.verdict is Verdict.FITS else smallest_change(model, inventory, goal, best)
    return GpuPlan(
        model=model,
        goal=goal,
        inventory=inventory,
        verdict=best.verdict,
        chosen=chosen,
        options=options,
        binding=closest.best.binding if closest.best else closest.reason,
        shortfall_gib=closest.best.shortfall / GIB if closest.best else 0.0,
        change=change,
        notes=(
            *(*model.notes, *inventory.notes, *_notes(model, goal, chosen)),
            *_calibrated(model, goal, closest),
        ),
    )


def _vllm_args(choice: Choice) -> VllmArgs:
    """Return the arguments of a choice; nothing it decided is left to a default."""
    return VllmArgs(
        tensor_parallel_size=choice.tp,
        pipeline_parallel_size=choice.pp if choice.pp > 1 else None,
        dtype=choice.dtype,
        quantization=choice.quantization or None,
        kv_cache_dtype=choice.kv_dtype if choice.kv_dtype != "auto" else None,
        max_model_len=choice.max_model_len,
        max_num_seqs=choice.max_num_seqs,
        max_num_batched_tokens=choice.max_num_batched_tokens,
        gpu_memory_utilization=choice.utilization,
    )


def check_goal(model: Model, goal: Goal) -> None:
    """Refuse a goal that no GPU could meet.

    Raises:
        InputError: A longer context than the model has, or no share of a GPU.
    """
    longest = model.shape.positions
    if goal.max_model_len is not None and not 0 < goal.max_model_len <= longest:
        reason = f"context of {goal.max_model_len} tokens, the model has 1 to {longest}"
        raise InputError("plan", model.subject, reason, "lower --max-model-len")
    if goal.utilization is not None and not 0 < goal.utilization <= 1:
        raise InputError("plan", model.subject, f"utilization {goal.utilization} is not in (0, 1]")


def _closest(options: tuple[Option, ...]) -> Option:
    weighed = [option for option in options if option.best]
    return min(weighed, key=lambda o: o.best.shortfall if o.best else 0, default=options[0])


def _notes(model: Model, goal: Goal, chosen: Option | None) -> Iterator[str]:
    """Yield what a reader should know about the chosen option."""
    if chosen is None or chosen.best is None:
        return
    choice, longest = chosen.best.choice, model.shape.positions
    if goal.max_model_len is None and choice.max_model_len < longest:
        served = f"{choice.max_model_len} of the model's {longest} tokens"
        yield f"context cut to {served}; pin --max-model-len"
    if choice.kv_dtype == "fp8" and goal.kv_dtype is None and model.shape.kv_dtype is None:
        yield "KV cache in fp8 to make it fit: a little less exact; pin --kv-cache-dtype=auto"
    if chosen.pp > 1:
        yield f"pipeline parallel across {chosen.pp} nodes needs a multi-node runtime"
    if not goal.prices:
        yield "cheapest by the catalogue's relative prices; pass prices to order by your own"
    yield from _gpu_notes(model, choice.gpu)


def _calibrated(model: Model, goal: Goal, option: Option) -> Iterator[str]:
    """Name the log that corrected the estimate, and what it changed."""
    log = option.best.choice.calibration if option.best else None
    if option.best and log:
        bare = replace(option.best.choice, calibration=None)
        before = estimate(model, bare, find_version(goal.vllm)).overhead
        yield log.told(before, option.best.overhead)


def _gpu_notes(model: Model, gpu: Gpu) -> Iterator[str]:
    if weight_only(model.shape.quantization, gpu):
        yield f"{gpu.name} has no FP8 arithmetic: FP8 weights save memory, not time"
    if not gpu.measured:
        yield f"memory of {gpu.name} is not measured; it comes from a label or data sheet"
    if gpu.shared:
        yield "time-sliced GPU: other pods hold memory on it, so vLLM may refuse to start"
