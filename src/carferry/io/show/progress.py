"""The protocol through which a build reports what moves and what it waits for."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Progress(Protocol):
    """Receives what happens; called from several threads at once."""

    def expect(self, size_bytes: int, items: int = 0) -> None:
        """Add bytes that will move in all, and how many layers, blobs or files there will be.

        Negative bytes take back what turned out to be there already.
        """

    def begin(self, name: str, size_bytes: int) -> None:
        """Add a layer or file that starts to move."""

    def advance(self, name: str, size_bytes: int) -> None:
        """Count more bytes of it that have moved; fewer than none: they will move once more."""

    def end(self, name: str, note: str = "") -> None:
        """Mark it as done: moved, reused, mounted or missing, as the note says."""

    def note(self, text: str) -> None:
        """Show a line: a retry, what was not reused."""

    def phase(self, text: str, host: str = "") -> AbstractContextManager[None]:
        """Say what is being done as long as the block runs, and on whose answer it waits.

        Phases may lie within each other, and run side by side on several threads. A display
        works only while one is open: then it also tells of silence.

        Args:
            text: Such as ``resolving org/name``.
            host: Who answers, such as ``quay.io``; empty if nobody else has a part in it.
        """


def either(*hosts: str) -> str:
    """Return those on whom a phase waits that has to do with several: ``a or b``."""
    return " or ".join(dict.fromkeys(filter(None, hosts)))


class Silent:
    """Shows nothing."""

    def expect(self, size_bytes: int, items: int = 0) -> None:
        """Ignore it."""

    def begin(self, name: str, size_bytes: int) -> None:
        """Ignore it."""

    def advance(self, name: str, size_bytes: int) -> None:
        """Ignore it."""

    def end(self, name: str, note: str = "") -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""

    def phase(self, text: str, host: str = "") -> AbstractContextManager[None]:
        """Ignore it."""
        return nullcontext()
