"""A source's files outside of layers: small pieces in memory, and ids of files read through."""

from __future__ import annotations

from carferry.errors import SourceChanged
from carferry.source.counting import Moved, unseen
from carferry.source.snapshot import ContentId, SourceFile
from carferry.source.source import Source


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
