"""What a layer takes away from the layers below it.

Source: OCI image-spec v1.1 layer.md, "Whiteouts": ``.wh.name`` hides a path and all below it,
``.wh..wh..opq`` all that a folder held.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

_MARK = ".wh."
_OPAQUE = ".wh..wh..opq"


@dataclass(frozen=True, slots=True)
class Whiteouts:
    """Those of one layer; they never hide what is in the layer itself.

    Attributes:
        gone: Paths that it takes away.
        emptied: Folders that it empties; the image's own root is empty text.
    """

    gone: frozenset[str] = frozenset()
    emptied: frozenset[str] = frozenset()

    @classmethod
    def among(cls, paths: Iterable[str]) -> Whiteouts:
        """Return the whiteouts among a layer's paths, which have no leading slash."""
        gone, emptied = set[str](), set[str]()
        for folder, name in map(posixpath.split, paths):
            if name == _OPAQUE:
                emptied.add(folder)
            elif name.startswith(_MARK):
                gone.add(posixpath.join(folder, name.removeprefix(_MARK)))
        return cls(frozenset(gone), frozenset(emptied))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.gone or self.emptied)

    def hide(self, path: str) -> bool:
        """Return whether a path of a layer below is no longer seen."""
        above = ["", *accumulate(path.split("/"), posixpath.join)]
        return not self.gone.isdisjoint(above) or not self.emptied.isdisjoint(above[:-1])


def is_whiteout(path: str) -> bool:
    """Return whether a path is no file but takes others away."""
    return posixpath.basename(path).startswith(_MARK)
