"""The next files of a bundle, read on threads of their own while the one before is handed on.

A small file costs a round trip and next to no bytes: one after the other, thousands of them take
as many round trips. Only whole files are read ahead, in their order and within a budget of bytes,
so that what is held stays bounded and the file that is due never waits for a later one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from carferry.source.snapshot import SourceFile
from carferry.source.source import Source

# With the 8 MiB before the hashing thread, a stream stays under its 20 MiB.
BUDGET_BYTES = 8 * 1024 * 1024
# A longer file takes a round trip's time to arrive in any case, and it would fill the budget.
LONGEST_BYTES = BUDGET_BYTES // 2
_THREADS = 16
_MOST_FILES = 4 * _THREADS


class ReadAhead:
    """Reads a layer's files in order; leaving it cancels what was not asked for.

    Args:
        source: Where they are read.
        files: In the order in which they will be asked for; some at the start may be passed over.
    """

    def __init__(self, source: Source, files: Sequence[SourceFile]) -> None:
        self._source = source
        self._files = files
        self._at = 0
        self._next = 0
        self._held_bytes = 0
        self._coming: dict[int, Future[list[bytes]]] = {}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="carferry-ahead")
        self._left = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._pool.shutdown(cancel_futures=True)

    def read(self, file: SourceFile, skip: int = 0) -> Iterator[bytes]:
        """Yield a file's bytes from offset ``skip``.

        Raises:
            SourceError: As the source has it, when it is this file's turn.
        """
        while self._files[self._at] is not file:
            self._at += 1
        if file.size_bytes == 0:
            # It costs no request, and if it lies before a resumed start, nothing near it is due.
            return iter(self._source.read(file))
        self._next = max(self._next, self._at + bool(skip))
        self._begin()
        coming = self._coming.pop(self._at, None)
        return iter(self._source.read(file, skip)) if coming is None else self._taken(file, coming)

    def _taken(self, file: SourceFile, coming: Future[list[bytes]]) -> Iterator[bytes]:
        yield from coming.result()
        self._held_bytes -= file.size_bytes

    def _begin(self) -> None:
        """Begin to read what the budget has room for; a single file is read where it is due."""
        while len(self._files) > 1 and self._next < len(self._files):
            file = self._files[self._next]
            if 0 < file.size_bytes <= LONGEST_BYTES:
                if self._held_bytes + file.size_bytes > BUDGET_BYTES:
                    return
                if len(self._coming) >= _MOST_FILES:
                    return
                self._held_bytes += file.size_bytes
                self._coming[self._next] = self._pool.submit(self._whole, file)
            self._next += 1

    def _whole(self, file: SourceFile) -> list[bytes]:
        chunks: list[bytes] = []
        for chunk in self._source.read(file):
            if self._left.is_set():
                break
            chunks.append(chunk)
        return chunks
