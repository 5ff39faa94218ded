"""A place that a model is read from, as a protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from carferry.source.snapshot import Snapshot, SourceFile


class Source(Protocol):
    """A place that a model is read from.

    It is resolved once to a commit; everything after that reads exactly the files listed then
    and proves it did.
    """

    @property
    def host(self) -> str:
        """Who answers for it, such as ``huggingface.co``; empty for a disk."""

    @property
    def gated(self) -> bool | None:
        """Whether its owner asks people to accept terms first; None away from the hub."""

    def listing(self) -> Snapshot:
        """List every file there is; content ids that take reading every byte are empty.

        Nothing is checked but that it can be listed: a file that may not enter an image is no
        fault as long as nobody takes it.
        """

    def snapshot(self, paths: Sequence[str]) -> Snapshot:
        """Return these files of the listing, in this order, each with its content id."""

    def read(self, file: SourceFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the file's bytes from offset ``start`` to ``stop`` or its end, in order."""
