"""Bits per weight of each packing, scales and zero points included.

Sources: the transformers, compressed-tensors, ModelOpt, Quark and AutoRound config formats; vLLM
0.33 ``model_executor/layers/quantization``, for what stays on the GPU after loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from carferry.gpu.shape.fields import Fields

NVFP4 = 4 + 8 / 16
MXFP4 = 4 + 8 / 32
MXFP8 = 8 + 8 / 32
NF4 = 4 + 32 / 64

_MODELOPT = (
    ("MIXED", 0.0),
    ("MXFP4", MXFP4),
    ("MXFP8", MXFP8),
    ("NVFP4", NVFP4),
    ("FP4", NVFP4),
    ("W4A8", 4 + 16 / 128),
    ("W4A16", 4 + 16 / 128),
    ("INT4", 4 + 16 / 128),
    ("INT8", 8.0),
    ("FP8_PB", 8 + 32 / 128**2),
    ("FP8", 8.0),
)


def grouped(bits: float, group: int | None, scale: int = 16, zero: float = 0.0) -> float:
    """Return bits per weight where each group has a scale and perhaps a zero point."""
    return bits + ((scale + zero) / group if group else 0.0)


def group_size(section: Fields, default: int | None = None) -> int | None:
    """Return the group size; None for one scale per channel or tensor."""
    size = section.integer("group_size", default=default or 0, least=-1)
    return size if size > 0 else None


def blocked(sides: tuple[int, int] | None) -> float:
    """Return bits per weight of FP8, with a 32-bit scale per block."""
    return 8 + (32 / (sides[0] * sides[1]) if sides else 0.0)


def compressed(weights: Fields) -> float:
    """Return bits per weight of one ``weights`` section of compressed-tensors."""
    bits, group = weights.number("num_bits", default=16), group_size(weights)
    block = weights.values.get("block_structure")
    if isinstance(block, list) and block:
        return bits + 32 / prod(weights.with_({"side": n}).number("side") for n in block)
    is_float = weights.text("type") == "float"
    zero = 0.0 if is_float or weights.flag("symmetric", True) else float(bits)
    return grouped(bits, group, 8 if is_float else 16, zero)


def modelopt(algorithm: str, group: int | None = None) -> float | None:
    """Return bits per weight of a ModelOpt algorithm; None for one that is not known."""
    upper = algorithm.upper()
    found = next((bits for word, bits in _MODELOPT if word in upper), None)
    if found and group and "INT4" in upper:
        return grouped(4, group)
    return found


def quark(weight: object, subject: str) -> float | None:
    """Return bits per weight of a ``weight`` section of Quark; None for full precision."""
    if isinstance(weight, list):
        weight = weight[0] if weight else None
    if not isinstance(weight, Mapping):
        return None
    fields = Fields(weight, subject)
    kind, group = fields.text("dtype").lower(), group_size(fields)
    name = f"{kind} {fields.text('mx_element_dtype').lower()}"
    small = next((bits for bits in (4, 6, 8) if f"fp{bits}" in name or f"int{bits}" in name), None)
    if small is None:
        return None
    if "int" in name:
        zero = 0.0 if fields.flag("symmetric", True) else float(small)
        return grouped(small, group, 16, zero)
    return grouped(small, group or (32 if small < 8 or "mx" in name else None), 8)
