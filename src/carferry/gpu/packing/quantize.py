"""Read quantization_config: bits per weight of each part of the model, scales included.

A config says which of a model's linear layers are packed and how, in one of a dozen ways; all
are read into rules, the first of which that names a layer decides.

Sources: the transformers, compressed-tensors, ModelOpt, Quark and AutoRound config formats; vLLM
0.33 ``model_executor/layers/quantization``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from carferry.gpu.packing import widths
from carferry.gpu.packing.methods import vllm_method
from carferry.gpu.packing.modules import Module, modules_of, stems_of
from carferry.gpu.packing.patterns import name_set
from carferry.gpu.packing.recipes import READERS, Recipe, Rule, read_groups
from carferry.gpu.shape.fields import Fields
from carferry.gpu.shape.shape import ModelShape, Quantization

_SEVERAL = 8
"""A target of which just one layer among so many is named stands for all: no exporter packs a
single layer, but documents show the first for the rest."""


def parse_quantization(config: Fields, shape: ModelShape) -> tuple[Quantization | None, str]:
    """Return how the checkpoint is packed, None if it is not; and what is not known of it.

    A method that the plan does not know packs nothing here, and is named in words.

    Args:
        config: The whole config.json.
        shape: The model without its quantization.

    Raises:
        InputError: A section that is not of the method's form.
    """
    section = _section(config)
    if not section.values:
        return None, ""
    method = section.text("quant_method", "quantization_method", "quant_algo").lower() or "modelopt"
    method = method.replace("_", "-")
    reader = READERS.get(method) or (
        read_groups if section.section("config_groups").values else None
    )
    if reader is None:
        return Quantization(method, (), needs=(method,)), f"quantization {method!r}"
    recipe = reader(method, section)
    if shape.model_type.startswith("deepseek_v4") and recipe.method == "fp8":
        recipe = _with_small_experts(recipe, config, section)
    return replace(_tallied(recipe, shape), needs=(vllm_method(method, section),)), ""


def _with_small_experts(recipe: Recipe, config: Fields, section: Fields) -> Recipe:
    """Return DeepSeek V4's packing: FP8 but for the experts, which are MXFP4 unless it says else.

    Source: vLLM 0.33 ``models/deepseek_v4/quant_config.py``.
    """
    if (config.text("expert_dtype") or "fp4") != "fp4":
        return recipe
    wide = widths.NVFP4 if "NVFP4" in section.text("moe_quant_algo").upper() else widths.MXFP4
    return replace(recipe, rules=(*recipe.rules, Rule(name_set(["experts"]), wide)))


def kv_cache_dtype(config: Fields) -> str | None:
    """Return ``fp8`` if the checkpoint itself asks for an 8-bit KV cache."""
    section = _section(config)
    scheme = section.values.get("kv_cache_scheme")
    bits = scheme.get("num_bits") if isinstance(scheme, Mapping) else None
    named = section.text("kv_cache_quant_algo").upper() == "FP8"
    return "fp8" if bits == 8 or named else None


def _section(config: Fields) -> Fields:
    """Return the section of the whole, else of the text model inside."""
    keys = ("quantization_config", "compression_config")
    whole = config.section(*keys)
    return whole if whole.values else _inner(config).section(*keys)


def _inner(config: Fields) -> Fields:
    nested = config.values.get("text_config") or config.values.get("llm_config")
    return config.with_(nested if isinstance(nested, Mapping) else {})


def _tallied(recipe: Recipe, shape: ModelShape) -> Quantization:
    """Return bits and share of each part, from all of its layers."""
    stems = stems_of(shape)
    held: dict[str, list[tuple[int, float | None]]] = {}
    for module in modules_of(shape):
        held.setdefault(module.part, []).extend(_decided(recipe, module, stems))
    bits, shares = [], []
    for part, pieces in held.items():
        packed = [(weight, width) for weight, width in pieces if width is not None]
        total, small = sum(weight for weight, _ in pieces), sum(weight for weight, _ in packed)
        if not small:
            continue
        bits.append((part, sum(weight * width for weight, width in packed) / small))
        if small < total:
            shares.append((part, small / total))
    return Quantization(
        recipe.method, tuple(bits), recipe.group_size, recipe.block, shares=tuple(shares)
    )


def _decided(
    recipe: Recipe, module: Module, stems: tuple[str, ...]
) -> list[tuple[int, float | None]]:
    """Return (weights, bits) of a module, its layers grouped by the rule that decides."""
    inside = module.part in recipe.parts if recipe.parts else module.part != "head"
    rest = recipe.rest if inside else None
    if not module.layers:
        found = next((rule for rule in recipe.rules if rule.named.names(module)), None)
        return [(module.weight, found.bits if found else rest)]
    left, pieces = frozenset(module.layers), []
    for rule in recipe.rules:
        named = rule.named.layers_of(module, stems) & left
        if rule.bits and len(named) == 1 and len(module.layers) >= _SEVERAL:
            named = left
        pieces.append((module.weight * len(named), rule.bits))
        left -= named
    return [*pieces, (module.weight * len(left), rest)]
