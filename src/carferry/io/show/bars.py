"""Progress as bars on a terminal, redrawn in place, never wider or higher than it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from typing import IO

from carferry.io.show.amounts import human_bytes, human_seconds
from carferry.io.show.cells import cells, cut, folded
from carferry.io.show.display import write
from carferry.io.show.lines import ended_line, noted_line, short, totals, waiting
from carferry.io.show.tally import Item, Phase, Tally

_EVERY_S = 0.2
_LONG_S = 2.0  # a phase is shown if it takes longer
_SILENT_S = 10.0  # sooner than in a log: it goes away again
_BARS = ((72, 24), (44, 10))  # from a terminal's width on, cells of a bar
_SIZES_FROM = 72
_BEFORE_NAME = len(ended_line("", 0, ""))


def size_of(out: IO[str]) -> os.terminal_size:
    """Return columns and rows of the terminal behind a stream, as it is now."""
    try:
        found = os.get_terminal_size(out.fileno())
    except (OSError, ValueError):
        return shutil.get_terminal_size()
    return found if found.columns and found.lines else shutil.get_terminal_size()


class Bars:
    """A bar for each item and a line for all, below the lines that stay.

    Args:
        out: A terminal.
        size: Tells its columns and rows; asked at each drawing, since windows are resized.
    """

    def __init__(
        self, out: IO[str], *, size: Callable[[IO[str]], os.terminal_size] = size_of
    ) -> None:
        self._out = out
        self._size = size
        self._drawn: list[str] = []
        self._drawn_at = 0.0

    def expected(self, size_bytes: int, items: int, tally: Tally) -> None:
        """Show nothing."""

    def begun(self, name: str, size_bytes: int, tally: Tally) -> None:
        """Show it with the next drawing."""

    def moved(self, name: str, size_bytes: int, tally: Tally, now: float) -> None:
        """Draw, if the last time is long enough ago."""
        if now - self._drawn_at >= _EVERY_S:
            self._draw(tally, now)

    def ended(self, name: str, size_bytes: int, note: str, tally: Tally) -> None:
        """Put a line above the bars."""
        width = self._size(self._out).columns - 1
        line = ended_line(name, size_bytes, note, width - _BEFORE_NAME)
        self._put(cut(line, max(1, width)))

    def noted(self, text: str, tally: Tally) -> None:
        """Put a line above the bars, broken between words."""
        width = self._size(self._out).columns - 1
        self._put("\n".join(folded(noted_line(text), max(1, width))))

    def entered(self, phase: Phase, tally: Tally) -> None:
        """Show it when it takes long."""

    def ticked(self, tally: Tally, now: float) -> None:
        """Draw."""
        self._draw(tally, now)

    def closed(self, tally: Tally) -> None:
        """Take the bars away."""
        write(self._out, self._erased())
        self._drawn = []

    def _put(self, line: str) -> None:
        rows = "".join(f"{row}\n" for row in self._drawn)
        write(self._out, f"{self._erased()}{line}\n{rows}")

    def _draw(self, tally: Tally, now: float) -> None:
        self._drawn_at = now
        tally.measure(now)
        size = self._size(self._out)
        rows = _rows(tally, now, max(1, size.columns - 1), max(1, size.lines - 1))
        text = self._erased() + "".join(f"{row}\n" for row in rows)
        self._drawn = rows
        write(self._out, text)

    def _erased(self) -> str:
        """Return what takes the last drawing away, also if the terminal is less wide by now.

        Terminals let lines that have become too long go on in the next row.
        """
        width = max(1, self._size(self._out).columns)
        count = sum(max(1, -(-cells(row) // width)) for row in self._drawn)
        return f"\x1b[{count}F\x1b[J" if count else ""


def _rows(tally: Tally, now: float, width: int, height: int) -> list[str]:
    """Return what is drawn: bars, how many more there are, and how far all is."""
    last = [cut(row, width) for row in _last_rows(tally, now, width)][:height]
    room = height - len(last)
    names = list(tally.items)
    if len(names) > room:
        names = names[: max(0, room - 1)]
        last = [cut(f"and {len(tally.items) - len(names)} more", width), *last][-height:]
    return [*(_bar(name, tally.items[name], width) for name in names), *last]


def _last_rows(tally: Tally, now: float, width: int) -> list[str]:
    rows = []
    if tally.items and tally.size_bytes:
        rows.append(_fitting(totals(tally), width))
    if tally.silent_s(now) >= _SILENT_S:
        return [*rows, _fitting(waiting(tally, now), width)]
    phase = tally.phases[-1] if tally.phases else None
    if phase and not tally.items and now - phase.since >= _LONG_S:
        rows.append(f"{noted_line(phase.text)} ({human_seconds(now - phase.since)})")
    return rows


def _fitting(texts: Sequence[str], width: int) -> str:
    """Return the first text that fits, or the last one cut."""
    return next((text for text in texts if cells(text) <= width), cut(texts[-1], width))


def _bar(name: str, item: Item, width: int) -> str:
    """Return one item's row, with as much in it as the terminal has room for."""
    count = next((count for least, count in _BARS if width + 1 >= least), 0)
    filled = int(item.share * count)
    bar = f"[{'#' * filled}{'-' * (count - filled)}] " if count else ""
    size = f"  {human_bytes(item.size_bytes):>10}" if width + 1 >= _SIZES_FROM else ""
    head = f"{bar}{item.share:4.0%}{size}  "
    return cut(f"{head}{short(name, width - cells(head))}", width)
