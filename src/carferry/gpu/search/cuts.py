"""The ways to cut a model that are worth weighing on a node type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from carferry.gpu.inventory.nodes import NodeGroup
from carferry.gpu.search.option import Cut
from carferry.gpu.search.rules import rule_against
from carferry.gpu.search.scope import Scope

_MOST_STAGES = 4
_MANY_EXPERTS = 128
"""From here on, people deal experts out whole over a whole node: DeepSeek, MiniMax, Kimi."""


def cuts(scope: Scope, group: NodeGroup) -> Iterator[Cut]:
    """Yield the cuts worth weighing: GPUs of one node, then whole nodes as stages.

    Experts are dealt out whole as well where cutting them is refused, and on whole nodes if
    there are many of them.
    """
    for cut in _plain(scope, group):
        yield from _with_experts(scope, group, cut)


def _with_experts(scope: Scope, group: NodeGroup, cut: Cut) -> Iterator[Cut]:
    """Yield a cut with its experts cut, dealt out whole, or both, as was asked or is usual."""
    experts, asked = scope.shape.experts, scope.goal.expert_parallel
    whole = replace(cut, experts=True)
    if asked is not None or experts is None or cut.pod == 1:
        yield whole if asked else cut
        return
    yield cut
    usual = experts.count >= _MANY_EXPERTS and cut.pod == group.total
    if (usual or rule_against(scope, group, cut)) and not rule_against(scope, group, whole):
        yield whole


def _plain(scope: Scope, group: NodeGroup) -> Iterator[Cut]:
    """Yield the cuts by tensors and stages, on as many nodes as the user says."""
    goal, engines = scope.goal, scope.goal.data_parallel or 1
    most = max(_most(scope, group) // engines, 1)
    sizes = range(1, most + 1)
    if goal.gpu_count:
        sizes = range(max(goal.gpu_count // engines, 1), max(goal.gpu_count // engines, 1) + 1)
    yield from (Cut(tp, goal.nodes or 1, engines) for tp in sizes)
    alone = group.gpu.slices or group.gpu.shared
    if not alone and engines == 1 and not (goal.nodes or goal.gpu_count):
        yield from (Cut(most, pp) for pp in range(2, _stages(scope, group, most) + 1))


def _most(scope: Scope, group: NodeGroup) -> int:
    """Return the most GPUs one pod can have."""
    alone = group.gpu.slices or group.gpu.shared
    held = scope.inventory
    caps = (held.allowances.get(group.resource), held.per_pods.get(group.resource))
    return min(cap for cap in (group.free, *caps, 1 if alone else None) if cap is not None)


def _stages(scope: Scope, group: NodeGroup, most: int) -> int:
    """Return the most stages: the nodes there are, within the quota."""
    allowance = scope.inventory.allowances.get(group.resource)
    left = allowance if allowance is not None else most * group.nodes
    return min(group.nodes, left // most, _MOST_STAGES)
