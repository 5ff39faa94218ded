"""The files of an image where they lie: path, length, and parts of their bytes.

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
        place: Where its bytes lie; None where they do not lie as they are.
    """

    path: str
    size_bytes: int
    target: Target
    place: Place | None

    def read_range(self, start: int, end: int) -> bytes | None:
        """Return bytes [start, end) of the file; fewer only at its end.

        None if they lie in a compressed layer and were not kept when that was read.

        Raises:
            TargetError: Not there, or the registry ignores ranges.
        """
        end = min(end, self.size_bytes)
        if end <= start:
            return b""
        if self.place is None:
            return None
        if not self.place.is_packed:
            at = self.place.offset + start
            return self.target.read_range(self.place.layer.digest, at, end - start)
        if end <= len(self.place.head):
            return self.place.head[start:end]
        tail, begins = self.place.tail, self.size_bytes - len(self.place.tail)
        return tail[start - begins : end - begins] if start >= begins else None


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
