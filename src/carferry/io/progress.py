"""The protocol through which a build reports what moves."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives what happens; called from several threads at once."""

    def expect(self, size_bytes: int) -> None:
        """Add bytes that will move in all."""

    def begin(self, name: str, size_bytes: int) -> None:
        """Add a layer or file that starts to move."""

    def advance(self, name: str, size_bytes: int) -> None:
        """Count more bytes of it that have moved; fewer than none: they will move once more."""

    def end(self, name: str, note: str = "") -> None:
        """Mark it as done: moved, reused, mounted or failed, as the note says."""

    def note(self, text: str) -> None:
        """Show a line: a retry, a phase."""


class Silent:
    """Shows nothing."""

    def expect(self, size_bytes: int) -> None:
        """Ignore it."""

    def begin(self, name: str, size_bytes: int) -> None:
        """Ignore it."""

    def advance(self, name: str, size_bytes: int) -> None:
        """Ignore it."""

    def end(self, name: str, note: str = "") -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""
