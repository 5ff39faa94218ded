"""Reading the few small files that say what a model needs: bounded in length, number and time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from carferry.errors import InputError
from carferry.source.pieces import Pieces
from carferry.source.snapshot import SourceFile

_AT_ONCE = 8
_CAP_BYTES = 16 * 1024 * 1024


class Reader:
    """Reads whole files of a source, several at once.

    Args:
        pieces: Keeps what was read, for whoever looks at the same files later.
    """

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces

    @property
    def files(self) -> Mapping[str, SourceFile]:
        """What the source lists, by path."""
        return self._pieces.files

    def bytes_of(self, paths: Iterable[str], cap_bytes: int = _CAP_BYTES) -> dict[str, bytes]:
        """Return the content of those that are there.

        Raises:
            InputError: One is longer than ``cap_bytes``.
            CarferryError: The source failed.
        """
        wanted = [path for path in paths if path in self.files]
        for path in wanted:
            if (size := self.files[path].size_bytes) > cap_bytes:
                raise InputError("read", path, f"{size} bytes long, no such file is")
        # Asked for their identities first: a link that leads out of a folder is refused there.
        if missing := [path for path in wanted if not self._pieces.holds(path)]:
            self._pieces.source.snapshot(missing)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(wanted, pool.map(self._pieces.whole, wanted), strict=True))

    def documents_of(self, paths: Iterable[str]) -> dict[str, Any]:
        """Return JSON documents by path; one that is none is left for who must parse it."""
        found = {path: _json(data) for path, data in self.bytes_of(paths).items()}
        return {path: value for path, value in found.items() if value is not None}

    def range_of(self, path: str, start: int, end: int) -> bytes:
        """Return a byte range of a file."""
        return self._pieces.read(path, start, end)


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
