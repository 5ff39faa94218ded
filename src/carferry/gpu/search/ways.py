"""Every way to run a model on an inventory, estimated and ordered, cheapest first.

For every node type and every way to cut the model across it, settings are tried from vLLM's
own defaults to the most frugal, and the gentlest that start are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.inventory.nodes import Inventory, NodeGroup
from carferry.gpu.search.cuts import cuts
from carferry.gpu.search.goal import Goal, effective
from carferry.gpu.search.option import ORDER, Cut, Option, option_of
from carferry.gpu.search.rules import reason_against
from carferry.gpu.search.scope import Scope, scope_of
from carferry.gpu.search.settings import FLOOR, gentlest
from carferry.gpu.search.unchecked import is_roomy, unserved, weigh_unknown
from carferry.gpu.sizing.estimate import Choice, Estimate, Model, Verdict, estimate, weights_of
from carferry.gpu.units import GIB

_WEIGHTLESS: dict[str, Any] = {
    "max_num_seqs": 0, "max_model_len": 0, "kv_dtype": "auto", "utilization": 1.0,
    "concurrency": 1.0, "calibration": None,
}  # fmt: skip
"""Settings that weights do not depend on, as one value each."""

__all__ = ["FLOOR", "ORDER", "Goal", "Option", "search"]


def search(
    model: Model, inventory: Inventory, goal: Goal, held: dict[Choice, int] | None = None
) -> tuple[Option, ...]:
    """Return every option: those that fit first, the cheapest of them first.

    Args:
        model: What is planned for.
        inventory: GPUs to plan for.
        goal: What is wanted.
        held: Weights of cuts of this very model, for this vLLM, that are known already; more
            are added.
    """
    scope = scope_of(model, inventory, effective(model, goal))
    weigh = _weigher(scope, {} if held is None else held)
    found = [
        _option(scope, group, cut, weigh)
        for group in inventory.groups
        for cut in cuts(scope, group)
    ]
    return _distinct(sorted(found, key=_rank))


def _weigher(scope: Scope, held: dict[Choice, int]) -> Callable[[Choice], Estimate]:
    """Return the estimate of a choice, each worked out once, and each cut's weights once."""
    known: dict[Choice, Estimate] = {}

    def weigh(choice: Choice) -> Estimate:
        if choice not in known:
            alike = replace(choice, **_WEIGHTLESS)
            if alike not in held:
                held[alike] = weights_of(scope.model, alike, scope.version)
            known[choice] = estimate(scope.model, choice, scope.version, held[alike])
        return known[choice]

    return weigh


def _distinct(options: list[Option]) -> tuple[Option, ...]:
    """Keep the best of options that differ only in how many GPUs their nodes have left."""
    best: dict[tuple[object, ...], Option] = {}
    for option in options:
        group, cut = option.group, (option.tp, option.pp, option.dp, option.expert_parallel)
        best.setdefault((group.gpu.name, group.resource, *cut), option)
    return tuple(best.values())


def _option(
    scope: Scope, group: NodeGroup, cut: Cut, weigh: Callable[[Choice], Estimate]
) -> Option:
    cost = _price(group.gpu, scope.goal) * cut.gpus
    if reason := reason_against(scope, group, cut):
        return option_of(group, cut, cost, None, reason)
    if scope.shape.unknown or unserved(group.gpu):
        return option_of(group, cut, cost, weigh_unknown(scope, group, cut))
    return option_of(group, cut, cost, gentlest(scope, group, cut, weigh))


def _rank(option: Option) -> tuple[object, ...]:
    """Return the sort key: verdict, nodes are there, room, price, GPUs, nodes, how far off."""
    best, verdict = option.best, option.verdict
    missing = best.shortfall / GIB if best else float("inf")
    cramped = verdict is Verdict.UNCHECKED and best is not None and not is_roomy(best)
    price = option.cost if verdict is not Verdict.NO else 0.0
    gpus = option.gpu_count * option.pp if price else 0
    return (
        ORDER[verdict], option.group.absent, cramped, -best.kv if cramped and best else 0, price,
        gpus, option.pp if price else 0, missing, option.expert_parallel, -option.group.nodes,
    )  # fmt: skip


def _price(gpu: Gpu, goal: Goal) -> float:
    return (goal.prices or {}).get(gpu.name, gpu.cost)
