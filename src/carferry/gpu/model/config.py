"""Parse config.json into a ModelShape, refusing what cannot be true.

Sources: transformers config classes for defaults; vLLM 0.33 ``config/model.py`` and
``transformers_utils`` for which nested config counts and how layer types are derived.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from carferry.errors import InputError
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
from carferry.gpu.model.families import FAMILIES, FORCED, Family
from carferry.gpu.model.fields import Fields
from carferry.gpu.model.layers import layer_count, layers_of, window_of
from carferry.gpu.model.names import plain, with_stand_ins
from carferry.gpu.model.quantize import kv_cache_dtype, parse_quantization
from carferry.gpu.model.rotary import rotary_elements
from carferry.gpu.model.sections import architecture_of, quantized, text_section, type_of
from carferry.gpu.model.shape import Heads, LayerKind, ModelShape
from carferry.gpu.model.sounds import whisper_encoder
from carferry.gpu.model.states import state_of
from carferry.gpu.model.towers import parse_tower

_SPARE = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers")
_HEADLESS = (
    "Model",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForRewardModel",
    "ForRetrieval",
)


def load_config(data: bytes, subject: str = "config.json") -> dict[str, Any]:
    """Parse the bytes of a config.json.

    Raises:
        InputError: Not a JSON object.
    """
    try:
        config = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError("read config", subject, f"not JSON ({error})") from error
    if not isinstance(config, dict):
        raise InputError("read config", subject, "not a JSON object")
    return config


def parse_config(
    config: Mapping[str, Any], *, subject: str = "config.json", family: str = ""
) -> ModelShape:
    """Parse config.json into the shape that decides memory.

    Args:
        config: The whole config.json.
        subject: What to call it in errors, for example the repository.
        family: ``gqa`` treats an unknown architecture as a plain grouped-attention decoder.

    Returns:
        The shape. What the plan does not know, an architecture or a way to pack weights, is named
        in ``unknown``: such a shape is read as a plain decoder as far as the config says.

    Raises:
        InputError: Numbers that are missing or cannot be true together.
    """
    check_family(family)
    section = text_section(config)
    kind = type_of(section)
    traits, fields, unknown = _read_as(section, kind, subject, family)
    read = _whisper if kind == "whisper" else _decoder
    bare = read(fields, config, kind, traits)
    bare = replace(bare, rotary=rotary_elements(fields, bare))
    whole = Fields(quantized(config), subject)
    packed, strange = parse_quantization(whole, bare)
    shape = replace(
        bare,
        rotary=rotary_elements(fields, bare),
        quantization=packed,
        kv_dtype=kv_cache_dtype(whole),
        unknown=", ".join(part for part in (unknown, bare.unknown, strange) if part),
    )
    _check(shape, subject)
    return shape


def _read_as(
    section: Mapping[str, Any], kind: str, subject: str, forced: str
) -> tuple[Family, Fields, str]:
    """Return the traits a section is read with, its fields, and what is not known of it."""
    known = plain(section)
    if forced:
        return Family(), Fields(known, subject), ""
    traits = FAMILIES.get(kind)
    if traits:
        return traits, Fields({**traits.defaults, **known}, subject), ""
    known, missing = with_stand_ins(known)
    named = kind or architecture_of(section) or "without model_type"
    made_up = f" (assumed: {', '.join(missing)})" if missing else ""
    return Family(sliding="never"), Fields(known, subject), f"architecture {named!r}{made_up}"


def check_family(family: str) -> None:
    """Refuse to force what is no family.

    Raises:
        InputError: It names the one there is.
    """
    if family not in ("", FORCED):
        raise InputError(
            "force family", repr(family), "not a family", f"the one to force: {FORCED}"
        )


def _decoder(fields: Fields, config: Mapping[str, Any], kind: str, traits: Family) -> ModelShape:
    hidden = fields.number("hidden_size")
    layers, strange = layers_of(fields, traits)
    strange = f"layer type {strange!r}" if strange else ""
    heads = heads_of(fields)
    sliding = sliding_heads(fields, heads)
    experts = experts_of(fields, kind, traits, layers)
    intermediate = intermediate_of(fields, kind)
    idle = traits.pooling or (traits.state and heads.query == 1 and not _attends(layers))
    shape = ModelShape(
        model_type=kind,
        architecture=architecture_of(config),
        dtype=_dtype(fields, config),
        hidden=hidden,
        intermediate=intermediate,
        vocab=fields.number("vocab_size"),
        positions=_positions(fields, traits),
        layers=tuple(LayerKind.NOTHING for _ in layers) if traits.pooling else layers,
        heads=sliding,
        full_heads=global_heads(fields, heads, sliding),
        shared_kv=fields.flag("attention_k_eq_v"),
        window=window_of(fields) if LayerKind.SLIDING in layers else None,
        latent=latent_of(fields),
        state=state_of(fields, traits, layers),
        experts=experts,
        dense_layers=0
        if idle and not traits.pooling
        else dense_layers(fields, kind, traits, layers, experts),
        gated=traits.gated,
        output_gate=traits.output_gate,
        attention_bias=traits.bias or fields.flag("attention_bias"),
        tied=fields.flag("tie_word_embeddings") or _headless(config),
        norms=traits.norms,
        learned_positions=_learned(fields, traits),
        vision=parse_tower(Fields(config, fields.subject), hidden),
        pooling=traits.pooling,
        indexer_dim=_indexer(fields),
        spare_layers=fields.maybe(*_SPARE) or 0,
        kv_shared=min(fields.maybe("num_kv_shared_layers") or 0, len(layers)),
        layer_embedding=layer_embedding(fields, len(layers)),
        chunk=fields.maybe("attention_chunk_size") or 0 if LayerKind.CHUNKED in layers else 0,
        ratios=_ratios(fields, len(layers)),
        mlp_widths=mlp_widths(fields, layers, intermediate),
        unknown=strange,
    )
    return replace(shape, more=extras_of(fields, shape, traits.more))


def _attends(layers: tuple[LayerKind, ...]) -> bool:
    return any(kind is not LayerKind.STATE for kind in layers)


def _indexer(fields: Fields) -> int:
    sparse = fields.section("sparse_attention_config")
    return fields.maybe("index_head_dim") or sparse.maybe("sparse_index_dim") or 0


def _ratios(fields: Fields, count: int) -> tuple[int, ...]:
    """Return how many tokens each layer's cache joins, as listed or by the kind of layer."""
    listed = fields.items("compress_ratios")
    rates = fields.section("compress_rates")
    if not listed and rates.values:
        kinds = (str(kind) for kind in fields.items("layer_types"))
        return tuple(rates.maybe(kind) or 0 for kind in kinds)[:count]
    each = (Fields({"ratio": one}, fields.subject).integer("ratio") for one in listed[:count])
    return tuple(each)


def _headless(config: Mapping[str, Any]) -> bool:
    """Return whether the class embeds or classifies: it has no head over the vocabulary."""
    return architecture_of(config).endswith(_HEADLESS)


def _whisper(fields: Fields, config: Mapping[str, Any], kind: str, traits: Family) -> ModelShape:
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
        heads=Heads(heads, heads, width // heads),
        dense_layers=fields.number("decoder_layers"),
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
        raise InputError("read config", fields.subject, f"dtype {name!r} is not a float type")
    return name


def _check(shape: ModelShape, subject: str) -> None:
    """Refuse numbers that no weights could have.

    Raises:
        InputError: Names the two numbers that contradict each other.
    """
    heads = shape.heads
    contradictions = (
        (heads.query % heads.kv != 0, f"{heads.query} heads for {heads.kv} KV heads"),
        (heads.dim > 4096, f"head_dim {heads.dim} is beyond any kernel"),
        (shape.vocab < 16, f"vocab_size {shape.vocab}"),
        (
            not shape.unknown and shape.count(LayerKind.STATE) > 0 and shape.state is None,
            "state layers without a state size",
        ),
        (
            shape.experts is not None and shape.experts.active > shape.experts.count,
            "more active experts than experts",
        ),
    )
    for holds, reason in contradictions:
        if holds:
            raise InputError("read config", subject, reason, "take config.json from the hub")
