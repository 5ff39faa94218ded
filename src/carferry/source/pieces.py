"""A source's files outside of layers: small pieces in memory, and ids of files read through."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from threading import Lock

from carferry.errors import SourceChanged, SourceError
from carferry.source.counting import Moved, unseen
from carferry.source.snapshot import ContentId, Snapshot, SourceFile
from carferry.source.source import Source

SHORT_BYTES = 1 << 18
"""Files up to this length are read whole, whatever part of them is asked for: one request each."""

KEPT_BYTES = 64 * 1024 * 1024
"""Room for the longest index that is read, or for the first reads of 256 weight files."""

_Part = tuple[str, int, int]


class Pieces:
    """Pieces of a source's files, each sent once: what one step reads to choose and to check.

    Choosing, checking and planning ask for the same configs, indices and headers. What was read
    is kept until there is no more room; what comes first, which everybody asks for, stays.
    Whoever moves layers drops it before.

    Args:
        source: Where the files lie; listed once.
        room_bytes: What is kept at the most, all files together.
    """

    def __init__(self, source: Source, *, room_bytes: int = KEPT_BYTES) -> None:
        self.source = source
        self._room_bytes = room_bytes
        self._kept: dict[_Part, bytes] = {}
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
        """Return whether a listed file is kept whole, so that it costs no request."""
        return self._all_of(path) in self._kept

    def whole(self, path: str) -> bytes:
        """Return a listed file's bytes.

        Raises:
            CarferryError: The source failed.
        """
        return self.read(*self._all_of(path))

    def read(self, path: str, start: int, end: int) -> bytes:
        """Return bytes [start, end) of a listed file, shorter only at the end of the file.

        Raises:
            CarferryError: The source failed.
        """
        every = self._all_of(path)
        size = every[2]
        is_whole = size <= SHORT_BYTES or every in self._kept
        part = every if is_whole else (path, start, min(end, size))
        data = self._kept.get(part)
        if data is None:
            data = self._fetched(part)
            self._keep(part, data)
        return data[start:end] if is_whole else data

    def forget(self, path: str) -> None:
        """Read a file anew next time: a byte of it may have been wrong by a fault on the way."""
        with self._lock:
            for part in [part for part in self._kept if part[0] == path]:
                self._room_bytes += len(self._kept.pop(part))

    def _all_of(self, path: str) -> _Part:
        return (path, 0, self.files[path].size_bytes)

    def _keep(self, part: _Part, data: bytes) -> None:
        with self._lock:
            if part not in self._kept and len(data) <= self._room_bytes:
                self._room_bytes -= len(data)
                self._kept[part] = data

    def _fetched(self, part: _Part) -> bytes:
        path, start, end = part
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
