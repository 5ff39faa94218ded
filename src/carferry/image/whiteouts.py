"""What layers show together: each covers those below it, and takes away from them.

Source: OCI image-spec v1.1 layer.md, "Whiteouts": ``.wh.name`` hides a path and all below it,
``.wh..wh..opq`` all that a folder held. What is no folder replaces one with all that it held
(containerd pkg/archive/tar.go).
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

_MARK = ".wh."
_OPAQUE = ".wh..wh..opq"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Laid(Generic[T]):
    """One entry of a layer.

    Attributes:
        path: Without a leading slash; of a whiteout, as the layer has it.
        value: What is known about it.
        is_folder: Whether it leaves alone what a folder of its path holds already.
    """

    path: str
    value: T
    is_folder: bool = False


class Overlay(Generic[T]):
    """Layers put one over another, bottom first.

    Attributes:
        seen: What a container sees, by path.
    """

    def __init__(self) -> None:
        self.seen: dict[str, T] = {}
        self._covered: set[str] = set()
        self._children: dict[str, set[str]] = {}

    @property
    def covered(self) -> frozenset[str]:
        """Paths over which a layer lies that nobody could look at."""
        return frozenset(self._covered & self.seen.keys())

    def hide(self) -> None:
        """Lay a layer over the others that was not looked at."""
        self._covered |= self.seen.keys()

    def add(self, layer: Sequence[Laid[T]]) -> None:
        """Lay a layer over the others: its whiteouts first, which never hide its own."""
        for entry in layer:
            if is_whiteout(entry.path):
                self._take_away(entry.path)
        for entry in layer:
            if not is_whiteout(entry.path):
                self._put(entry)

    def _take_away(self, whiteout: str) -> None:
        if posixpath.basename(whiteout) != _OPAQUE:
            self.seen.pop(taken_by(whiteout), None)
        self._empty(taken_by(whiteout))

    def _put(self, entry: Laid[T]) -> None:
        if not entry.is_folder:
            self._empty(entry.path)
        self.seen[entry.path] = entry.value
        self._covered.discard(entry.path)
        path = entry.path
        while path and path not in (under := self._under(posixpath.dirname(path))):
            under.add(path)
            path = posixpath.dirname(path)

    def _under(self, folder: str) -> set[str]:
        return self._children.setdefault(folder, set())

    def _empty(self, folder: str) -> None:
        left = [folder]
        while left:
            for path in self._children.pop(left.pop(), ()):
                self.seen.pop(path, None)
                left.append(path)


def is_whiteout(path: str) -> bool:
    """Return whether a path is no file but takes others away."""
    return posixpath.basename(path).startswith(_MARK)


def taken_by(whiteout: str) -> str:
    """Return the path that a whiteout takes away, or the folder that it empties."""
    folder, name = posixpath.split(whiteout)
    return folder if name == _OPAQUE else posixpath.join(folder, name.removeprefix(_MARK))
