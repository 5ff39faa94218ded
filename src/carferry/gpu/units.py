"""Units shared by the GPU plan: GiB, element widths, integer rounding."""

from __future__ import annotations

GIB = 1 << 30
MIB = 1 << 20

BITS: dict[str, int] = {
    "float64": 64,
    "float32": 32,
    "float16": 16,
    "bfloat16": 16,
    "fp8": 8,
}


def ceil_div(value: int, by: int) -> int:
    """Return value / by, rounded up."""
    return -(-value // by)


def round_up(value: int, step: int) -> int:
    """Return the smallest multiple of step that is not below value."""
    return ceil_div(value, step) * step


def gib(size_bytes: float) -> float:
    """Return bytes as GiB."""
    return size_bytes / GIB


def in_words(size_bytes: float) -> str:
    """Return bytes as GiB in words; as MiB where GiB would round to nothing."""
    if 0 < size_bytes < GIB / 10:
        return f"{max(round(size_bytes / MIB), 1)} MiB"
    return f"{gib(size_bytes):,.1f} GiB"
