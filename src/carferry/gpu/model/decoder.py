"""The shape of a decoder, read from its section of a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from carferry.gpu.model.blocks import (
    global_heads,
    heads_of,
    intermediate_of,
    latent_of,
    mlp_widths,
    sliding_heads,
)
from carferry.gpu.model.experts import dense_layers, experts_of
from carferry.gpu.model.extras import extras_of, layer_embedding
from carferry.gpu.model.family import Family
from carferry.gpu.model.layers import layer_count, layers_of, window_of
from carferry.gpu.model.sections import architecture_of
from carferry.gpu.model.states import state_of
from carferry.gpu.shape.fields import Fields
from carferry.gpu.shape.shape import Heads, LayerKind, ModelShape
from carferry.gpu.towers.sounds import whisper_encoder
from carferry.gpu.towers.towers import parse_tower

_SPARE = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers")
_HEADLESS = (
    "Model",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForRewardModel",
    "ForRetrieval",
)


def read_decoder(
    fields: Fields, config: Mapping[str, Any], kind: str, traits: Family
) -> ModelShape:
    """Read a decoder.

    Args:
        fields: Its section, with its family's defaults.
        config: The whole config.json.
        kind: Its ``model_type``.
        traits: Of its family.

    Raises:
        InputError: Numbers that are missing or cannot be true.
    """
    layers, strange = layers_of(fields, traits)
    heads = heads_of(fields)
    sliding = sliding_heads(fields, heads)
    hidden = fields.number("hidden_size")
    shape = ModelShape(
        model_type=kind,
        architecture=architecture_of(config),
        dtype=_dtype(fields, config),
        hidden=hidden,
        intermediate=intermediate_of(fields, kind),
        vocab=fields.number("vocab_size"),
        positions=_positions(fields, traits),
        layers=layers,
        heads=sliding,
        full_heads=global_heads(fields, heads, sliding),
        tied=fields.flag("tie_word_embeddings") or _headless(config),
        learned_positions=_learned(fields, traits),
        vision=parse_tower(fields.with_(config), hidden),
        unknown=f"layer type {strange!r}" if strange else "",
    )
    shape = _with_caches(_with_blocks(shape, fields, traits), fields, traits)
    return replace(shape, more=extras_of(fields, shape, traits.more))


def _with_blocks(shape: ModelShape, fields: Fields, traits: Family) -> ModelShape:
    """Return the shape with what its layers compute."""
    experts = experts_of(fields, shape.model_type, traits, shape.layers)
    only_states = traits.state and all(kind is LayerKind.STATE for kind in shape.layers)
    dense = dense_layers(fields, shape.model_type, traits, shape.layers, experts)
    return replace(
        shape,
        experts=experts,
        dense_layers=0 if only_states and shape.heads.dim == 1 else dense,
        gated=traits.gated,
        output_gate=traits.output_gate,
        attention_bias=traits.bias or fields.flag("attention_bias"),
        norms=traits.norms,
        layer_embedding=layer_embedding(fields, len(shape.layers)),
        mlp_widths=mlp_widths(fields, shape.layers, shape.intermediate),
    )


def _with_caches(shape: ModelShape, fields: Fields, traits: Family) -> ModelShape:
    """Return the shape with what its layers keep."""
    layers = shape.layers
    chunk = fields.maybe("attention_chunk_size") or 0
    return replace(
        shape,
        layers=(LayerKind.NOTHING,) * len(layers) if traits.pooling else layers,
        pooling=traits.pooling,
        shared_kv=fields.flag("attention_k_eq_v"),
        window=window_of(fields) if LayerKind.SLIDING in layers else None,
        chunk=chunk if LayerKind.CHUNKED in layers else 0,
        latent=latent_of(fields, traits),
        state=state_of(fields, traits, layers),
        indexer_dim=_indexer(fields),
        indexed=_indexed(fields),
        ratios=_ratios(fields, len(layers)),
        spare_layers=fields.layers(*_SPARE, default=0, least=0),
        kv_shared=min(fields.maybe("num_kv_shared_layers") or 0, len(layers)),
    )


def _indexer(fields: Fields) -> int:
    sparse = fields.section("sparse_attention_config")
    return fields.maybe("index_head_dim") or sparse.maybe("sparse_index_dim") or 0


def _indexed(fields: Fields) -> int:
    """Return from how many layers on the list of sparse ones (MiniMax) is not all zeros."""
    marks = fields.section("sparse_attention_config").items("sparse_attention_freq")
    return len(marks) - next((index for index, mark in enumerate(marks) if mark), 0)


def _ratios(fields: Fields, count: int) -> tuple[int, ...]:
    """Return how many tokens each layer's cache joins, as listed or by the kind of layer."""
    listed = fields.items("compress_ratios")
    rates = fields.section("compress_rates")
    if not listed and rates.values:
        kinds = (str(kind) for kind in fields.items("layer_types"))
        return tuple(rates.maybe(kind) or 0 for kind in kinds)[:count]
    each = (fields.with_({"ratio": one}).integer("ratio") for one in listed[:count])
    return tuple(each)


def _headless(config: Mapping[str, Any]) -> bool:
    """Return whether the class embeds or classifies: it has no head over the vocabulary."""
    return architecture_of(config).endswith(_HEADLESS)


def read_whisper(
    fields: Fields, config: Mapping[str, Any], kind: str, traits: Family
) -> ModelShape:
    """Read Whisper, whose decoder attends to its encoder.

    Raises:
        InputError: Numbers that are missing or cannot be true.
    """
    width, heads = fields.number("d_model"), fields.number("decoder_attention_heads")
    return ModelShape(
        model_type="whisper",
        architecture=architecture_of(config),
        dtype=_dtype(fields, config),
        hidden=width,
        intermediate=fields.number("decoder_ffn_dim"),
        vocab=fields.number("vocab_size"),
        positions=fields.number("max_target_positions", default=448),
        layers=(LayerKind.FULL,) * layer_count(fields),
        heads=Heads(heads, heads, max(width // heads, 1)),
        dense_layers=fields.layers("decoder_layers"),
        gated=False,
        attention_bias=True,
        tied=True,
        norms=6,
        learned_positions=fields.number("max_target_positions", default=448),
        encoder=whisper_encoder(fields),
    )


def _positions(fields: Fields, traits: Family) -> int:
    """Return the longest input; a sentence encoder may set a shorter one."""
    longest = fields.number("max_position_embeddings", default=2048) - traits.offset
    return max(min(longest, fields.maybe("max_seq_length") or longest), 1)


def _learned(fields: Fields, traits: Family) -> int:
    if not traits.learned:
        return 0
    types = fields.integer("type_vocab_size", default=0)
    return fields.number("max_position_embeddings", default=1024) + types


def _dtype(fields: Fields, config: Mapping[str, Any]) -> str:
    found = fields.text("dtype", "torch_dtype") or config.get("torch_dtype")
    name = str(found or "bfloat16").removeprefix("torch.")
    if name not in ("float64", "float32", "float16", "bfloat16"):
        raise fields.refused(f"dtype {name!r} is not a float type")
    return name
