"""Progress of a command, and what it says when the command is stopped or fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from carferry.errors import CarferryError
from carferry.io.display import Display
from carferry.io.progress import Progress
from carferry.io.terminal import open_progress

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
    try:
        yield progress
    except (CarferryError, KeyboardInterrupt):
        if unit and isinstance(progress, Display) and progress.tally.arrived:
            tally = progress.tally
            count = max(tally.expected_items, tally.arrived)
            progress.note(f"{tally.arrived} of {count} {unit} are in {place}; {_GO_ON}")
        raise
