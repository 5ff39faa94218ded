"""The plan: the cheapest option that fits or, if none does, what stands in the way.

For every node type and every way to cut the model across it, the gentlest settings that start
are kept. If nothing fits, the search runs again with one thing changed at a time, gentlest
first, and the first change that helps is named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from carferry.errors import DoesNotFit
from carferry.gpu.inventory.nodes import Inventory
from carferry.gpu.memory.choice import Choice
from carferry.gpu.search.changes import Change, smallest_change
from carferry.gpu.search.command import command_of
from carferry.gpu.search.goal import Goal, check_goal
from carferry.gpu.search.notes import calibrated_notes, notes_of
from carferry.gpu.search.option import Option
from carferry.gpu.search.unchecked import as_served
from carferry.gpu.search.ways import search
from carferry.gpu.sizing.estimate import Model, Verdict
from carferry.gpu.sizing.served import needed_flags, other_release
from carferry.gpu.units import GIB
from carferry.gpu.vllm.version import VllmVersion, find_version
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
    def version(self) -> VllmVersion:
        """The vLLM that is planned for."""
        return find_version(self.goal.vllm)

    @property
    def other_release(self) -> str:
        """The vLLM that serves the model, in words, if this one does on none of the GPUs."""
        gpus = [option.group.gpu for option in self.options]
        said = [other_release(self.model.shape, gpu, self.version)[1] for gpu in gpus]
        return said[0] if said and all(said) else ""

    @property
    def is_fit(self) -> bool:
        """Whether an option runs the model as far as is known, a tight one included."""
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
        return replace(
            command_of(self.model, self.goal, self.chosen.best),
            more=(*self.model.arguments, *needed_flags(self.model.shape, self.version)),
        )

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
        InputError: A wish that no GPU could meet, or that vLLM does not take.
    """
    goal = goal or Goal()
    model = as_served(model, goal)
    if not any(group.total for group in inventory.groups):
        raise DoesNotFit(
            "plan",
            model.subject,
            "no GPU nodes here",
            "add a GPU node or plan with --gpu 'L40S x2'",
        )
    check_goal(model, goal)
    held: dict[Choice, int] = {}
    options = search(model, inventory, goal, held)
    best = options[0]
    chosen = best if best.verdict is not Verdict.NO else None
    closest = chosen or _closest(options)
    settled = best.verdict in (Verdict.FITS, Verdict.UNCHECKED)
    change = None if settled else smallest_change(model, inventory, goal, best, held)
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
            *(*model.notes, *inventory.notes, *notes_of(model, goal, chosen)),
            *calibrated_notes(model, goal, closest),
        ),
    )


def _closest(options: tuple[Option, ...]) -> Option:
    weighed = [option for option in options if option.best]
    return min(weighed, key=lambda o: o.best.shortfall if o.best else 0, default=options[0])
