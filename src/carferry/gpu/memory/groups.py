"""A group of layers that share one block table, and how group sizes are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that share one block table.

    Attributes:
        kind: ``full``, ``sliding``, ``chunked``, ``state`` or ``cross``.
        block: Tokens per block.
        page: Bytes of one layer's part of a block; of all its layers in a packed pool.
        layers: Indices of the decoder layers in it; a draft's layers come after the model's.
        window: Tokens a layer sees, if not the model's.
    """

    kind: str
    block: int
    page: int
    layers: tuple[int, ...]
    window: int = 0


def least_padding(counts: Sequence[int], least: int) -> int:
    """Return the size from ``least`` on to which counts are padded with least loss; ties go up."""
    sizes = range(max(least, 1), max(*counts, least, 1) + 1)
    return min(sizes, key=lambda size: (sum(-count % size for count in counts), -size))
