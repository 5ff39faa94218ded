"""A source's files outside of layers: small pieces in memory, and ids of files read through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from carferry.errors import SourceChanged
from carferry.io.progress import Progress
from carferry.source.snapshot import ContentId, SourceFile
from carferry.source.source import Source

Moved = Callable[[int], None]
_LONG_BYTES = 64 * 1024 * 1024  # less is read before anybody would look


def read_piece(source: Source, file: SourceFile, start: int = 0, stop: int | None = None) -> bytes:
    """Return a file's bytes from ``start`` to ``stop`` or its end.

    An answer may be wrong by a fault on the way, so what changed meanwhile is read once more; as
    with layers, what stays changed is.

    Args:
        source: Where it lies.
        file: As the source lists it.
        start: Of the first byte.
        stop: Behind the last; at most the file's end.

    Raises:
        SourceChanged: It is no longer what was listed.
        SourceError: The source failed.
    """
    end = file.size_bytes if stop is None else min(stop, file.size_bytes)
    try:
        return b"".join(source.read(file, start, end))
    except SourceChanged:
        return b"".join(source.read(file, start, end))


def unseen(size_bytes: int) -> None:
    """Count nothing."""


@contextmanager
def reading(progress: Progress, sizes: Iterable[int]) -> Iterator[Moved]:
    """Show files that are read through for their ids as one, and give what counts their bytes.

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
    progress.begin(name, size)
    yield lambda more: progress.advance(name, more)
    progress.end(name, "hashed")


def read_id(source: Source, file: SourceFile, moved: Moved = unseen) -> ContentId:
    """Read a file through and return its id, of the kind that its content names.

    Args:
        source: Where it lies.
        file: As the source lists it.
        moved: Receives the bytes of each chunk.

    Raises:
        SourceError: The source failed.
    """
    hasher = file.content.hasher(file.size_bytes)
    for chunk in source.read(file):
        hasher.update(chunk)
        moved(len(chunk))
    return ContentId(file.content.kind, hasher.hexdigest())
