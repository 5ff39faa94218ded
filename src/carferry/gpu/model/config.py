"""Parse config.json into a ModelShape, refusing what cannot be true.

Sources: transformers config classes for defaults; vLLM 0.33 ``config/model.py`` and
``transformers_utils`` for which nested config counts and how layer types are derived.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from carferry.errors import InputError, UnsupportedModel
from carferry.gpu.model.blocks import (
    dense_layers,
    experts_of,
    global_heads,
    heads_of,
    latent_of,
    layer_count,
    layers_of,
    state_of,
)
from carferry.gpu.model.families import FAMILIES, FORCED, Family
from carferry.gpu.model.fields import Fields
from carferry.gpu.model.quantize import kv_cache_dtype, parse_quantization
from carferry.gpu.model.rotary import rotary_elements
from carferry.gpu.model.shape import Heads, LayerKind, ModelShape
from carferry.gpu.model.towers import parse_tower, whisper_encoder


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

    Raises:
        UnsupportedModel: An unknown model_type, or a quantization the plan does not know.
        InputError: Numbers that are missing or cannot be true together.
    """
    check_family(family)
    kind, traits = _family(config, subject, family)
    text = _text_section(config)
    fields = Fields({**traits.defaults, **_known(text)}, subject)
    bare = _whisper(fields, config) if kind == "whisper" else _decoder(fields, config, kind, traits)
    whole = Fields(config, subject)
    packed, unknown = parse_quantization(whole, bare)
    bare = replace(bare, rotary=rotary_elements(fields, bare))
    shape = replace(bare, quantization=packed, kv_dtype=kv_cache_dtype(whole))
    shape = replace(shape, unknown=", ".join(filter(None, (bare.unknown, unknown))))
    _check(shape, subject)
    return shape


def check_family(family: str) -> None:
    """Refuse to force what is no family.

    Raises:
        InputError: It names the one there is.
    """
    if family not in ("", FORCED):
        raise InputError(
            "force family", repr(family), "not a family", f"the one to force: {FORCED}"
        )


def _family(config: Mapping[str, Any], subject: str, forced: str) -> tuple[str, Family]:
    outer = str(config.get("model_type") or "")
    inner = str(_text_section(config).get("model_type") or outer)
    if forced:
        return outer, Family(sliding="set")
    if outer not in FAMILIES or inner not in FAMILIES:
        raise UnsupportedModel(
            "plan model",
            subject,
            f"unknown architecture {inner or outer or 'without model_type'!r}",
            f"pass --family {FORCED} if it is a plain decoder with grouped attention",
        )
    return (outer if outer == "whisper" else inner), FAMILIES[inner]


def _text_section(config: Mapping[str, Any]) -> Mapping[str, Any]:
    nested = config.get("text_config") or config.get("llm_config")
    if not isinstance(nested, Mapping):
        return config
    kept = ("dtype", "torch_dtype", "tie_word_embeddings")
    return {**{key: config[key] for key in kept if key in config}, **nested}


def _known(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if value is not None}


def _decoder(fields: Fields, config: Mapping[str, Any], kind: str, traits: Family) -> ModelShape:
    heads = heads_of(fields)
    hidden = fields.number("hidden_size")
    layers = layers_of(fields, traits)
    experts = experts_of(fields, kind, layers)
    return ModelShape(
        model_type=kind,
        architecture=_architecture(config),
        dtype=_dtype(fields, config),
        hidden=hidden,
        intermediate=_intermediate(fields, kind),
        vocab=fields.number("vocab_size"),
        positions=_positions(fields, traits),
        layers=tuple(LayerKind.NOTHING for _ in layers) if traits.pooling else layers,
        heads=heads,
        full_heads=global_heads(fields, heads),
        shared_kv=fields.flag("attention_k_eq_v"),
        window=fields.maybe("sliding_window") if LayerKind.SLIDING in layers else None,
        latent=latent_of(fields),
        state=state_of(fields, traits),
        experts=experts,
        dense_layers=dense_layers(fields, kind, layers, experts),
        gated=traits.gated,
        output_gate=traits.output_gate,
        attention_bias=traits.bias or fields.flag("attention_bias"),
        tied=fields.flag("tie_word_embeddings"),
        norms=traits.norms,
        learned_positions=_learned(fields, traits),
        vision=parse_tower(Fields(config, fields.subject), hidden),
        pooling=traits.pooling,
    )


def _whisper(fields: Fields, config: Mapping[str, Any]) -> ModelShape:
    width, heads = fields.number("d_model"), fields.number("decoder_attention_heads")
    return ModelShape(
        model_type="whisper",
        architecture=_architecture(config),
        dtype=_dtype(fields, config),
        hidden=width,
        intermediate=fields.number("decoder_ffn_dim"),
        vocab=fields.number("vocab_size"),
        positions=fields.number("max_target_positions", default=448),
        layers=(LayerKind.FULL,) * layer_count(fields, "decoder_layers"),
        heads=Heads(heads, heads, width // heads),
        dense_layers=fields.number("decoder_layers"),
        gated=False,
        attention_bias=True,
        tied=True,
        norms=6,
        learned_positions=fields.number("max_target_positions", default=448),
        encoder=whisper_encoder(fields),
    )


def _intermediate(fields: Fields, kind: str) -> int:
    """Return the width of the dense MLP; Granite hybrids keep it in shared_intermediate_size."""
    if kind == "granitemoehybrid" and fields.maybe("num_local_experts") is None:
        return fields.number("shared_intermediate_size")
    return fields.number("intermediate_size", "moe_intermediate_size")


def _positions(fields: Fields, traits: Family) -> int:
    """Return the longest input; a sentence encoder may set a shorter one."""
    longest = fields.number("max_position_embeddings", default=2048) - traits.offset
    return max(min(longest, fields.maybe("max_seq_length") or longest), 1)


def _learned(fields: Fields, traits: Family) -> int:
    if not traits.pooling:
        return 0
    return fields.number("max_position_embeddings") + fields.number("type_vocab_size", default=1)


def _architecture(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else ""


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
            shape.count(LayerKind.STATE) > 0 and shape.state is None,
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
