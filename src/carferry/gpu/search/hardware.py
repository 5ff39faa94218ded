"""Other hardware that a plan may advise, from more of the same to another card.

A question about data centres is answered with cards of data centres (``Gpu.segment``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from carferry.gpu.inventory.catalogue import Gpu, advised, find
from carferry.gpu.inventory.nodes import Inventory, NodeGroup
from carferry.gpu.inventory.products import CENTRE
from carferry.gpu.inventory.resources import MIG
from carferry.gpu.inventory.slices import Profile, parents_of, profiles_of
from carferry.gpu.search.goal import Goal

_COUNTS = (2, 4, 8)
_SLICE = re.compile(r"(?:(.+)-)?MIG-([0-9]+g\.[0-9]+gb)(?:-SHARED)?")
_MORE = 1.05
"""How much more a slice must hold than another to be worth a change."""

Step = tuple[str, Inventory, Goal]


def other_hardware(inventory: Inventory, goal: Goal) -> Iterator[Step]:
    """Yield (what changes, GPUs, goal), from the GPUs of the same node to another card."""
    open_goal = replace(goal, gpu_count=None, nodes=None)
    yield from _more_of_the_node(inventory, open_goal)
    yield from _larger_slices(inventory, open_goal)
    yield from _more_nodes(inventory, open_goal)
    yield from _other_cards(inventory, open_goal)


def _more_of_the_node(inventory: Inventory, goal: Goal) -> Iterator[Step]:
    """Yield the GPUs that others use now, then nodes with more of the same."""
    busy = [group for group in inventory.groups if group.free < group.total]
    if busy:
        freed = tuple(replace(group, free=group.total) for group in busy)
        said = "free the GPUs that other pods use: {gpus} x {gpu} in one node"
        yield said, _unlimited(inventory, freed), replace(goal, nodes=1)
    if inventory.allowances or inventory.per_pods:
        said = "raise the quota or LimitRange of the namespace: {gpus} x {gpu} in one pod"
        yield said, _unlimited(inventory, inventory.groups), goal
    for count in _COUNTS:
        groups = tuple(
            replace(group, free=count, total=count)
            for group in inventory.groups
            if group.total < count and not (group.gpu.slices or group.gpu.shared)
        )
        if groups:
            said = f"use nodes with {count} x {{gpu}}"
            yield said, _unlimited(inventory, groups), replace(goal, nodes=1)


def _larger_slices(inventory: Inventory, goal: Goal) -> Iterator[Step]:
    """Yield larger slices of the same card, then the whole card, smallest first."""
    for group in inventory.groups:
        for gpu in _above(group.gpu):
            said = "use a larger MIG slice: {gpu}" if gpu.slices else "use a whole {gpu}"
            # The single strategy offers slices by the name of whole GPUs.
            own = group.resource.startswith(MIG) or not gpu.slices
            larger = NodeGroup(gpu, 1, 1, resource=gpu.resource if own else group.resource)
            yield said, Inventory((larger,), "named"), replace(goal, nodes=1)


def _above(gpu: Gpu) -> Iterator[Gpu]:
    """Yield what holds more of the card that a slice is of; nothing for a GPU that is none.

    If nobody says which card it is of, first what every such card has.
    """
    match = _SLICE.fullmatch(gpu.name)
    profile = Profile.parse(match[2]) if match else None
    if match is None or profile is None:
        return
    held = [profiles_of(parent) for parent in ((match[1],) if match[1] else parents_of(profile))]
    found = dict.fromkeys(name for names in held for name in names)
    for name in sorted(found, key=lambda each: sum(each not in names for names in held)):
        larger = find(f"{match[1]}-MIG-{name}" if match[1] else f"MIG-{name}")
        is_whole = bool(match[1]) and name == held[0][-1]
        if larger.memory_gib > gpu.memory_gib * _MORE:
            yield find(match[1]) if is_whole else larger


def _more_nodes(inventory: Inventory, goal: Goal) -> Iterator[Step]:
    """Yield a second node, then a fourth, of what there is."""
    for nodes in (2, 4):
        groups = tuple(
            replace(group, nodes=max(group.nodes, nodes), free=group.total)
            for group in inventory.groups
            if not (group.gpu.slices or group.gpu.shared)
        )
        if groups:
            said = f"span {nodes} nodes with {{gpus}} x {{gpu}} each, as stages of a pipeline"
            yield said, _unlimited(inventory, groups), replace(goal, nodes=nodes)


def _other_cards(inventory: Inventory, goal: Goal) -> Iterator[Step]:
    """Yield whole cards of the same vendors that hold more in all, the smallest count first."""
    held = {group.gpu.name for group in inventory.groups}
    vendors = {group.gpu.vendor for group in inventory.groups}
    have = max((group.gpu.memory_gib for group in inventory.groups), default=0.0)
    centre = any(group.gpu.segment == CENTRE for group in inventory.groups)
    for count in (1, *_COUNTS):
        for gpu in advised():
            fitting = gpu.vendor in vendors and (gpu.segment == CENTRE or not centre)
            if fitting and gpu.name not in held and gpu.memory_gib * count > have:
                group = NodeGroup(gpu, count, count, resource=gpu.resource)
                said = f"add a node with {count} x {gpu.name}"
                yield said, Inventory((group,), "named"), replace(goal, nodes=1)


def _unlimited(inventory: Inventory, groups: tuple[NodeGroup, ...]) -> Inventory:
    return replace(inventory, groups=groups, allowances={}, per_pods={})
