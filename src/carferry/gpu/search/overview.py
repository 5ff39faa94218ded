"""How few of each common GPU a model fits on: an overview, where nobody has named a GPU yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from carferry.gpu.inventory.catalogue import COMMON, find
from carferry.gpu.inventory.nodes import Inventory, NodeGroup
from carferry.gpu.search.goal import Goal, check_goal
from carferry.gpu.search.option import Option
from carferry.gpu.search.unchecked import as_served, is_roomy
from carferry.gpu.search.ways import search
from carferry.gpu.sizing.estimate import Model, Verdict
from carferry.gpu.units import gib

COUNTS = (1, 2, 4, 8)
"""GPUs that nodes have."""


@dataclass(frozen=True, slots=True)
class GpuFit:
    """What one common GPU can do for a model.

    Attributes:
        gpu: Its name, as ``--gpu`` takes it.
        memory_gib: Of one, as torch sees it.
        count: The fewest of 1, 2, 4, 8 in one node that the model fits on; if it does not, the
            number that comes closest.
        verdict: ``fits``, ``tight``, ``unchecked`` (only the weights are known) or ``no``.
        context: The longest input that can be served there, tokens; 0 if none, or if unknown.
        why: Why not, as GiB that each GPU lacks; empty if it fits.
    """

    gpu: str
    memory_gib: float
    count: int
    verdict: str
    context: int
    why: str


def overview(model: Model, goal: Goal) -> tuple[GpuFit, ...]:
    """Return a row for each common GPU, in the catalogue's order.

    Raises:
        InputError: The goal asks for a longer context than the model has.
    """
    model = as_served(model, goal)
    check_goal(model, goal)
    most = COUNTS[-1]
    gpus = [find(name) for name in COMMON]
    groups = tuple(NodeGroup(gpu, most, most, resource=gpu.resource) for gpu in gpus)
    options = search(model, Inventory(groups, "named"), goal)
    return tuple(
        _row(model, [o for o in options if o.group is group and o.tp in COUNTS]) for group in groups
    )


def _row(model: Model, options: Sequence[Option]) -> GpuFit:
    gpu = options[0].group.gpu
    by_count = sorted(options, key=lambda option: option.tp)
    found = next(filter(None, (_first(by_count, verdict) for verdict in _GOOD)), None)
    if found and found.best:
        verdict = found.verdict
        known = found.best.choice.max_model_len if found.best.is_sized else 0
        why = (_WHY[verdict] if found.best.is_weighed else _UNWEIGHED).format(model.shape.unknown)
        return GpuFit(gpu.name, gpu.memory_gib, found.tp, verdict.value, known, why)
    closest = min(by_count, key=lambda o: o.best.shortfall if o.best else float("inf"))
    why = f"{gib(closest.best.shortfall):.1f} GiB short" if closest.best else closest.reason
    return GpuFit(gpu.name, gpu.memory_gib, closest.tp, Verdict.NO.value, 0, why)


def _first(by_count: Sequence[Option], verdict: Verdict) -> Option | None:
    """Return the fewest GPUs with a verdict; of what is unknown, the fewest with room to spare."""
    found = [option for option in by_count if option.verdict is verdict and option.best]
    roomy = [option for option in found if option.best and is_roomy(option.best)]
    if verdict is Verdict.UNCHECKED and found and found[0].best and found[0].best.is_weighed:
        return next(iter(roomy), found[-1] if found else None)
    return next(iter(found), None)


_GOOD = (Verdict.FITS, Verdict.TIGHT, Verdict.UNCHECKED)
_UNWEIGHED = "nothing is known of its weights: {}"
_WHY = {
    Verdict.FITS: "",
    Verdict.TIGHT: "the margin is below our own error",
    Verdict.UNCHECKED: "by its weights alone: {} is not known",
}
