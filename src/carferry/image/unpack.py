"""Layers of strangers, uncompressed within limits: what a look at an image may cost.

The compression is told by the first bytes, as container engines tell it (containerd
pkg/archive/compression): a media type may be wrong. Gzip of several members and zstd of several
frames, skippable ones among them (zstd:chunked), are one stream.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any, cast

from carferry.errors import CarferryError, TargetError
from carferry.oci.documents import Descriptor
from carferry.refs import Digest
from carferry.registry.blobs import as_file, proved_blob
from carferry.registry.target import Target

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BROKEN: tuple[type[Exception], ...] = (
    tarfile.TarError,
    OSError,
    EOFError,
    ValueError,
    RecursionError,
    zlib.error,
)
_CHUNK = 256 * 1024
_MIB = 1024 * 1024
ALL_HEADS_BYTES = 64 * _MIB
"""Room for the first bytes of an image's compressed files, where somebody will ask for them."""

# Weights shrink by half, texts to a tenth; a layer made of zeros would be read for days.
_FREE_BYTES = 1024 * _MIB
_MOST_TIMES = 100


class NotLookedAt(TargetError):
    """A layer that costs more than a look is worth; it may be as good as any other."""


class DamagedLayer(TargetError):
    """A layer that no runtime could unpack: not the archive that it should be, or cut short."""


@dataclass(slots=True)
class Budget:
    """What may still be spent on one image; counts down.

    Attributes:
        packed_bytes: Longest compressed layer that is read at all; does not count down.
        unpacked_bytes: Of all compressed layers together.
        entries: Headers read, of all layers together.
        requests: Ranges asked for.
        kept_bytes: Memory for the entries that count.
        head_bytes: Memory for the first bytes of files in compressed layers; none are kept
            beyond it, and that is no reason to look no further.
    """

    packed_bytes: int = 512 * _MIB
    unpacked_bytes: int = 8192 * _MIB
    entries: int = 500_000
    requests: int = 20_000
    kept_bytes: int = 64 * _MIB
    head_bytes: int = 0

    def spend(self, name: str, amount: int, layer: Descriptor) -> None:
        """Take from one of them.

        Raises:
            NotLookedAt: There is not enough left.
        """
        left = getattr(self, name) - amount
        if left < 0:
            raise NotLookedAt("read layer", layer.digest, f"over the limit of {name}")
        setattr(self, name, left)

    def has(self, name: str, amount: int) -> bool:
        """Take from one of them if there is enough, and return whether there was."""
        left = int(getattr(self, name)) - amount
        if left >= 0:
            setattr(self, name, left)
        return left >= 0


def most_unpacked(layer: Descriptor) -> int:
    """Return how many bytes a layer may unpack to for whoever means to read all of it."""
    return max(_FREE_BYTES, _MOST_TIMES * layer.size_bytes)


class Unpacked(io.RawIOBase):
    """The uncompressed bytes of a layer, hashed while they are read.

    Args:
        packed: As stored.
        layer: What is read.
        budget: What it is counted against.
    """

    def __init__(self, packed: io.BufferedReader, layer: Descriptor, budget: Budget) -> None:
        super().__init__()
        self._raw = uncompressed(packed, layer)
        self._layer = layer
        self._budget = budget
        self._hasher = hashlib.sha256()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read on, within the budget."""
        data = self._raw.read(min(len(buffer), _CHUNK))
        self._budget.spend("unpacked_bytes", len(data), self._layer)
        self._hasher.update(data)
        buffer[: len(data)] = data
        return len(data)

    def finish(self) -> Digest:
        """Read to the end and return the layer's diff id."""
        while self.read(_CHUNK):
            pass
        return Digest(self._hasher.hexdigest())


@contextmanager
def unpacked(target: Target, layer: Descriptor, budget: Budget) -> Iterator[Unpacked]:
    """Open a layer for reading through.

    Raises:
        NotLookedAt: It is longer than the budget allows.
        TargetError: Broken, or other bytes than its digest promises; also in the block.
    """
    if layer.size_bytes > budget.packed_bytes:
        reason = f"{layer.size_bytes} bytes, over {budget.packed_bytes}"
        raise NotLookedAt("read layer", layer.digest, reason)
    with closing(proved_blob(target, layer)) as chunks, readable(layer):
        yield Unpacked(as_file(chunks), layer, budget)


@contextmanager
def readable(layer: Descriptor) -> Iterator[None]:
    """Turn what the readers of archives raise into one error that names the layer.

    Raises:
        DamagedLayer: Instead of what they raise; a failure of the network stays what it is.
    """
    try:
        yield
    except CarferryError:
        raise
    except _BROKEN + _zstd_errors() as error:
        raise DamagedLayer("read layer", layer.digest, f"not a readable tar: {error}") from error


def uncompressed(packed: io.BufferedReader, layer: Descriptor) -> IO[bytes]:
    """Return a layer's bytes as they were before compression, told by how they start.

    Raises:
        NotLookedAt: It is zstd, which this installation cannot read.
    """
    start = packed.peek(4)[:4]
    if start.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=packed))
    # A skippable frame's magic number is any of 0x184D2A50 to 5F, little-endian.
    skippable = start[1:] == b"\x2a\x4d\x18" and start[0] & 0xF0 == 0x50
    if start == _ZSTD or skippable:
        if (zstd := _zstd()) is None:
            reason = "zstd needs the package backports.zstd, which is not installed"
            raise NotLookedAt("read layer", layer.digest, reason)
        return cast("IO[bytes]", zstd.ZstdFile(packed))
    return packed


def _zstd_errors() -> tuple[type[Exception], ...]:
    zstd = _zstd()
    return () if zstd is None else (zstd.ZstdError,)


def _zstd() -> Any:
    """Return the module of PEP 784, in the standard library from Python 3.14 on.

    None where a runtime image is older than this library and lacks it.
    """
    if sys.version_info >= (3, 14):
        return import_module("compression.zstd")
    try:
        from backports import zstd
    except ImportError:
        return None
    return zstd
