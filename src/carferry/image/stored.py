"""The files of an image where they lie: path, length, and any part of their bytes by Range.

For whoever looks into files without reading them through, such as headers of weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from carferry.image.contract import Entry, Place
from carferry.image.layers import ROOT
from carferry.registry.target import Target


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a model in an image.

    Attributes:
        path: In the model, without ``models/``.
        size_bytes: Length.
        target: Where the image is.
        place: Where its bytes lie; None in a compressed layer, of which no part can be read.
    """

    path: str
    size_bytes: int
    target: Target
    place: Place | None

    def read_range(self, start: int, end: int) -> bytes:
        """Return bytes [start, end) of the file; fewer only at its end.

        Raises:
            ValueError: Compressed.
            TargetError: Not there, or the registry ignores ranges.
        """
        if self.place is None:
            raise ValueError(f"{self.path} is compressed")
        size = min(end, self.size_bytes) - start
        if size <= 0:
            return b""
        return self.target.read_range(self.place.layer.digest, self.place.offset + start, size)


def stored_files(target: Target, models: Iterable[Entry]) -> dict[str, StoredFile]:
    """Return a model's files by their path in it.

    Args:
        target: Where the image is.
        models: What an inspection found there.
    """
    files = [entry for entry in models if entry.kind == "file"]
    paths = [entry.path.removeprefix(f"{ROOT}/") for entry in files]
    return {
        path: StoredFile(path, entry.size_bytes, target, entry.place)
        for path, entry in zip(paths, files, strict=True)
    }
