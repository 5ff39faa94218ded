"""Files that are read through for their ids, shown as one: it can take longer than moving them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from carferry.io.show.progress import Progress

Moved = Callable[[int], None]
"""Receives the bytes of each chunk that was read."""
_LONG_BYTES = 64 * 1024 * 1024  # less is read before anybody would look


def unseen(size_bytes: int) -> None:
    """Count nothing."""


@contextmanager
def reading(progress: Progress, sizes: Iterable[int]) -> Iterator[Moved]:
    """Show files that are read through as one, and give what counts their bytes.

    Args:
        progress: Receives it, if it takes long.
        sizes: Each file's, in bytes.
    """
    every = list(sizes)
    size, name = sum(every), f"ids of {len(every)} files"
    if size < _LONG_BYTES:
        yield unseen
        return
    progress.expect(size)
    with progress.phase(f"hashing {len(every)} files"):
        progress.begin(name, size)
        yield lambda more: progress.advance(name, more)
        progress.end(name, "hashed")
