"""A source's files outside of layers: small pieces in memory, and ids of files read through."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from threading import Lock

from carferry.errors import SourceChanged, SourceError
from carferry.source.snapshot import ContentId, Snapshot, SourceFile
from carferry.source.source import Source

SHORT_BYTES = 1 << 18
"""Files up to this length are read whole, whatever part of them is asked for: one request each."""

KEPT_BYTES = 64 * 1024 * 1024


class Pieces:
    """Pieces of a source's files, whole files sent once: what one step reads to choose and check.

    Choosing, checking and planning ask for the same configs and indices. Files that were read
    whole are kept until there is no more room; the first ones, which everybody asks for, stay.
    Whoever moves layers drops it before.

    Args:
        source: Where the files lie; listed once.
        room_bytes: What is kept at the most, all files together.
    """

    def __init__(self, source: Source, *, room_bytes: int = KEPT_BYTES) -> None:
        self.source = source
        self._room_bytes = room_bytes
        self._kept: dict[str, bytes] = {}
        self._lock = Lock()

    @cached_property
    def listing(self) -> Snapshot:
        """Everything the source lists."""
        return self.source.listing()

    @cached_property
    def files(self) -> Mapping[str, SourceFile]:
        """The files of the listing, by path."""
        return {file.path: file for file in self.listing.files}

    def holds(self, path: str) -> bool:
        """Return whether a file is kept, so that it costs no request."""
        return path in self._kept

    def whole(self, path: str) -> bytes:
        """Return a listed file's bytes.

        Raises:
            CarferryError: The source failed.
        """
        return self.read(path, 0, self.files[path].size_bytes)

    def read(self, path: str, start: int, end: int) -> bytes:
        """Return bytes [start, end) of a listed file, shorter only at the end of the file.

        Raises:
            CarferryError: The source failed.
        """
        kept = self._kept.get(path)
        if kept is not None:
            return kept[start:end]
        size = self.files[path].size_bytes
        if size > SHORT_BYTES and (start, end) != (0, size):
            return self._fetched(path, start, end)
        data = self._fetched(path, 0, size)
        self._keep(path, data)
        return data[start:end]

    def forget(self, path: str) -> None:
        """Read a file anew next time: a byte of it may have been wrong by a fault on the way."""
        with self._lock:
            self._room_bytes += len(self._kept.pop(path, b""))

    def _keep(self, path: str, data: bytes) -> None:
        with self._lock:
            if path not in self._kept and len(data) <= self._room_bytes:
                self._room_bytes -= len(data)
                self._kept[path] = data

    def _fetched(self, path: str, start: int, end: int) -> bytes:
        try:
            return _read_piece(self.source, self.files[path], start, end)
        except SourceError:
            self.source.snapshot([path])  # a file that nobody may read is the caller's to mend
            raise


def _read_piece(source: Source, file: SourceFile, start: int, end: int) -> bytes:
    """Return bytes [start, end) of a file.

    An answer may be wrong by a fault on the way, so what changed meanwhile is read once more; as
    with layers, what stays changed is.
    """
    end = min(end, file.size_bytes)
    try:
        return b"".join(source.read(file, start, end))
    except SourceChanged:
        return b"".join(source.read(file, start, end))


def read_id(source: Source, file: SourceFile) -> ContentId:
    """Read a file through and return its id, of the kind that its content names.

    Raises:
        SourceError: The source failed.
    """
    hasher = file.content.hasher(file.size_bytes)
    for chunk in source.read(file):
        hasher.update(chunk)
    return ContentId(file.content.kind, hasher.hexdigest())
