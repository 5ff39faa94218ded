"""Parts of blobs by Range: as a seekable file, or from one byte to another."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial

from carferry.errors import TargetError
from carferry.io.net.retry import Retry
from carferry.oci.documents import Descriptor
from carferry.refs import Digest
from carferry.registry.target import Target

_PART_BYTES = 8 * 1024 * 1024
_CHUNK = 1024 * 1024


def read_part(
    target: Target, digest: Digest, start: int, stop: int, retry: Retry
) -> Iterator[bytes]:
    """Yield a blob's bytes from ``start`` to ``stop``, 8 MiB a request.

    Args:
        target: Where it is.
        digest: Which; the caller checks what the bytes are.
        start: Of the first byte.
        stop: Behind the last.
        retry: Policy for each request.

    Raises:
        TargetError: Not there, or shorter; or the registry ignores ranges, and it is far behind.
    """
    while start < stop:
        size = min(_PART_BYTES, stop - start)
        part = retry.call(partial(_part, target, digest, start, size))
        yield from (part[at : at + _CHUNK] for at in range(0, size, _CHUNK))
        start += size


def _part(target: Target, digest: Digest, start: int, size_bytes: int) -> bytes:
    part = target.read_range(digest, start, size_bytes)
    if len(part) != size_bytes:
        raise TargetError("read", digest, f"it ends after {start + len(part)} bytes")
    return part


class Ranged(io.RawIOBase):
    """A blob as a seekable file.

    Args:
        target: Where the blob is.
        blob: Its descriptor.
        asked: Called before each request; it may refuse it.
    """

    def __init__(
        self, target: Target, blob: Descriptor, *, asked: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__()
        self._target = target
        self._blob = blob
        self._asked = asked
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the offset in bytes at which reading goes on."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._blob.size_bytes}
        self._at = start[whence] + offset
        return self._at

    def tell(self) -> int:
        """Return that offset."""
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer by one request and return how many bytes came."""
        size = min(len(buffer), self._blob.size_bytes - self._at)
        if size <= 0:
            return 0
        self._asked()
        data = self._target.read_range(self._blob.digest, self._at, size)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
