"""Every way to run a model on an inventory, estimated and ordered, cheapest first.

For every node type and every way to cut the model across it, settings are tried from vLLM's
own defaults to the most frugal, and the gentlest that start are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.inventory.nodes import Inventory, NodeGroup
from carferry.gpu.memory.calibration import Calibration, calibration_for
from carferry.gpu.memory.estimate import (
    Choice,
    Estimate,
    Model,
    Verdict,
    cache_of,
    default_choice,
    estimate,
    loaded_shape,
)
from carferry.gpu.memory.limits import dtype_reason, kv_dtypes, quantization_reason
from carferry.gpu.memory.parallel import pipeline_reason, tensor_reason
from carferry.gpu.memory.vllm_version import LATEST, VllmVersion, find_version
from carferry.gpu.model.shape import ModelShape
from carferry.gpu.units import GIB

FLOOR = 8192
"""Shortest context worth serving if the user names none, tokens."""

ORDER = {verdict: place for place, verdict in enumerate(Verdict)}
"""Verdicts from best to worst."""

_SEQS = (1024, 512, 256, 128, 64, 32)
_STEP = 256  # tokens: a shorter context is a multiple of it
_MOST_STAGES = 4


@dataclass(frozen=True, slots=True)
class Goal:
    """What the user wants; what is None is the plan's to choose.

    Attributes:
        vllm: Version of the serving image.
        max_model_len: Context that must fit, tokens.
        max_num_seqs: Sequences at once.
        dtype: ``bfloat16``, ``float16`` or ``float32``.
        kv_dtype: ``auto`` or ``fp8``.
        gpu_count: GPUs in one pod.
        nodes: Nodes the model may span, as stages of a pipeline.
        utilization: Share of a GPU's total memory vLLM may take, above 0 and at most 1.
        quantization: ``fp8`` to quantize while loading; empty to load as stored.
        concurrency: Requests of that length that must fit at once.
        prices: Price of an hour per GPU name, in any unit; the catalogue's ranks otherwise.
        image_bytes: Size of the model image, to compare with node disks.
        calibrations: What logs of the serving image have corrected.
    """

    vllm: str = LATEST
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    dtype: str | None = None
    kv_dtype: str | None = None
    gpu_count: int | None = None
    nodes: int | None = None
    utilization: float | None = None
    quantization: str = ""
    concurrency: float = 1.0
    prices: Mapping[str, float] | None = None
    image_bytes: int | None = None
    calibrations: tuple[Calibration, ...] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """A node type with the model cut one way: its best estimate, or the reason there is none.

    Attributes:
        tp: Tensor parallel size: GPUs of one node.
        pp: Pipeline parallel size: nodes.
        cost: Price of an hour of all its GPUs, in the goal's unit or the catalogue's ranks.
        best: The gentlest settings that fit, else the closest; None if a rule forbids all.
        reason: Why there is no estimate; empty if there is one.
    """

    group: NodeGroup
    tp: int
    pp: int
    cost: float
    best: Estimate | None
    reason: str = ""

    @property
    def verdict(self) -> Verdict:
        """The estimate's verdict; ``no`` if a rule forbids the option."""
        return self.best.verdict if self.best else Verdict.NO

    @property
    def gpu_resource(self) -> str:
        """The extended resource each pod asks for."""
        return self.group.resource

    @property
    def gpu_count(self) -> int:
        """GPUs each pod asks for: the tensor parallel size."""
        return self.tp


@dataclass(frozen=True, slots=True)
class _Scope:
    """What stays the same over one search."""

    model: Model
    inventory: Inventory
    goal: Goal
    version: VllmVersion
    shape: ModelShape


def search(model: Model, inventory: Inventory, goal: Goal) -> tuple[Option, ...]:
    """Return every option: those that fit first, the cheapest of them first."""
    shape = loaded_shape(model.shape, goal.quantization)
    scope = _Scope(model, inventory, goal, find_version(goal.vllm), shape)
    found = [
        _option(scope, group, tp, pp)
        for group in inventory.groups
        for tp, pp in _cuts(group, inventory, goal)
    ]
    return _distinct(sorted(found, key=_rank))


def _distinct(options: list[Option]) -> tuple[Option, ...]:
    """Keep the best of options that differ only in how many GPUs their nodes have left."""
    best: dict[tuple[str, str, int, int], Option] = {}
    for option in options:
        group = option.group
        best.setdefault((group.gpu.name, group.resource, option.tp, option.pp), option)
    return tuple(best.values())


def _cuts(group: NodeGroup, inventory: Inventory, goal: Goal) -> Iterator[tuple[int, int]]:
    """Yield the (tp, pp) worth weighing: GPUs of one node, then whole nodes as stages."""
    if goal.gpu_count or goal.nodes:
        yield goal.gpu_count or 1, goal.nodes or 1
        return
    alone = group.gpu.slices or group.gpu.shared
    allowance = inventory.allowances.get(group.resource)
    caps = (allowance, inventory.per_pods.get(group.resource), 1 if alone else None)
    most = min(cap for cap in (group.free, *caps) if cap is not None)
    for tp in range(1, max(most, 1) + 1):
        yield tp, 1
    left = allowance if allowance is not None else most * group.nodes
    if most > 1:
        for pp in range(2, min(group.nodes, left // most, _MOST_STAGES) + 1):
            yield most, pp


def _option(scope: _Scope, group: NodeGroup, tp: int, pp: int) -> Option:
    cost = _price(group.gpu, scope.goal) * tp * pp
    reason = _capacity_reason(scope, group, tp, pp) or _rule_reason(scope, group, tp, pp)
    if reason:
        return Option(group, tp, pp, cost, None, reason)
    tried = [
        estimate(scope.model, choice, scope.version) for choice in _choices(scope, group, tp, pp)
    ]
    return Option(group, tp, pp, cost, _gentlest(tried))


def _gentlest(tried: list[Estimate]) -> Estimate:
    """Return the first that fits, else the first that is tight, else the closest."""
    for verdict in (Verdict.FITS, Verdict.TIGHT):
        for work in tried:
            if work.verdict is verdict:
                return work
    return min(tried, key=lambda work: work.shortfall)


def _capacity_reason(scope: _Scope, group: NodeGroup, tp: int, pp: int) -> str:
    """Return why these GPUs cannot be had; empty if they can."""
    allowance = scope.inventory.allowances.get(group.resource)
    per_pod = scope.inventory.per_pods.get(group.resource)
    in_one_node = pp > 1 and tp * pp <= group.free
    cases = (
        (group.free < 1, f"all {group.total} GPUs of the node are in use"),
        (tp > group.free, f"needs {tp} GPUs in one node, {group.free} are free"),
        (pp > group.nodes and not in_one_node, f"needs {pp} such nodes, there are {group.nodes}"),
        (
            allowance is not None and tp * pp > allowance,
            f"needs {tp * pp} GPUs, the namespace's quota leaves {allowance}",
        ),
        (
            per_pod is not None and tp > per_pod,
            f"needs {tp} GPUs in one pod, the LimitRange allows {per_pod}",
        ),
        (tp > 1 and group.gpu.slices, "MIG slices cannot be joined"),
        (tp > 1 and group.gpu.shared, "time-sliced GPUs cannot be joined"),
    )
    return next((reason for holds, reason in cases if holds), _disk_reason(group, scope.goal))


def _rule_reason(scope: _Scope, group: NodeGroup, tp: int, pp: int) -> str:
    """Return the rule of vLLM that forbids an option; empty if none does."""
    dtype = scope.goal.dtype or default_choice(scope.shape, group.gpu, scope.version).dtype
    return (
        quantization_reason(scope.shape, group.gpu, scope.version)
        or dtype_reason(scope.shape, group.gpu, dtype)
        or tensor_reason(scope.shape, tp)
        or pipeline_reason(scope.shape, pp)
    )


def _disk_reason(group: NodeGroup, goal: Goal) -> str:
    """Return why the disk is too small: a cold pull holds the image twice, packed and unpacked."""
    if goal.image_bytes is None or group.disk_bytes is None or group.warm:
        return ""
    needed = 2 * goal.image_bytes
    if needed <= group.disk_bytes:
        return ""
    return (
        f"ephemeral storage {group.disk_bytes / GIB:.1f} GiB, "
        f"the image needs {needed / GIB:.1f} GiB (pulled and unpacked)"
    )


def _choices(scope: _Scope, group: NodeGroup, tp: int, pp: int) -> Iterator[Choice]:
    """Yield settings from vLLM's own defaults to the most frugal ones that were not ruled out."""
    goal, base = scope.goal, default_choice(scope.shape, group.gpu, scope.version)
    base = replace(
        base,
        tp=tp,
        pp=pp,
        dtype=goal.dtype or base.dtype,
        utilization=_share(goal.utilization or base.utilization, group.replicas),
        quantization=goal.quantization,
        max_model_len=goal.max_model_len or base.max_model_len,
        concurrency=goal.concurrency,
        calibration=calibration_for(goal.calibrations, group.gpu.name, tp * pp),
    )
    caches = (goal.kv_dtype,) if goal.kv_dtype else kv_dtypes(scope.shape, group.gpu)
    for kv_dtype in caches:
        for seqs in _sequences(base, goal):
            choice = replace(base, kv_dtype=kv_dtype, max_num_seqs=seqs)
            yield choice
            if goal.max_model_len is None:
                yield from _shorter(scope, choice)


def _share(utilization: float, replicas: int) -> float:
    """Divide the share among the pods of a time-sliced GPU, rounded down to a short number."""
    return utilization if replicas == 1 else int(utilization / replicas * 1000) / 1000


def _sequences(base: Choice, goal: Goal) -> tuple[int, ...]:
    """Return the sequence limits to try, never below the requests that must run at once."""
    if goal.max_num_seqs:
        return (goal.max_num_seqs,)
    least = min(goal.concurrency, base.max_num_seqs)
    return tuple(seqs for seqs in _SEQS if least <= seqs <= base.max_num_seqs)


def _shorter(scope: _Scope, choice: Choice) -> Iterator[Choice]:
    """Yield the longest context that fits with the margin, and the shortest worth serving."""
    work = estimate(scope.model, choice, scope.version)
    pool = cache_of(scope.shape, choice, scope.version)
    spare = (work.kv - work.band - pool.bytes_per_block) / choice.concurrency
    longest = pool.longest(int(spare), choice.max_model_len) // _STEP * _STEP
    if choice.max_model_len > FLOOR:
        yield replace(choice, max_model_len=max(longest, FLOOR))


def _rank(option: Option) -> tuple[int, float, int, float, int]:
    """Return the sort key: verdict, price, GPUs, how far off, then most nodes."""
    missing = option.best.shortfall / GIB if option.best else float("inf")
    price = option.cost if option.verdict is not Verdict.NO else 0.0
    gpus = option.tp * option.pp if price else 0
    return ORDER[option.verdict], price, gpus, missing, -option.group.nodes


def _price(gpu: Gpu, goal: Goal) -> float:
    return (goal.prices or {}).get(gpu.name, gpu.cost)
