"""Read quantization_config: bits per weight of each part of the model, scales included.

Sources: the transformers, compressed-tensors and ModelOpt config formats; vLLM 0.33
``model_executor/layers/quantization``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from carferry.errors import UnsupportedModel
from carferry.gpu.model.fields import Fields
from carferry.gpu.model.shape import Quantization

_PROBES = {
    "attention": ("model.layers.N.self_attn.o_proj", "model.layers.N.self_attn.q_proj"),
    "mlp": ("model.layers.N.mlp.down_proj", "model.layers.N.mlp.gate_proj"),
    "shared": (
        "model.layers.N.mlp.shared_experts.down_proj",
        "model.layers.N.mlp.shared_expert.down_proj",
    ),
    "experts": ("model.layers.N.mlp.experts.N.down_proj", "model.layers.N.mlp.experts"),
    "state": ("model.layers.N.linear_attn.out_proj", "backbone.layers.N.mixer.in_proj"),
    "head": ("lm_head",),
}


def parse_quantization(config: Fields) -> Quantization | None:
    """Return how the checkpoint is packed; None if it is not.

    Args:
        config: The whole config.json.

    Raises:
        UnsupportedModel: A method whose memory the plan cannot compute.
        InputError: A section that is not of the method's form.
    """
    section = config.section("quantization_config", "compression_config")
    if not section.values:
        return None
    method = section.text("quant_method", "quantization_method") or "modelopt"
    reader = _READERS.get(method.replace("_", "-"))
    if reader is None:
        raise UnsupportedModel(
            "read quantization", repr(method), "unknown method", f"known: {', '.join(_READERS)}"
        )
    return reader(method, section)


def online(method: str) -> Quantization:
    """Return the packing vLLM makes itself when asked for ``--quantization fp8``."""
    parts = ("attention", "mlp", "shared", "experts", "state")
    return Quantization(method, tuple((part, 8.0) for part in parts))


def kv_cache_dtype(config: Fields) -> str | None:
    """Return ``fp8`` if the checkpoint itself asks for an 8-bit KV cache."""
    section = config.section("quantization_config")
    scheme = section.values.get("kv_cache_scheme")
    bits = scheme.get("num_bits") if isinstance(scheme, Mapping) else None
    named = section.text("kv_cache_quant_algo").upper() == "FP8"
    return "fp8" if bits == 8 or named else None


def _packed(method: str, section: Fields) -> Quantization:
    """Read GPTQ and AWQ: integers plus a 16-bit scale and a packed zero per group."""
    bits, group = section.number("bits", default=4), _group(section, default=128)
    wide = bits + ((16 + bits) / group if group else 0)
    parts = _parts(_names(section, "modules_to_not_convert"), wide, never=("head",))
    return Quantization(method, parts, group)


def _fp8(method: str, section: Fields) -> Quantization:
    """Read FP8: one byte per weight; block scales are 32 bits per block."""
    sides = section.items("weight_block_size")
    block = None
    if sides:
        rows, columns = (
            Fields({"side": side}, section.subject).number("side") for side in _two(sides)
        )
        block = (rows, columns)
    wide = 8 + (32 / (block[0] * block[1]) if block else 0)
    skipped = _names(section, "modules_to_not_convert", "ignored_layers")
    parts = _parts(skipped, wide, never=("head",))
    return Quantization("fp8", parts, block=block)


def _two(sides: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return a block's sides; a single one counts for both."""
    return sides[0], sides[-1]


def _mxfp4(method: str, section: Fields) -> Quantization:
    """Read MXFP4: only the experts, 4 bits and an 8-bit scale per 32 weights."""
    return Quantization("mxfp4", (("experts", 4 + 8 / 32),), group_size=32)


def _bitsandbytes(method: str, section: Fields) -> Quantization:
    """Read bitsandbytes: NF4 with a 32-bit scale per 64 weights, or int8."""
    wide = 4 + 32 / 64 if section.flag("load_in_4bit") else 8.0
    return Quantization("bitsandbytes", _parts((), wide, never=("head",)))


def _groups(method: str, section: Fields) -> Quantization:
    """Read compressed-tensors and ModelOpt: each config group names its targets."""
    listed = section.section("config_groups")
    schemes = [listed.section(name) for name in listed.values] or [_modelopt_scheme(section)]
    skipped = _names(section, "ignore", "exclude_modules")
    chosen = {
        part: scheme
        for part, probes in _PROBES.items()
        if not _any_match(skipped, probes) and (scheme := _scheme_for(probes, schemes))
    }
    weights = [scheme.section("weights") for scheme in chosen.values()]
    return Quantization(
        _kind(method, weights),
        tuple((part, _width(scheme.section("weights"))) for part, scheme in chosen.items()),
        next((group for one in weights if (group := _group(one))), None),
    )


def _modelopt_scheme(section: Fields) -> Fields:
    algorithm = (section.text("quant_algo") or "FP8").upper()
    scheme: dict[str, object] = {"num_bits": 8, "type": "float"}
    if "FP4" in algorithm:
        scheme = {"num_bits": 4, "type": "float", "group_size": 16}
    return Fields({"weights": scheme}, section.subject)


def _group(section: Fields, default: int | None = None) -> int | None:
    """Return the group size; None for one scale per channel or tensor."""
    size = section.integer("group_size", default=default or 0, least=-1)
    return size if size > 0 else None


def _kind(method: str, weights: list[Fields]) -> str:
    """Name the scheme the way compute capability limits depend on it."""
    bits = {one.number("num_bits", default=16) for one in weights} or {16}
    if any(one.text("type") == "float" for one in weights):
        return "nvfp4" if 4 in bits else "fp8"
    return f"{method}-int{min(bits)}"


def _width(weights: Fields) -> float:
    bits, group = weights.number("num_bits", default=16), _group(weights)
    scale = 8 if weights.text("type") == "float" and bits == 4 else 16
    return bits + (scale / group if group else 0)


def _scheme_for(probes: tuple[str, ...], schemes: list[Fields]) -> Fields | None:
    """Return the scheme whose targets name the part; ``Linear`` targets every part."""
    for scheme in schemes:
        targets = _names(scheme, "targets") or ("Linear",)
        if "Linear" in targets or _any_match(targets, probes):
            return scheme
    return None


def _parts(
    skipped: tuple[str, ...], wide: float, never: tuple[str, ...] = ()
) -> tuple[tuple[str, float], ...]:
    return tuple(
        (part, wide)
        for part, probes in _PROBES.items()
        if part not in never and not _any_match(skipped, probes)
    )


def _names(section: Fields, *keys: str) -> tuple[str, ...]:
    return tuple(str(name) for name in section.items(*keys))


def _any_match(patterns: tuple[str, ...], probes: tuple[str, ...]) -> bool:
    canonical = {_canonical(pattern) for pattern in patterns}
    return any(_match(pattern, probe) for pattern in canonical for probe in probes)


def _canonical(pattern: str) -> str:
    """Forget which layer a pattern names, and the wrapper a nested text model adds."""
    if pattern.startswith("re:"):
        return pattern
    plain = re.sub(r"(?<=\.)\d+(?=\.|$)", "N", pattern)
    return plain.replace("language_model.model.", "model.").replace(
        "model.language_model.", "model."
    )


def _match(pattern: str, probe: str) -> bool:
    if pattern.startswith("re:"):
        return _regex_match(pattern[3:], probe.replace("N", "7"))
    if "*" in pattern:
        return fnmatchcase(probe, pattern) or fnmatchcase(probe, f"{pattern}.*")
    return probe == pattern or probe.startswith(f"{pattern}.")


def _regex_match(pattern: str, probe: str) -> bool:
    """Match a pattern from the config; one that is no pattern matches nothing."""
    try:
        return re.match(pattern, probe) is not None
    except re.error:
        return False


_READERS: Mapping[str, Callable[[str, Fields], Quantization]] = {
    "gptq": _packed,
    "awq": _packed,
    "fp8": _fp8,
    "fbgemm-fp8": _fp8,
    "mxfp4": _mxfp4,
    "bitsandbytes": _bitsandbytes,
    "compressed-tensors": _groups,
    "modelopt": _groups,
}
