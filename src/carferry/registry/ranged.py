"""A blob as a seekable file: only what is read is asked for, by Range."""

from __future__ import annotations

import io
from collections.abc import Callable

from carferry.oci.documents import Descriptor
from carferry.registry.target import Target


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
