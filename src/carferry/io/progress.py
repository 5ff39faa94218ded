"""The protocol through which a build reports what moves."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives what happens; called from several threads at once."""

    def expect(self, size_bytes: int) -> None:
        """So many bytes will move in all."""

    def begin(self, name: str, size_bytes: int) -> None:
        """A layer or file starts to move."""

    def advance(self, name: str, size_bytes: int) -> None:
        """So many more bytes of it have moved."""

    def end(self, name: str, note: str = "") -> None:
        """It is done: moved, reused, mounted or failed, as the note says."""

    def note(self, text: str) -> None:
        """Something worth a line: a retry, a phase."""


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
