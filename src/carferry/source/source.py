"""A place that a model is read from, as a protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from carferry.source.patterns import Patterns
from carferry.source.snapshot import Snapshot, SourceFile


class Source(Protocol):
    """A place that a model is read from.

    It is resolved once to a ``Snapshot`` (immutable: commit, files, sizes, content ids);
    everything after that reads exactly those files and proves it did.
    """

    def snapshot(self, patterns: Patterns) -> Snapshot:
        """Resolve to a commit and the files the patterns admit."""

    def listing(self, patterns: Patterns) -> Snapshot:
        """Resolve likewise; content ids that take reading every byte are empty."""

    def read(self, file: SourceFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the file's bytes from offset ``start`` to ``stop`` or its end, in order."""
