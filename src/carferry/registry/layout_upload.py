"""One blob on its way into an OCI layout: a file without a name until it is whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from carferry.errors import TargetError
from carferry.io import files
from carferry.refs import Digest, ImageRef, LayoutRef


class LayoutUpload:
    """A blob being written to a layout."""

    def __init__(
        self, ref: ImageRef | LayoutRef, root: Path, file: files.AtomicFile, size_bytes: int
    ) -> None:
        self._ref = ref
        self._root = root
        self._file = file
        self._size_bytes = size_bytes

    def send(self, chunks: Iterable[bytes], start: int = 0) -> None:
        """Write the blob from offset ``start``.

        Raises:
            StorageFull: The disk filled up.
            TargetError: More or fewer bytes came than were announced.
        """
        written = start
        try:
            self._file.seek(start)
            for chunk in chunks:
                written += self._file.write(chunk)
        except OSError as error:
            raise files.failed("write to", self._root, error) from error
        if written != self._size_bytes:
            raise TargetError("write to", self._ref, f"{written} bytes of {self._size_bytes} came")

    def offset(self) -> int | None:
        """Return None: a disk that failed once is not asked to go on."""
        return None

    def put(self, data: bytes, digest: Digest) -> None:
        """Write the whole blob and give it its name."""
        self.send([data])
        self.commit(digest)

    def commit(self, digest: Digest) -> None:
        """Give the file its final name."""
        try:
            self._file.name(blobs_of(self._root) / digest.hex)
        except OSError as error:
            raise files.failed("write to", self._root, error) from error

    def cancel(self) -> None:
        """Remove what was written."""
        with contextlib.suppress(OSError):
            self._file.drop()


def blobs_of(root: Path) -> Path:
    """Return the folder of a layout's blobs."""
    return root / "blobs" / "sha256"
