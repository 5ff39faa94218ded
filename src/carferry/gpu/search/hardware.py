"""Other hardware that a plan may advise, from more of the same to another card.

Of what is not there, only cards are advised that people add to a cluster (``advised``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import Gpu, advised, find
from carferry.gpu.inventory.nodes import Inventory, NodeGroup
from carferry.gpu.search.goal import Goal

_COUNTS = (2, 4, 8)
_SLICES = ("1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb")
"""Profiles of an 80 GB card; others scale with its memory (mig-parted ``examples/config.yaml``)."""

_PROFILE = re.compile(r"-MIG-\d+g\.\d+gb$")
Step = tuple[str, Inventory, Goal]


def other_hardware(inventory: Inventory, goal: Goal) -> Iterator[Iterator[Step]]:
    """Yield steps of (what changes, GPUs, goal), from GPUs of the same node to another card.

    What the cluster and its profiles have is in the inventory, and so comes before what is not.
    """
    open_goal = replace(goal, gpu_count=None, nodes=None)
    yield _more_of_the_node(inventory, open_goal)
    yield _larger_slices(inventory, open_goal)
    yield _more_nodes(inventory, open_goal)
    yield _other_cards(inventory, open_goal)


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
        if not group.gpu.slices:
            continue
        parent = _PROFILE.sub("", group.gpu.name)
        for gpu in _above(parent, group.gpu):
            said = "use a larger MIG slice: {gpu}" if gpu.slices else "use a whole {gpu}"
            resource = group.resource if gpu.slices else gpu.resource
            larger = NodeGroup(gpu, 1, 1, resource=resource)
            yield said, Inventory((larger,), "named"), replace(goal, nodes=1)


def _above(parent: str, gpu: Gpu) -> Iterator[Gpu]:
    try:
        whole = find(parent)
    except InputError:
        return
    scale = max(round(whole.memory_gib / 80 * 4) / 4, 0.25)
    for profile in _SLICES:
        compute, size = profile.removesuffix("gb").split("g.")
        larger = find(f"{parent}-MIG-{compute}g.{int(int(size) * scale)}gb")
        if larger.memory_gib > gpu.memory_gib * 1.05 and compute != "7":
            yield larger
    yield whole


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
    """Yield whole cards of the same vendors that hold more in all, the smallest count first.

    A node of any of these counts is weighed with all of its GPUs: fewer were weighed before.
    """
    held = {group.gpu.name for group in inventory.groups}
    vendors = {group.gpu.vendor for group in inventory.groups}
    have = max((group.gpu.memory_gib for group in inventory.groups), default=0.0)
    for count, gpu in _nodes_to_add():
        other = gpu.vendor in vendors and gpu.name not in held
        if other and gpu.memory_gib * count > have:
            group = NodeGroup(gpu, count, count, resource=gpu.resource)
            said = f"add a node with {count} x {gpu.name}"
            yield said, Inventory((group,), "named"), replace(goal, nodes=1, gpu_count=count)


def _nodes_to_add() -> Iterator[tuple[int, Gpu]]:
    """Yield (GPUs, card): what most have, the smallest count first, then newer cards."""
    for cards in advised():
        yield from ((count, gpu) for count in (1, *_COUNTS) for gpu in cards)


def _unlimited(inventory: Inventory, groups: tuple[NodeGroup, ...]) -> Inventory:
    return replace(inventory, groups=groups, allowances={}, per_pods={})
