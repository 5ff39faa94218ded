"""Why an option cannot be had: what the cluster lacks, and what vLLM refuses to start."""

from __future__ import annotations

from collections.abc import Iterator

from carferry.gpu.inventory.nodes import NodeGroup
from carferry.gpu.search.goal import Goal
from carferry.gpu.search.option import Cut
from carferry.gpu.search.scope import Scope, base_choice
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.sizing.served import release_reason
from carferry.gpu.sizing.starts import refusals
from carferry.gpu.units import GIB


def reason_against(scope: Scope, group: NodeGroup, cut: Cut) -> str:
    """Return why an option cannot be had; empty if it can."""
    reasons = (
        *_capacity(scope, group, cut),
        _disk(group, scope.goal),
        rule_against(scope, group, cut),
    )
    return next(filter(None, reasons), "")


def rule_against(scope: Scope, group: NodeGroup, cut: Cut) -> str:
    """Return the rule of vLLM that forbids an option; empty if none does."""
    return next(filter(None, _rules(scope, group, cut)), "")


def _rules(scope: Scope, group: NodeGroup, cut: Cut) -> Iterator[str]:
    shape = scope.shape
    if shape.unknown:
        if reason := release_reason(shape, group.gpu, scope.version):
            yield reason
        yield from _unknown_rules(shape, cut)
        return
    yield from refusals(shape, base_choice(scope, group, cut), scope.version)
    if cut.dp > 1 and cut.pp > 1:
        yield "data parallel within one pod alone: engines in several are not deployed"
    if scope.goal.gpu_count and scope.goal.gpu_count % cut.dp:
        yield f"{scope.goal.gpu_count} GPUs are not shared evenly by {cut.dp} engines"


def _unknown_rules(shape: ModelShape, cut: Cut) -> Iterator[str]:
    """Yield what vLLM checks of any model (``ModelConfig.verify_with_parallel_config``)."""
    if shape.heads.query % cut.tp and "num_attention_heads" not in shape.unknown:  # assumed
        yield f"{shape.heads.query} attention heads do not divide by {cut.tp}"
    if cut.pp > len(shape.layers):
        yield f"{len(shape.layers)} layers cannot fill {cut.pp} stages"


def _capacity(scope: Scope, group: NodeGroup, cut: Cut) -> Iterator[str]:
    """Yield why these GPUs cannot be had."""
    allowance = scope.inventory.allowances.get(group.resource)
    per_pod = scope.inventory.per_pods.get(group.resource)
    in_one_node = cut.pp > 1 and cut.gpus <= group.free
    if group.free < 1:
        yield f"all {group.total} GPUs of the node are in use"
    if cut.pod > group.free:
        yield f"needs {cut.pod} GPUs in one node, {group.free} are free"
    if cut.pp > group.nodes and not in_one_node:
        yield f"needs {cut.pp} such nodes, there are {group.nodes}"
    if allowance is not None and cut.gpus > allowance:
        yield f"needs {cut.gpus} GPUs, the namespace's quota leaves {allowance}"
    if per_pod is not None and cut.pod > per_pod:
        yield f"needs {cut.pod} GPUs in one pod, the LimitRange allows {per_pod}"
    if cut.gpus > 1 and group.gpu.slices:
        yield "MIG slices cannot be joined"
    if cut.gpus > 1 and group.gpu.shared:
        yield "time-sliced GPUs cannot be joined"


def _disk(group: NodeGroup, goal: Goal) -> str:
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
