"""Read each method of quantization_config into rules: which layers are packed, and how wide.

Sources: the transformers, compressed-tensors, ModelOpt, Quark and AutoRound config formats; vLLM
0.33 ``model_executor/layers/quantization``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from carferry.gpu.packing import widths
from carferry.gpu.packing.patterns import NameSet, name_set
from carferry.gpu.shape.fields import Fields

_SKIPPED = (
    "modules_to_not_convert", "ignored_layers", "ignore", "exclude_modules", "exclude",
    "llm_int8_skip_modules", "skip_modules",
)  # fmt: skip


_MOST_RULES = 2000
"""Patterns with a width of their own that are read: more than any exporter writes."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Layers that are named, and their bits per weight; None if they keep the model's dtype."""

    named: NameSet
    bits: float | None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a checkpoint is packed.

    Attributes:
        method: What limits depend on.
        rules: The first that names a layer decides.
        rest: Bits per weight of layers that no rule names; None if they are not packed.
        parts: Parts of the model that ``rest`` is for; empty for all but the head.
    """

    method: str
    rules: tuple[Rule, ...] = ()
    rest: float | None = None
    group_size: int | None = None
    block: tuple[int, int] | None = None
    parts: tuple[str, ...] = ()


def _skipped(section: Fields) -> Rule:
    """Return the rule for layers that keep the model's dtype."""
    names = [str(name) for key in _SKIPPED for name in section.items(key)]
    return Rule(name_set(names), None)


def _packed(method: str, section: Fields) -> Recipe:
    """Read GPTQ and AWQ: integers plus a 16-bit scale per group, and a zero if not symmetric."""
    bits, group = section.number("bits", "w_bit", default=4), _group(section, default=128)
    zero = 0.0 if "gptq" in method and section.flag("sym", True) else 1.0
    rest = widths.grouped(bits, group, 16, zero * bits)
    rules = [_skipped(section), *_dynamic(section, bits, group, zero)]
    if section.flag("lm_head"):
        rules.append(Rule(name_set(["lm_head"]), rest))
    return Recipe(
        method.split("-")[-1] if "gptq" not in method else "gptq", tuple(rules), rest, group
    )


def _dynamic(section: Fields, bits: int, group: int | None, zero: float) -> Iterable[Rule]:
    """Read GPTQModel's rules: ``-:pattern`` leaves layers out, others change their width."""
    for pattern, change in islice(section.section("dynamic").values.items(), _MOST_RULES):
        named = name_set([str(pattern).removeprefix("-:").removeprefix("+:")], regex=True)
        if str(pattern).startswith("-:") or not isinstance(change, Mapping):
            yield Rule(named, None)
            continue
        fields = section.with_(change)
        own = fields.number("bits", default=bits)
        yield Rule(named, widths.grouped(own, _group(fields, default=group), 16, zero * own))


def _auto_round(method: str, section: Fields) -> Recipe:
    """Read AutoRound: integers or small floats, and layers with settings of their own."""
    bits, group = section.number("bits", default=4), _first_side(section)
    scale = 8 if "mx" in section.text("data_type") or "nv" in section.text("data_type") else 16
    rest = widths.grouped(bits, group, scale, 0.0 if scale == 8 else bits)

    def read(entry: tuple[str, object]) -> tuple[bool, float | None]:
        name, change = entry
        own = section.with_(change if isinstance(change, Mapping) else {})
        width = own.number("bits", default=bits)
        wide = widths.grouped(width, group, scale, width) if width < 16 else None
        return any(sign in name for sign in "*+?^$()[]{}|\\"), wide

    entries = [(str(name), one) for name, one in section.section("extra_config").values.items()]
    rules = [
        Rule(name_set([name for name, _ in alike], regex=is_regex), wide)
        for (is_regex, wide), alike in islice(groupby(entries, read), _MOST_RULES)
    ]
    return Recipe("gptq" if scale == 16 else method, (*rules, _skipped(section)), rest, group)


def _first_side(section: Fields) -> int | None:
    """Return AutoRound's group size, which may be given per side of a block."""
    size = section.values.get("group_size")
    return None if isinstance(size, list | tuple) else _group(section, default=128)


def _fp8(method: str, section: Fields) -> Recipe:
    """Read FP8: one byte per weight; block scales are 32 bits per block."""
    sides = section.items("weight_block_size")
    block = None
    if sides:
        rows, columns = (section.with_({"side": side}).number("side") for side in _two(sides))
        block = (rows, columns)
    return Recipe("fp8", (_skipped(section),), widths.blocked(block), block=block)


def _two(sides: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return a block's sides; a single one counts for both."""
    return sides[0], sides[-1]


def _mxfp4(method: str, section: Fields) -> Recipe:
    """Read MXFP4: only the experts, 4 bits and an 8-bit scale per 32 weights."""
    return Recipe("mxfp4", rest=widths.MXFP4, group_size=32, parts=("experts",))


def _mxfp8(method: str, section: Fields) -> Recipe:
    return Recipe("mxfp8", (_skipped(section),), widths.MXFP8, group_size=32)


def _experts_int8(method: str, section: Fields) -> Recipe:
    return Recipe("experts-int8", (_skipped(section),), 8.0, parts=("experts",))


def _bitsandbytes(method: str, section: Fields) -> Recipe:
    """Read bitsandbytes: NF4 with a 32-bit scale per 64 weights, or int8."""
    rest = widths.NF4 if section.flag("load_in_4bit") else 8.0
    return Recipe("bitsandbytes", (_skipped(section),), rest)


def _torchao(method: str, section: Fields) -> Recipe:
    """Read torchao: the type's own name says how wide; int4 has a scale and zero per group."""
    kind = section.values.get("quant_type")
    default = kind.get("default", kind) if isinstance(kind, Mapping) else kind
    data = default.get("_data") if isinstance(default, Mapping) else None
    name = str(default.get("_type") if isinstance(default, Mapping) else default).lower()
    inner = section.with_(data if isinstance(data, Mapping) else {})
    group = _group(inner, default=128)
    rest = widths.grouped(4, group, 32) if "int4" in name or "uint4" in name else 8.0
    return Recipe("torchao", (_skipped(section),), rest)


def _hqq(method: str, section: Fields) -> Recipe:
    inner = section.section("quant_config").section("weight_quant_params")
    bits, group = inner.number("nbits", "bits", default=4), _group(inner, default=64)
    return Recipe("hqq", (_skipped(section),), widths.grouped(bits, group, 16, 16), group)


def _deepspeed(method: str, section: Fields) -> Recipe:
    bits, group = section.number("bits", default=8), _group(section, default=512)
    return Recipe("deepspeedfp", (_skipped(section),), widths.grouped(bits, group, 16))


def _fp_quant(method: str, section: Fields) -> Recipe:
    rest = widths.NVFP4 if "nv" in section.text("forward_dtype").lower() else widths.MXFP4
    return Recipe("nvfp4", (_skipped(section),), rest)


def _quark(method: str, section: Fields) -> Recipe:
    """Read Quark: a width for all, others for layers that a glob names."""
    rules = [_skipped(section)]
    for name, one in islice(section.section("layer_quant_config").values.items(), _MOST_RULES):
        own = section.with_(one if isinstance(one, Mapping) else {})
        wide = widths.quark(own.values.get("weight"), section.subject)
        rules.append(Rule(name_set([str(name)]), wide))
    rest = widths.quark(section.section("global_quant_config").values.get("weight"), "Quark")
    small = rest is not None and rest < 8
    return Recipe("quark-mxfp4" if small else "fp8", tuple(rules), rest, 32 if small else None)


def read_groups(method: str, section: Fields) -> Recipe:
    """Read compressed-tensors and ModelOpt: each config group names its targets."""
    listed = section.section("config_groups")
    if not listed.values:
        return _modelopt(method, section)
    schemes = [listed.section(name) for name in listed.values]
    named, rest = list[Rule](), None
    for scheme in schemes:
        targets = [str(name) for name in scheme.items("targets")] or ["Linear"]
        weights = scheme.section("weights")
        width = widths.compressed(weights) if weights.values else None
        if any(target in ("Linear", "FusedMoE", "RoutedExperts") for target in targets):
            rest = width if rest is None else rest
        named.append(Rule(name_set(targets), width))
    sections = [scheme.section("weights") for scheme in schemes]
    group = next((found for one in sections if (found := _group(one))), None)
    return Recipe(_kind(method, sections), (_skipped(section), *named), rest, group)


def _modelopt(method: str, section: Fields) -> Recipe:
    """Read ModelOpt's own words: one algorithm for all, or one for each layer by name."""
    algorithm = section.text("quant_algo") or ("NVFP4" if "fp4" in method else "FP8")
    group = _group(section)
    rest = widths.modelopt(algorithm, group)
    by_width: dict[float, list[str]] = {}
    for name, one in section.section("quantized_layers").values.items():
        own = section.with_(one if isinstance(one, Mapping) else {})
        wide = widths.modelopt(own.text("quant_algo"), _group(own))
        by_width.setdefault(wide or 16.0, []).append(str(name))
    rules = [Rule(name_set(names), wide) for wide, names in by_width.items()]
    upper = algorithm.upper()
    small = "FP4" in upper or any(wide < 8 for wide in by_width)
    kind = "nvfp4" if small else "fp8" if "FP8" in upper or by_width else f"{method}-int4"
    sized = group or (16 if "NVFP4" in upper else None)
    return Recipe(kind, (_skipped(section), *rules), rest or None, sized)


def _group(section: Fields, default: int | None = None) -> int | None:
    return widths.group_size(section, default)


def _kind(method: str, weights: list[Fields]) -> str:
    """Name the scheme the way compute capability limits depend on it."""
    bits = {one.number("num_bits", default=16) for one in weights} or {16}
    if any(one.text("type") == "float" for one in weights):
        return "nvfp4" if 4 in bits else "fp8"
    return f"{method}-int{min(bits)}"


_Reader = Callable[[str, Fields], Recipe]
READERS: Mapping[str, _Reader] = {
    **dict.fromkeys(
        ("gptq", "awq", "gptq-marlin", "awq-marlin", "auto-gptq", "auto-awq", "moe-wna16",
         "gptq-bitblas", "bitblas", "marlin", "gptq-marlin-24"), _packed),
    **dict.fromkeys(("auto-round", "inc", "intel/auto-round"), _auto_round),
    **dict.fromkeys(("fp8", "fbgemm-fp8", "ptpc-fp8", "deepseek-v4-fp8"), _fp8),
    **dict.fromkeys(("mxfp4", "gpt-oss-mxfp4"), _mxfp4),
    **dict.fromkeys(
        ("modelopt", "modelopt-fp4", "modelopt-mxfp8", "modelopt-mixed", "nvfp4", "petit-nvfp4",
         "compressed-tensors"), read_groups),
    "mxfp8": _mxfp8,
    "experts-int8": _experts_int8,
    "bitsandbytes": _bitsandbytes,
    "torchao": _torchao,
    "hqq": _hqq,
    "deepspeedfp": _deepspeed,
    "fp-quant": _fp_quant,
    "quark": _quark,
}  # fmt: skip
