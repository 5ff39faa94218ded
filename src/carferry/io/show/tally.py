"""What a display knows of the work: what moves, how fast, what for, and what has been silent."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

SMOOTHED_S = 15.0
"""A rate is the mean of about so many seconds, later ones counting more: not of all since the
start, which what was reused, or slow, at first would spoil for hours."""

_EARLY_SHARE, _EARLY_S = 0.01, 5.0
_NOTHING_ARRIVED = ("missing", "hashed")
"""Notes of items that have ended without being anywhere: what was only read, or not found."""


@dataclass(slots=True)
class Item:
    """A layer or file on its way.

    Attributes:
        size_bytes: Its length.
        done_bytes: What of it has moved; less than before if a part is sent again.
    """

    size_bytes: int
    done_bytes: int = 0

    @property
    def share(self) -> float:
        """How much of it has moved, from 0 to 1."""
        return min(1.0, max(0.0, self.done_bytes / self.size_bytes)) if self.size_bytes else 1.0


@dataclass(slots=True)
class Phase:
    """Something that is being done.

    Attributes:
        text: What, in words.
        host: Who has to answer; may be empty.
        since: When it began.
    """

    text: str
    host: str
    since: float


@dataclass(slots=True)
class Tally:
    """What was reported so far; times are monotonic seconds.

    Attributes:
        items: What moves now, by name.
        phases: What is done now, the latest last.
        expected_items: How many there will be, as far as anybody said.
        ended: How many have ended, by their note.
        done_bytes: What has moved in all.
        heard: When something last moved, began or ended.
    """

    items: dict[str, Item] = field(default_factory=dict)
    phases: list[Phase] = field(default_factory=list)
    expected_items: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    done_bytes: int = 0
    heard: float = 0.0
    _begun_bytes: int = 0
    _expected_bytes: int = 0
    _measured: float | None = None
    _measured_bytes: int = 0
    _weight_s: float = 0.0
    _weight_bytes: float = 0.0

    @property
    def size_bytes(self) -> int:
        """What will have moved in the end, as far as it is known."""
        return max(self._begun_bytes, self._expected_bytes, 0)

    @property
    def share(self) -> float:
        """How much of all has moved, from 0 to 1."""
        return Item(self.size_bytes, self.done_bytes).share

    @property
    def arrived(self) -> int:
        """How many items are where they should be."""
        return sum(n for note, n in self.ended.items() if note not in _NOTHING_ARRIVED)

    @property
    def rate(self) -> float:
        """Bytes per second, of late."""
        return max(0.0, self._weight_bytes / self._weight_s) if self._weight_s else 0.0

    @property
    def seconds_left(self) -> float:
        """Seconds until all has moved, if it goes on like this; 0 if nobody can say."""
        left = self.size_bytes - self.done_bytes
        if self.share < _EARLY_SHARE and self._weight_s < _EARLY_S:
            return 0.0  # the first bytes say nothing of those that follow
        return left / self.rate if self.rate >= 1 and left > 0 else 0.0

    def expect(self, size_bytes: int, items: int) -> None:
        """Count towards the total."""
        self._expected_bytes += size_bytes
        self.expected_items += items

    def begin(self, name: str, size_bytes: int, now: float) -> None:
        """Add an item; the rate counts from the first one on."""
        if known := self.items.pop(name, None):  # tried again, from its start
            self._begun_bytes -= known.size_bytes
            self._move(-known.done_bytes)
        self.items[name] = Item(size_bytes)
        self._begun_bytes += size_bytes
        self.heard = now
        if self._measured is None:
            self._measured = now

    def advance(self, name: str, size_bytes: int, now: float) -> None:
        """Count bytes."""
        if item := self.items.get(name):
            item.done_bytes += size_bytes
        self._move(size_bytes)
        self.heard = now

    def end(self, name: str, note: str, now: float) -> int:
        """Count an item as ended and return its length; unmoved, it counts as no work."""
        item = self.items.pop(name, Item(0))
        if not item.done_bytes:
            self._begun_bytes -= item.size_bytes
        self.ended[note] += 1
        self.heard = now
        return item.size_bytes

    def _move(self, size_bytes: int) -> None:
        self.done_bytes += size_bytes
        if size_bytes < 0:  # what is sent again was no slower for it
            self._measured_bytes += size_bytes

    def measure(self, now: float) -> None:
        """Take the rate since the last time into the smoothed one."""
        passed = 0.0 if self._measured is None else now - self._measured
        if passed <= 0:
            return
        kept = math.exp(-passed / SMOOTHED_S)
        counted_s = SMOOTHED_S * (1 - kept)
        rate = (self.done_bytes - self._measured_bytes) / passed
        self._weight_s = self._weight_s * kept + counted_s
        self._weight_bytes = self._weight_bytes * kept + rate * counted_s
        self._measured, self._measured_bytes = now, self.done_bytes

    def silent_s(self, now: float) -> float:
        """Return for how long nothing has been heard while something is waited for."""
        if not self.phases:
            return 0.0
        return max(0.0, now - max(self.heard, self.phases[-1].since))
