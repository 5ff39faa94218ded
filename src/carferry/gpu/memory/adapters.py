"""The buffers of LoRA adapters: two low-rank matrices beside every linear layer.

Source: vLLM 0.33 ``lora/layers`` (create_lora_weights): the first matrix is whole on every rank of
a column-parallel layer, the second is cut; the other way round in a row-parallel one.
"""

from __future__ import annotations

from carferry.gpu.memory.choice import Choice
from carferry.gpu.shape.shape import LayerKind, ModelShape
from carferry.gpu.units import BITS


def adapter_bytes(shape: ModelShape, choice: Choice) -> int:
    """Return the bytes of the adapters' buffers on one rank."""
    if not choice.lora_rank:
        return 0
    tp = choice.tp
    plain = _attention(shape, tp) + _dense(shape, tp) + _states(shape, tp)
    elements = plain + _experts(shape, choice)
    slots = max(choice.loras, 1) * choice.lora_rank
    return int(elements * slots * BITS[choice.dtype] / 8 / choice.pp)


def _attention(shape: ModelShape, tp: int) -> float:
    heads = shape.heads
    rows, keys = heads.query * heads.dim, max(heads.kv, tp) * heads.dim
    queries = shape.hidden + rows / tp + 2 * (shape.hidden + keys / tp)
    layers = shape.count(LayerKind.FULL) + shape.count(LayerKind.SLIDING)
    return layers * (queries + rows / tp + shape.hidden)


def _dense(shape: ModelShape, tp: int) -> float:
    inner = shape.intermediate / tp
    up = (2 if shape.gated else 1) * (shape.hidden + inner)
    return shape.dense_layers * (up + inner + shape.hidden)


def _states(shape: ModelShape, tp: int) -> float:
    """Return the same for recurrent layers: one projection into the state, one out of it."""
    if shape.state is None:
        return 0.0
    inner, wide = shape.state.inner / tp, shape.state.convolved / tp
    return shape.count(LayerKind.STATE) * (shape.hidden + 2 * inner + wide + shape.hidden)


def _experts(shape: ModelShape, choice: Choice) -> float:
    """Return the same for experts, of which every one has matrices of its own."""
    experts = shape.experts
    if experts is None:
        return 0.0
    ranks = choice.expert_ranks if choice.expert_parallel else 1
    inner = experts.intermediate / (1 if choice.expert_parallel else choice.tp)
    outer = experts.latent or shape.hidden
    up = (2 if shape.gated else 1) * (outer + inner)
    routed = experts.count / ranks * (up + inner + outer)
    shared = experts.shared / choice.tp
    beside = (3 if shape.gated else 2) * (shape.hidden + shared) if experts.shared else 0.0
    return experts.layers * (routed + beside)
