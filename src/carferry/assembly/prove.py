"""Proving a claim: the blob is read back and must be, byte for byte, the layer that was asked for.

Each file's own id is recomputed from the blob's bytes. Around them the frame (headers, padding,
end) is compared: the blob can hold nothing else, no second file of the same name and no other
owner or mode, and what was damaged where it lies is not taken for whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial

from carferry.assembly.job import Job
from carferry.errors import CarferryError, DeadlineExceeded
from carferry.image.layers import Layer, Literal
from carferry.io.net.retry import Cancelled
from carferry.io.parallel import advance
from carferry.refs import Digest
from carferry.registry.blobs import read_blob
from carferry.source.snapshot import SourceFile

_FRAME = "around its files it holds something else"


def flaw_at_target(job: Job, layer: Layer, digest: Digest) -> str:
    """Read back what is claimed to be a layer and return what is wrong; empty if nothing is.

    A target that cannot be read proves nothing, and that too is a flaw.

    Args:
        job: The build; its progress receives what is read.
        layer: What it should be.
        digest: The blob at the target that is said to be it.

    Raises:
        Cancelled: Another part of the build failed.
    """
    moved = partial(advance, job.progress, job.retry, layer.name)
    try:
        with closing(
            read_blob(job.target, digest, job.retry, size_bytes=layer.size_bytes)
        ) as chunks:
            return flaw_of(layer, digest, chunks, moved=moved)
    except (Cancelled, DeadlineExceeded):
        raise
    except CarferryError as error:
        return f"it cannot be read back: {error}"


def flaw_of(
    layer: Layer,
    digest: Digest,
    chunks: Iterator[bytes],
    *,
    moved: Callable[[int], None] = lambda _: None,
) -> str:
    """Return why a blob is not a layer; empty if it is, byte for byte.

    Args:
        layer: What it should be.
        digest: Of the blob.
        chunks: Its bytes; no more of them are read than the layer has.
        moved: Called with the length of each piece that was read.
    """
    whole, blob = hashlib.sha256(), _Blob(chunks)
    for piece in layer.pieces:
        if isinstance(piece, Literal):
            whole.update(piece.data)
            if b"".join(blob.take(len(piece.data))) != piece.data:
                return _FRAME
            moved(len(piece.data))
            continue
        file = piece.file
        hasher = file.content.hasher(file.size_bytes)
        for part in blob.take(file.size_bytes):
            whole.update(part)
            hasher.update(part)
            moved(len(part))
        if hasher.hexdigest() != file.content.hex:
            return _other(file)
    if whole.hexdigest() != digest.hex:
        return _FRAME
    return ""


def _other(file: SourceFile) -> str:
    return f"{file.path} in it is not {file.content}"


class _Blob:
    """Bytes that are taken in the lengths a layer has, whatever the chunks they came in."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def take(self, size_bytes: int) -> Generator[memoryview]:
        """Yield the next bytes; fewer only at the end of the blob."""
        while size_bytes:
            if not self._left:
                self._left = memoryview(next(self._chunks, b""))
                if not self._left:
                    return
            part = self._left[:size_bytes]
            self._left = self._left[len(part) :]
            size_bytes -= len(part)
            yield part
