"""Reading the few small files that say what a model needs: bounded in length, number and time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from carferry.errors import InputError
from carferry.source.pieces import read_piece
from carferry.source.snapshot import SourceFile
from carferry.source.source import Source

_AT_ONCE = 8
_CAP_BYTES = 16 * 1024 * 1024


class Reader:
    """Reads whole files of a source, several at once and each of them once.

    Args:
        source: Where they lie.
        files: What it lists, by path.
    """

    def __init__(self, source: Source, files: Mapping[str, SourceFile]) -> None:
        self.source = source
        self.files = files
        self._read: dict[str, bytes] = {}

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
        missing = [path for path in wanted if path not in self._read]
        if missing:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                self._read |= zip(missing, pool.map(self._whole, missing), strict=True)
        return {path: self._read[path] for path in wanted}

    def documents_of(self, paths: Iterable[str]) -> dict[str, Any]:
        """Return JSON documents by path; one that is none is left for who must parse it."""
        found = {path: _json(data) for path, data in self.bytes_of(paths).items()}
        return {path: value for path, value in found.items() if value is not None}

    def range_of(self, path: str, start: int, end: int) -> bytes:
        """Return a byte range of a file; of an index the whole, which is kept."""
        if path in self._read:
            return self._read[path][start:end]
        file = self.files[path]
        return read_piece(self.source, file, start, end)

    def _whole(self, path: str) -> bytes:
        # Asked for its identity first: a link that leads out of a folder is refused there.
        (file,) = self.source.snapshot([path]).files
        return read_piece(self.source, file)


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
