"""The linear layers of a model by name: what a quantization config calls them, and their weights.

Source: transformers' module names, as vLLM 0.33 ``model_executor/models`` maps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carferry.gpu.shape.shape import LayerKind, ModelShape

_ATTENTION = ("self_attn", "attention", "mixer")
_EXPERTS = tuple(
    f"{home}.experts" for home in ("mlp", "mixer", "block_sparse_moe", "feed_forward", "ffn", "moe")
)
_STEMS = ("model.layers", "backbone.layers", "transformer.h", "layers")
_WRAPPED = ("model.language_model.layers", "language_model.model.layers")


@dataclass(frozen=True, slots=True)
class Module:
    """One linear layer, wherever it occurs.

    The experts of a layer are one: they are packed all or none.

    Attributes:
        part: The part of the model it belongs to, in the words of ``Quantization``.
        names: What it may be called below its layer; of the model if ``layers`` is empty.
        layers: Indices of the layers that have it.
        weight: Its elements in one layer.
    """

    part: str
    names: tuple[str, ...]
    layers: tuple[int, ...]
    weight: int


def modules_of(shape: ModelShape) -> tuple[Module, ...]:
    """Return every linear layer that a checkpoint might hold packed."""
    head = Module("head", ("lm_head",), (), shape.vocab * shape.hidden)
    return (*_attention(shape), *_feed_forward(shape), *_state(shape), head)


def stems_of(shape: ModelShape) -> tuple[str, ...]:
    """Return what may stand before a layer's index in the names of a checkpoint."""
    return (*_WRAPPED, *_STEMS) if shape.vision else _STEMS


def _attention(shape: ModelShape) -> Iterator[Module]:
    kinds = (LayerKind.FULL, LayerKind.SLIDING)
    everywhere = tuple(range(len(shape.layers)))
    own = tuple(index for index in everywhere if shape.layers[index] in kinds)
    layers = everywhere if shape.pooling else own
    widths = _latent(shape) if shape.latent else _grouped(shape)
    for name, weight in widths.items():
        names = tuple(f"{block}.{alias}" for block in _ATTENTION for alias in name.split("|"))
        yield Module("attention", names, layers, weight * shape.hidden)


def _grouped(shape: ModelShape) -> dict[str, int]:
    heads = shape.heads
    rows, keys = heads.query * heads.dim, heads.kv * heads.dim
    queries = rows * (2 if shape.output_gate else 1)
    packed = "qkv_proj|wqkv|query_key_value"
    return {
        f"q_proj|{packed}": queries,
        f"k_proj|{packed}": keys,
        f"v_proj|{packed}": keys,
        "o_proj|wo|dense": rows,
    }


def _latent(shape: ModelShape) -> dict[str, int]:
    latent, heads = shape.latent, shape.heads.query
    if latent is None:
        return {}
    wide = heads * (latent.nope + latent.rope)
    up = heads * latent.kv_rank * (latent.nope + latent.value) // shape.hidden
    down = {"kv_a_proj_with_mqa": latent.kv_rank + latent.rope, "kv_b_proj": up}
    if latent.query_rank is None:
        queries = {"q_proj": wide}
    else:
        inner = latent.query_rank * wide // shape.hidden
        queries = {"q_a_proj": latent.query_rank, "q_b_proj": inner}
    return {**queries, **down, "o_proj": heads * latent.value}


def _feed_forward(shape: ModelShape) -> Iterator[Module]:
    alone = tuple(i for i, kind in enumerate(shape.layers) if kind is LayerKind.NOTHING)
    homes = alone if alone and not shape.pooling else tuple(range(len(shape.layers)))
    dense = shape.dense_layers
    if dense:
        plain = ("mlp", "mixer", "feed_forward", "shared_mlp")
        yield from _mlp("mlp", shape, homes[:dense], plain, shape.intermediate)
    experts = shape.experts
    if experts is None:
        return
    layers = homes[-experts.layers :] if experts.layers else ()
    matrices = 3 if shape.gated else 2
    width = matrices * experts.count * experts.intermediate * (experts.latent or shape.hidden)
    # Where every layer has a dense MLP too (Gemma 4), the experts are not that MLP's.
    apart = dense + len(layers) > len(homes)
    homes_of_experts = tuple(name for name in _EXPERTS if not (apart and name == "mlp.experts"))
    yield Module("experts", (*homes_of_experts, "experts"), layers, width)
    if experts.shared:
        kinds = ("shared_experts", "shared_expert")
        homes_of = ("mlp", "mixer", "feed_forward", "block_sparse_moe")
        beside = (*(f"{home}.{kind}" for home in homes_of for kind in kinds), "shared_mlp")
        yield from _mlp("shared", shape, layers, beside, experts.shared)


def _mlp(
    part: str, shape: ModelShape, layers: tuple[int, ...], blocks: tuple[str, ...], width: int
) -> Iterator[Module]:
    rows = {"up_proj|gate_up_proj|w3|input_linear|c_fc": width}
    if shape.gated:
        rows["gate_proj|gate_up_proj|w1|input_linear"] = width
    rows["down_proj|w2|output_linear|c_proj"] = width
    for name, count in rows.items():
        names = tuple(f"{block}.{alias}" for block in blocks for alias in name.split("|"))
        yield Module(part, names, layers, count * shape.hidden)


def _state(shape: ModelShape) -> Iterator[Module]:
    state = shape.state
    if state is None:
        return
    layers = tuple(i for i, kind in enumerate(shape.layers) if kind is LayerKind.STATE)
    gates = state.heads * (2 if state.delta else 1)
    if state.delta:
        rows = {
            "in_proj_qkv|in_proj_qkvz": state.convolved,
            "in_proj_z|in_proj_qkvz": state.inner,
            "in_proj_b|in_proj_ba": gates // 2,
            "in_proj_a|in_proj_ba": gates // 2,
        }
    else:
        rows = {"in_proj": state.inner + state.convolved + gates}
    rows["out_proj"] = state.inner
    for name, count in rows.items():
        beside = ("self_attn",) if state.kind in ("kda", "lightning") else ()
        homes = ("linear_attn", "mamba", "mixer", "conv", *beside)
        names = tuple(f"{home}.{alias}" for home in homes for alias in name.split("|"))
        yield Module("state", names, layers, count * shape.hidden)
