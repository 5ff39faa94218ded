"""One pass over a layer's bytes: read from the source, hashed twice on the way, handed on.

The layer's digest and each file's identity are computed on a thread of their own, behind a
bounded queue, so that hashing never holds up the sender and memory stays flat.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Self

from carferry.assembly.read_ahead import ReadAhead
from carferry.errors import CarferryError
from carferry.image.layers import Content, Layer, Literal
from carferry.refs import Digest
from carferry.source.snapshot import ContentId, Hasher, SourceFile
from carferry.source.source import Source

# With chunks of 1 MiB, and what is read ahead, this bounds what a stream holds to under 20 MiB.
_QUEUED_CHUNKS = 8
_Event = bytes | SourceFile


class LayerReader:
    """Reads a layer as often as needed and hashes each of its bytes exactly once.

    A broken upload is sent again from the start, or from the offset that the registry proves;
    bytes that were hashed before are then only read. Use it as a context manager: leaving it
    ends the hashing thread.

    Args:
        layer: What to read.
        source: Where its files are read.
        moved: Called with the length of each chunk as it is handed on.
    """

    def __init__(
        self, layer: Layer, source: Source, *, moved: Callable[[int], None] = lambda _: None
    ) -> None:
        self._layer = layer
        self._source = source
        self._moved = moved
        self._hashed = 0
        self._hashing = _Hashing()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hashing.stop()

    @property
    def name(self) -> str:
        """The layer's, for people."""
        return self._layer.name

    @property
    def hashed_bytes(self) -> int:
        """Length of what has been handed on so far."""
        return self._hashed

    def chunks(self, start: int = 0) -> Generator[bytes]:
        """Yield the layer's bytes from offset ``start``.

        Raises:
            SourceError: The source failed; SourceChanged if its bytes are not as promised.
        """
        offset = 0
        with ReadAhead(self._source, self._layer.files) as ahead:
            for piece in self._layer.pieces:
                length = _length(piece)
                if offset + length > start or length == 0:
                    yield from self._piece(piece, offset, max(0, start - offset), ahead)
                offset += length

    @property
    def ids(self) -> tuple[ContentId, ...]:
        """What each file's bytes were, once ``digest`` has returned; entity tags as sha256."""
        return self._hashing.ids

    def digest(self) -> Digest:
        """Wait for the hashes and return the layer's digest.

        Raises:
            SourceChanged: A file's bytes are not what the snapshot promised.
        """
        return self._hashing.result()

    def _piece(
        self, piece: Literal | Content, offset: int, skip: int, ahead: ReadAhead
    ) -> Iterator[bytes]:
        if isinstance(piece, Content) and offset >= self._hashed:
            self._hashing.feed(piece.file)
        at = offset + skip
        for chunk in _bytes_of(piece, skip, ahead):
            self._hash(chunk, at)
            at += len(chunk)
            self._moved(len(chunk))
            yield chunk

    def _hash(self, chunk: bytes, at: int) -> None:
        new = at + len(chunk) - self._hashed
        if new > 0:
            self._hashing.feed(chunk if new >= len(chunk) else chunk[-new:])
            self._hashed += new


class _Hashing:
    """The hashing thread: chunks in order, each file before its bytes.

    A file is verified with its last byte. Its reader may stop right there and go on later
    behind it, so nothing that comes after can be relied on to end it.
    """

    def __init__(self) -> None:
        self._queue: queue.Queue[_Event | type[StopIteration]] = queue.Queue(_QUEUED_CHUNKS)
        self._layer = hashlib.sha256()
        self._file: SourceFile | None = None
        self._hasher: Hasher | None = None
        self._left = 0
        self._error: CarferryError | None = None
        self.ids: tuple[ContentId, ...] = ()
        self._thread = threading.Thread(target=self._run, daemon=True, name="carferry-hash")
        self._thread.start()

    def feed(self, event: _Event) -> None:
        self._queue.put(event)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._queue.put(StopIteration)
            self._thread.join()

    def result(self) -> Digest:
        self.stop()
        if self._error:
            raise self._error
        return Digest(self._layer.hexdigest())

    def _run(self) -> None:
        while (event := self._queue.get()) is not StopIteration:
            if self._error is None:
                self._take(event)  # type: ignore[arg-type]

    def _take(self, event: _Event) -> None:
        if isinstance(event, SourceFile):
            self._file, self._left = event, event.size_bytes
            self._hasher = event.content.hasher(event.size_bytes)
        else:
            self._layer.update(event)
            if self._hasher:
                self._hasher.update(event)
                self._left -= len(event)
        if self._left == 0:
            self._verify()

    def _verify(self) -> None:
        if self._file and self._hasher:
            try:
                self.ids += (self._file.identified(self._hasher.hexdigest()),)
            except CarferryError as error:
                self._error = error
        self._file = self._hasher = None


def _bytes_of(piece: Literal | Content, skip: int, ahead: ReadAhead) -> Iterator[bytes]:
    if isinstance(piece, Literal):
        return iter([piece.data[skip:]] if piece.data[skip:] else [])
    return ahead.read(piece.file, skip)


def _length(piece: Literal | Content) -> int:
    return len(piece.data) if isinstance(piece, Literal) else piece.file.size_bytes
