"""Progress as lines, for logs: what ended, how far it is every few seconds, and long silences."""

from __future__ import annotations

from itertools import islice
from typing import IO

from carferry.io.show.amounts import human_bytes, human_seconds
from carferry.io.show.cells import cells, cut
from carferry.io.show.display import write
from carferry.io.show.tally import Phase, Tally
from carferry.shown import one_line, redact

SILENT_S = 30.0
"""A silence is told of after so many seconds; then each time that it has lasted twice as long."""

_EVERY_S = 5.0
_LATER_S = 15.0  # once it is known to take long
_SOON_S = 60.0
_MOST_NAMES = 3
_ENDING = ".safetensors"
_WIDE = 10_000


def short(name: str, width: int) -> str:
    """Return a name on one line, cut to so many cells: first goes the ending all weights have."""
    text = noted_line(name)
    return text if cells(text) <= width else cut(text.removesuffix(_ENDING), max(1, width))


def ended_line(name: str, size_bytes: int, note: str, width: int = _WIDE) -> str:
    """Return what stays of an item, its name in ``width`` cells: ``  move   1.0 GiB  model``."""
    return f"{note or 'done':>6}  {human_bytes(size_bytes):>10}  {short(name, width)}"


def noted_line(text: str) -> str:
    """Return a note as it is shown: on one line, without what a terminal obeys or a secret."""
    return one_line(redact(text))


def totals(tally: Tally) -> tuple[str, ...]:
    """Return how far all is, in words that are fewer and fewer."""
    done, size = human_bytes(tally.done_bytes), human_bytes(tally.size_bytes)
    share, rate = f"{tally.share:.0%}", f"{human_bytes(tally.rate)}/s"
    left = f", {human_seconds(tally.seconds_left)} left" if tally.seconds_left else ""
    return (
        f"{share}, {done} of {size}, {rate}{left}",
        f"{share} of {size}, {rate}{left}",
        f"{share}{left}",
        share,
    )


def waiting(tally: Tally, now: float) -> tuple[str, ...]:
    """Return on whom the work has waited, and how long, in words that are fewer and fewer."""
    phase = tally.phases[-1]
    whom = f" for {one_line(redact(phase.host))}" if phase.host else ""
    how_long = human_seconds(tally.silent_s(now))
    silence = f"still waiting{whom}: {how_long} without a byte"
    return (
        f"{silence} ({noted_line(phase.text)})",
        silence,
        f"waiting{whom}: {how_long}",
        f"waiting: {how_long}",
    )


class Lines:
    """A line for each item that ends, for each note, and every few seconds.

    Args:
        out: A text stream.
    """

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._began: float | None = None
        self._drawn = 0.0
        self._told_s = SILENT_S

    def expected(self, size_bytes: int, items: int, tally: Tally) -> None:
        """Show nothing."""

    def begun(self, name: str, size_bytes: int, tally: Tally) -> None:
        """Show nothing; the rate is first due a few seconds after the first item."""
        if self._began is None:
            self._began = self._drawn = tally.heard

    def moved(self, name: str, size_bytes: int, tally: Tally, now: float) -> None:
        """Write a line if one is due."""
        self._told_s = SILENT_S
        is_new = now - (self._began or 0.0) < _SOON_S
        if now - self._drawn >= (_EVERY_S if is_new else _LATER_S):
            tally.measure(now)
            self._drawn = now
            self._line(f"{totals(tally)[0]}{_moving(tally)}")

    def ended(self, name: str, size_bytes: int, note: str, tally: Tally) -> None:
        """Write a line."""
        self._told_s = SILENT_S
        self._line(ended_line(name, size_bytes, note))

    def noted(self, text: str, tally: Tally) -> None:
        """Write a line."""
        self._line(noted_line(text))

    def entered(self, phase: Phase, tally: Tally) -> None:
        """Show nothing: most phases are over before anybody would read of them."""

    def ticked(self, tally: Tally, now: float) -> None:
        """Write a line when nothing has come for long."""
        tally.measure(now)
        if tally.silent_s(now) >= self._told_s:
            self._told_s *= 2
            self._line(f"{waiting(tally, now)[0]}{_moving(tally)}")

    def closed(self, tally: Tally) -> None:
        """Show nothing."""
        self._told_s = SILENT_S

    def _line(self, text: str) -> None:
        write(self._out, f"{text}\n")


def _moving(tally: Tally) -> str:
    """Return what moves now, the first few by name."""
    more = len(tally.items) - _MOST_NAMES
    first = islice(tally.items.items(), _MOST_NAMES)
    names = [f"{noted_line(name)} {item.share:.0%}" for name, item in first]
    rest = [f"{more} more"] if more > 0 else []
    return f": {', '.join([*names, *rest])}" if names else ""
