"""A model's weights, counted from its shape, part by part, and how each part splits.

Used if no safetensors header can be read, and to check the headers against the config.

Source: vLLM 0.33 ``model_executor/models``; checked against parameter counts of 30 models
instantiated on the meta device (tests/gpu/test_params.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carferry.gpu.loaded.state_params import state_weights
from carferry.gpu.shape.shape import Experts, Heads, Latent, LayerKind, ModelShape
from carferry.gpu.units import round_up

VOCAB_STEP = 64
"""vLLM pads the vocabulary to this (``vocab_parallel_embedding.py``)."""


@dataclass(frozen=True, slots=True)
class WeightPart:
    """Weights of one kind over the whole model.

    Attributes:
        name: Where it sits: attention, mlp, shared, experts, state, head, embed, tower, small.
        count: Elements, all layers together.
        split: How tensor parallelism cuts it: ``even``, ``kv`` (no finer than the KV heads),
            ``copy`` or ``tower`` (as its tower says).
        layered: Whether pipeline stages share it by layers.
    """

    name: str
    count: int
    split: str = "even"
    layered: bool = True


def weight_parts(shape: ModelShape) -> tuple[WeightPart, ...]:
    """Return every part of the model that vLLM loads."""
    return tuple(part for part in _all_parts(shape) if part.count)


def parameter_count(shape: ModelShape) -> int:
    """Return the number of weights, vocabulary unpadded, as checkpoints store it."""
    padding = round_up(shape.vocab, VOCAB_STEP) - shape.vocab
    copies = 1 if shape.tied else 2
    extra = 0 if shape.pooling else padding * shape.hidden * copies
    return sum(part.count for part in weight_parts(shape)) - extra


def _all_parts(shape: ModelShape) -> Iterator[WeightPart]:
    yield from _embeddings(shape)
    yield from _attention(shape)
    yield from _feed_forward(shape)
    if shape.state:
        yield WeightPart(
            "state", shape.count(LayerKind.STATE) * state_weights(shape.state, shape.hidden)
        )
    for part, count, split in shape.more:
        yield WeightPart(part, count, split)
    if shape.vision:
        yield WeightPart("tower", shape.vision.weights, "tower", layered=False)
    if shape.encoder:
        yield WeightPart("tower", shape.encoder.weights, layered=False)
        yield WeightPart("attention", len(shape.layers) * 4 * shape.hidden**2)
    yield WeightPart("small", len(shape.layers) * shape.norms * shape.hidden + shape.hidden, "copy")


def _embeddings(shape: ModelShape) -> Iterator[WeightPart]:
    vocab = shape.vocab if shape.pooling else round_up(shape.vocab, VOCAB_STEP)
    yield WeightPart("embed", vocab * shape.hidden, layered=False)
    yield WeightPart("embed", shape.learned_positions * shape.hidden, "copy", layered=False)
    yield WeightPart("embed", shape.layer_embedding, layered=False)
    if not shape.tied:
        yield WeightPart("head", vocab * shape.hidden, layered=False)
    if shape.pooling and shape.learned_positions:
        yield WeightPart("small", shape.hidden**2 + shape.hidden, "copy", layered=False)


def _attention(shape: ModelShape) -> Iterator[WeightPart]:
    attending = _attending(shape)
    if shape.latent:
        yield from _latent(shape, shape.latent, attending)
        return
    for kind, layers in attending:
        heads = shape.global_heads if kind is LayerKind.FULL else shape.heads
        rows = heads.query * heads.dim
        same = shape.shared_kv and kind is LayerKind.FULL
        keys = heads.kv * (heads.dim if same else heads.dim + heads.value_dim)
        bias = shape.attention_bias
        yield WeightPart("attention", layers * _around(heads, shape.hidden, shape.output_gate))
        yield WeightPart("attention", layers * heads.query_rank * shape.hidden, "copy")
        yield WeightPart("attention", layers * keys * shape.hidden, "kv")
        yield WeightPart("small", layers * bias * (rows + 2 * heads.kv * heads.dim), "copy")


def _around(heads: Heads, hidden: int, gate: bool) -> int:
    """Count what makes a layer's queries and what takes its values out, past any query rank."""
    rows, values = heads.query * heads.dim * (2 if gate else 1), heads.query * heads.value_dim
    into = (heads.query_rank or hidden) * rows
    if not heads.out_rank:
        return into + values * hidden
    groups = max(heads.out_groups, 1)
    return into + values * heads.out_rank + groups * heads.out_rank * hidden


def _attending(shape: ModelShape) -> tuple[tuple[LayerKind, int], ...]:
    if shape.pooling:
        return ((LayerKind.FULL, len(shape.layers)),)
    return tuple((kind, shape.count(kind)) for kind in (LayerKind.FULL, LayerKind.SLIDING))


def _latent(
    shape: ModelShape, latent: Latent, attending: tuple[tuple[LayerKind, int], ...]
) -> Iterator[WeightPart]:
    layers, heads = sum(count for _, count in attending), shape.heads.query
    wide = heads * (latent.nope + latent.rope)
    down = shape.hidden * (latent.kv_rank + latent.rope)
    up = heads * latent.kv_rank * (latent.nope + latent.value)
    if latent.query_rank:
        down += shape.hidden * latent.query_rank
    yield WeightPart("attention", layers * down, "copy")
    yield WeightPart("attention", layers * (latent.query_rank or shape.hidden) * wide)
    yield WeightPart("attention", layers * (up + heads * latent.value * shape.hidden))


def _feed_forward(shape: ModelShape) -> Iterator[WeightPart]:
    matrices = 3 if shape.gated else 2
    widths = shape.mlp_widths or shape.dense_layers * shape.intermediate
    yield WeightPart("mlp", matrices * shape.hidden * widths)
    if shape.experts:
        yield from _experts(shape, shape.experts, matrices)


def _experts(shape: ModelShape, experts: Experts, matrices: int) -> Iterator[WeightPart]:
    per_expert = matrices * (experts.latent or shape.hidden) * experts.intermediate
    yield WeightPart("experts", experts.layers * experts.count * per_expert)
    yield WeightPart("shared", experts.layers * 2 * shape.hidden * experts.latent, "copy")
    yield WeightPart("shared", experts.layers * matrices * shape.hidden * experts.shared)
    yield WeightPart("small", experts.layers * experts.count * shape.hidden, "copy")
    if shape.attention_bias and shape.model_type == "gpt_oss":
        biases = 2 * experts.intermediate + shape.hidden
        yield WeightPart("small", experts.layers * experts.count * biases, "even")
