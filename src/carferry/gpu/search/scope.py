"""What stays the same over one search, and what the user wants of one cut of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from carferry.gpu.inventory.nodes import Inventory, NodeGroup
from carferry.gpu.memory.calibration import calibration_for
from carferry.gpu.search.goal import Goal
from carferry.gpu.search.option import Cut
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.sizing.estimate import Choice, Model, default_choice, loaded_shape
from carferry.gpu.sizing.starts import least_batch
from carferry.gpu.vllm.version import VllmVersion, find_version


@dataclass(frozen=True, slots=True)
class Scope:
    """What stays the same over one search.

    Attributes:
        shape: As loaded: after vLLM quantized the weights, if it is to.
    """

    model: Model
    inventory: Inventory
    goal: Goal
    version: VllmVersion
    shape: ModelShape


def scope_of(model: Model, inventory: Inventory, goal: Goal) -> Scope:
    """Return the scope of a search."""
    shape = loaded_shape(model.shape, goal.quantization)
    return Scope(model, inventory, goal, find_version(goal.vllm), shape)


def base_choice(scope: Scope, group: NodeGroup, cut: Cut) -> Choice:
    """Return what the user wants of a cut, completed by vLLM's own defaults."""
    goal, base = scope.goal, default_choice(scope.shape, group.gpu, scope.version)
    seqs = goal.max_num_seqs or base.max_num_seqs
    length = goal.max_model_len or base.max_model_len
    return replace(
        base,
        tp=cut.tp,
        pp=cut.pp,
        dtype=goal.dtype or base.dtype,
        kv_dtype=goal.kv_dtype or base.kv_dtype,
        utilization=_share(goal.utilization or base.utilization, group.replicas),
        quantization=goal.quantization,
        max_model_len=length,
        max_num_seqs=seqs,
        max_num_batched_tokens=batch_of(scope, group, seqs, length),
        concurrency=goal.concurrency,
        calibration=calibration_for(goal.calibrations, group.gpu.name, cut.tp * cut.pp),
        expert_parallel=cut.experts,
        data_parallel=cut.dp,
        speculative_tokens=goal.speculative_tokens or 0,
        lora_rank=goal.lora_rank or 0,
        loras=(goal.loras or 1) if goal.lora_rank else 0,
    )


def batch_of(scope: Scope, group: NodeGroup, seqs: int, length: int) -> int:
    """Return tokens of a batch that holds a token of each sequence and what is never split."""
    usual = default_choice(scope.shape, group.gpu, scope.version).max_num_batched_tokens
    return max(usual, seqs, least_batch(scope.shape, length, scope.version))


def _share(utilization: float, replicas: int) -> float:
    """Divide the share among the pods of a time-sliced GPU, rounded down to a short number."""
    return utilization if replicas == 1 else int(utilization / replicas * 1000) / 1000
