"""The stages of a pipeline: which layers each of them holds.

Source: vLLM 0.33 ``distributed/utils.py`` (``get_pp_indices``).
"""

from __future__ import annotations

from carferry.gpu.units import ceil_div


def stage_layers(layers: int, pp: int) -> tuple[tuple[int, int], ...]:
    """Return (first, end) layer of each stage; left-over layers go before the last stage."""
    base, left = divmod(layers, pp)
    sizes = [base] * pp
    for step in range(left):
        sizes[-(step + 2)] += 1
    starts = [sum(sizes[:index]) for index in range(pp)]
    return tuple((start, start + size) for start, size in zip(starts, sizes, strict=True))


def largest_stage(layers: int, pp: int) -> int:
    """Return the layers of the fullest stage."""
    return ceil_div(layers, pp)
