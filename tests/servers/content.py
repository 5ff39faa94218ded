"""What a file of the test hub holds: bytes, a file on disk, or a size without bytes.

Every kind knows its size, its sha256 and its git blob id, and writes any range of itself to a
socket. Large kinds never stand in memory: a file goes out by ``sendfile``, a `Synthetic` repeats
one block, a `Declared` has no bytes at all and only serves metadata.
"""

from __future__ import annotations

import functools
import hashlib
import os
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from servers.serving import Meter

BLOCK_BYTES = 4 << 20
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A file of any size made from a repeated pseudo-random block; the same for the same seed.

    Attributes:
        size: Bytes.
        seed: Of the block.
        head: What stands at its beginning instead.
    """

    size: int
    seed: int = 0
    head: bytes = b""

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
        """Yield the bytes from start to stop in pieces of at most one block."""
        block, end = memoryview(_block(self.seed)), self.size if stop is None else stop
        if start < min(end, len(self.head)):
            yield memoryview(self.head)[start:end]
            start = min(end, len(self.head))
        while start < end:
            offset = start % BLOCK_BYTES
            piece = block[offset : offset + end - start]
            yield piece
            start += len(piece)


@dataclass(frozen=True, slots=True)
class Declared:
    """A file with a size and a sha256 but no bytes: it can be listed, never downloaded.

    Attributes:
        size: Bytes.
        sha256: Hex digest.
        head: Its beginning, if that much may be asked for; zeros follow.
    """

    size: int
    sha256: str
    head: bytes = b""

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yield bytes near the beginning."""
        yield memoryview(self.head.ljust(stop, b"\0"))[start:stop]


Given = bytes | Path | Synthetic | Declared


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes with the two names the hub gives them.

    Attributes:
        given: Source of the bytes.
        size: Bytes.
        sha256: Hex digest of the bytes.
        blob_id: The git blob id: of the bytes, or of the pointer if the file is in LFS.
        lfs: Whether the repository holds a pointer and the bytes live elsewhere.
    """

    given: Given
    size: int
    sha256: str
    blob_id: str
    lfs: bool

    @property
    def etag(self) -> str:
        """The strong ETag of the real hub: sha256 for LFS files, the blob id for others."""
        return f'"{self.sha256 if self.lfs else self.blob_id}"'

    @property
    def pointer_size(self) -> int:
        """Size in bytes of the LFS pointer file."""
        return len(_pointer(self.sha256, self.size))

    def send(self, out: socket.socket, start: int, stop: int, meter: Meter) -> None:
        """Write the bytes from start to stop, counted and slowed by the meter."""
        if isinstance(self.given, Path):
            _send_file(self.given, out, start, stop, meter)
            return
        for piece in self._pieces(start, stop):
            for at in range(0, len(piece), meter.piece_bytes):
                part = piece[at : at + meter.piece_bytes]
                out.sendall(part)
                meter.count(len(part))

    def _pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        if isinstance(self.given, Synthetic | Declared):
            return self.given.pieces(start, stop)
        if isinstance(self.given, bytes):
            return iter([memoryview(self.given)[start:stop]])
        raise TypeError(f"{self.given} has no bytes to send")


def content(given: Given, lfs: bool) -> Content:
    """Return the content with its names, read once."""
    if isinstance(given, Declared):
        size, sha256, blob = given.size, given.sha256, ""
    else:
        size = given.stat().st_size if isinstance(given, Path) else _size(given)
        sha256, blob = _hashes(given, size, with_blob=not lfs)
    if lfs or isinstance(given, Declared):
        blob = _blob_id(_pointer(sha256, size))
    return Content(given, size, sha256, blob, lfs or isinstance(given, Declared))


def _size(given: bytes | Synthetic) -> int:
    return given.size if isinstance(given, Synthetic) else len(given)


def _hashes(given: bytes | Path | Synthetic, size: int, with_blob: bool) -> tuple[str, str]:
    """Return (sha256, git blob id or an empty string)."""
    if isinstance(given, Synthetic) and not with_blob:
        return _synthetic_sha256(given), ""
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size)
    for piece in _read(given):
        sha256.update(piece)
        if with_blob:
            sha1.update(piece)
    return sha256.hexdigest(), sha1.hexdigest() if with_blob else ""


def _read(given: bytes | Path | Synthetic) -> Iterator[bytes | memoryview]:
    if isinstance(given, bytes):
        yield given
    elif isinstance(given, Synthetic):
        yield from given.pieces()
    else:
        with given.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


def _pointer(sha256: str, size: int) -> bytes:
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize %d\n" % (
        sha256.encode(),
        size,
    )


def _blob_id(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


@functools.lru_cache(maxsize=8)
def _block(seed: int) -> bytes:
    return random.Random(seed).randbytes(BLOCK_BYTES)


@functools.cache
def _synthetic_sha256(given: Synthetic) -> str:
    sha256 = hashlib.sha256()
    for piece in given.pieces():
        sha256.update(piece)
    return sha256.hexdigest()


def _send_file(path: Path, out: socket.socket, start: int, stop: int, meter: Meter) -> None:
    with path.open("rb") as file:
        while start < stop:
            room = min(stop - start, meter.piece_bytes)
            sent = os.sendfile(out.fileno(), file.fileno(), start, room)
            if sent == 0:
                raise ConnectionError(f"{path} is shorter than it was")
            start += sent
            meter.count(sent)
