"""Progress of a command, and what it says when the command is stopped or fails."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from carferry.errors import InputError
from carferry.io.show.display import Display
from carferry.io.show.progress import Progress
from carferry.io.show.terminal import open_progress

_GO_ON = "run the same command to go on"


@contextmanager
def displayed(style: str, *, unit: str = "", place: str = "") -> Iterator[Progress]:
    """Show progress while the block runs; if it is left by an error, say what was kept.

    Args:
        style: As for ``open_progress``.
        unit: What a second run need not move again, in the plural; empty if it begins anew.
        place: Where that is.
    """
    progress = open_progress(style)
    if not isinstance(progress, Display):
        yield progress
        return
    try:
        with _logs_above(progress):
            yield progress
    except BaseException as error:  # a failure, or a signal
        tally = progress.tally
        if unit and tally.arrived:
            count = max(tally.expected_items, tally.arrived)
            # The same command would fail of wrong input again.
            then = "" if isinstance(error, InputError) else f"; {_GO_ON}"
            progress.note(f"{tally.arrived} of {count} {unit} are in {place}{then}")
        raise


class _Above:
    """What loggers write, as notes of a display: it would be drawn over, or be no event."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def write(self, text: str) -> None:
        for line in text.rstrip("\n").split("\n"):
            self._progress.note(line)

    def flush(self) -> None:
        """Nothing is held back."""


@contextmanager
def _logs_above(progress: Progress) -> Iterator[None]:
    handlers = [
        each
        for each in logging.getLogger().handlers
        if isinstance(each, logging.StreamHandler) and each.stream is sys.stderr
    ]
    for handler in handlers:
        handler.setStream(_Above(progress))
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(sys.stderr)
