"""Header entries that load alike, added up: a plan asks for their sums dozens of times.

A model of 256 experts names 90,000 tensors; the experts of one layer differ in a number alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from carferry.weights.safetensors import Tensor

_EXPERT = re.compile(r"(\bexperts\.)\d+(?=\.)")


def alike(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Return the entries with the experts of a layer as one that has all their elements."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    alone: list[Tensor] = []
    for tensor in tensors:
        if "experts." not in tensor.name:
            alone.append(tensor)
            continue
        key = _EXPERT.sub(r"\g<1>0", tensor.name), tensor.dtype
        count, size = sums.get(key, (0, 0))
        sums[key] = count + tensor.count, size + tensor.size_bytes
    merged = (Tensor(*key, (count,), size) for key, (count, size) in sums.items())
    return (*alone, *merged)
