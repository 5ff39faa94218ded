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
from carferry.gpu.model.classes import is_served_class
from carferry.gpu.model.decoder import read_decoder, read_whisper
from carferry.gpu.model.families import FAMILIES, FORCED, Family
from carferry.gpu.model.names import plain, with_stand_ins
from carferry.gpu.model.rotary import rotary_elements
from carferry.gpu.model.sections import (
    architecture_of,
    architectures_of,
    quantized,
    text_section,
    type_of,
)
from carferry.gpu.packing.quantize import kv_cache_dtype, parse_quantization
from carferry.gpu.shape.fields import CONFIG, Fields
from carferry.gpu.shape.shape import LayerKind, ModelShape

_NOTHING: Mapping[str, int] = {}


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
    config: Mapping[str, Any],
    *,
    subject: str = "config.json",
    family: str = "",
    file: str = CONFIG,
    packing: str = "",
    measured: Mapping[str, int] = _NOTHING,
) -> ModelShape:
    """Parse config.json into the shape that decides memory.

    Args:
        config: The whole config.json.
        subject: What to call it in errors, for example the repository.
        family: ``gqa`` treats an unknown architecture as a plain grouped-attention decoder.
        file: Where it stands, which errors name.
        packing: Where its ``quantization_config`` stands, if elsewhere.
        measured: Sizes that the headers tell, for an unknown architecture that names none.

    Returns:
        The shape. What the plan does not know, an architecture or a way to pack weights, is named
        in ``unknown``: such a shape is read as a plain decoder as far as the config says.

    Raises:
        InputError: Numbers that are missing or cannot be true together.
    """
    check_family(family)
    section = text_section(config)
    kind = type_of(section)
    empty = Fields({}, subject, file)
    traits, fields, unknown, assumed = _read_as(section, kind, empty, family, measured)
    unknown = unknown or ("" if family else _unserved(config))
    read = read_whisper if kind == "whisper" else read_decoder
    bare = read(fields, config, kind, traits)
    bare = replace(bare, rotary=rotary_elements(fields, bare))
    whole = Fields(quantized(config), subject, packing or file)
    packed, strange = parse_quantization(whole, bare)
    shape = replace(
        bare,
        quantization=packed,
        kv_dtype=kv_cache_dtype(whole),
        unknown=", ".join(part for part in (unknown, bare.unknown, strange) if part),
        assumed=assumed,
    )
    _check(shape, fields)
    return shape


def _read_as(
    section: Mapping[str, Any],
    kind: str,
    bare: Fields,
    forced: str,
    measured: Mapping[str, int],
) -> tuple[Family, Fields, str, tuple[str, ...]]:
    """Return the traits a section is read with, its fields, what is not known, what made up."""
    known = plain(section)
    if forced:
        return Family(), bare.with_(known), "", ()
    traits = FAMILIES.get(kind)
    if traits:
        return traits, bare.with_({**traits.defaults, **known}), "", ()
    known, missing = with_stand_ins(known, measured)
    named = kind or architecture_of(section) or "without model_type"
    made_up = f" (assumed: {', '.join(missing)})" if missing else ""
    both = ", an encoder-decoder" if section.get("is_encoder_decoder") is True else ""
    unknown = f"architecture {named!r}{both}{made_up}"
    return Family(sliding="never"), bare.with_(known), unknown, missing


def _unserved(config: Mapping[str, Any]) -> str:
    """Name the class of a config if no vLLM has any of those it names: they decide, not its type.

    It is not refused: a release to come, or code that the model brings, may have it.
    """
    names = architectures_of(config)
    served = not names or any(is_served_class(name) for name in names)
    return "" if served else f"architecture {names[0]!r}"


def check_family(family: str) -> None:
    """Refuse to force what is no family.

    Raises:
        InputError: It names the one there is.
    """
    if family not in ("", FORCED):
        raise InputError(
            "force family", repr(family), "not a family", f"the one to force: {FORCED}"
        )


def _check(shape: ModelShape, fields: Fields) -> None:
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
            raise fields.refused(reason)
