"""Progress for people and for logs: bars on a terminal, lines in a pod, JSON for programs."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from carferry.errors import one_line, redact
from carferry.io.progress import Progress, Silent

_EVERY_S = {"bars": 0.2, "lines": 5.0}
_BAR_CELLS = 24
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def human_bytes(size: float) -> str:
    """Return a size with three or four digits and a binary unit: ``1.5 GiB``."""
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"


def open_progress(style: str, stream: IO[str] | None = None) -> Progress:
    """Return a display.

    Args:
        style: ``auto`` (bars on a terminal, lines elsewhere), ``bars``, ``lines``, ``json``
            or ``none``.
        stream: Where it goes; default stderr, so that stdout stays for results.
    """
    out = stream or sys.stderr
    if style == "auto":
        style = "bars" if out.isatty() else "lines"
    if style == "none":
        return Silent()
    return JsonEvents(out) if style == "json" else Lines(out, bars=style == "bars")


@dataclass(slots=True)
class _Item:
    size_bytes: int
    done_bytes: int = 0


@dataclass(slots=True)
class _Totals:
    items: dict[str, _Item] = field(default_factory=dict)
    size_bytes: int = 0
    done_bytes: int = 0
    expected_bytes: int = 0


class Lines:
    """Bars redrawn in place, or a line every few seconds.

    Args:
        out: A text stream.
        bars: Redraw in place; only sensible on a terminal.
        clock: Monotonic seconds.
    """

    def __init__(
        self, out: IO[str], *, bars: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._bars = bars
        self._clock = clock
        self._lock = threading.Lock()
        self._totals = _Totals()
        self._started = self._shown = clock()
        self._drawn = 0

    def expect(self, size_bytes: int) -> None:
        """Count towards the total before anything has begun."""
        with self._lock:
            self._totals.expected_bytes += size_bytes

    def begin(self, name: str, size_bytes: int) -> None:
        """Add a bar."""
        with self._lock:
            self._totals.items[name] = _Item(size_bytes)
            self._totals.size_bytes += size_bytes

    def advance(self, name: str, size_bytes: int) -> None:
        """Fill it; draws only every so often, since this is called for each chunk."""
        with self._lock:
            item = self._totals.items.get(name)
            if item:
                item.done_bytes += size_bytes
            self._totals.done_bytes += size_bytes
            if self._clock() - self._shown >= _EVERY_S["bars" if self._bars else "lines"]:
                self._draw()

    def end(self, name: str, note: str = "") -> None:
        """Replace the bar by a line that stays."""
        with self._lock:
            item = self._totals.items.pop(name, None)
            size = item.size_bytes if item else 0
            if item and not item.done_bytes:
                self._totals.size_bytes -= size
            self._line(f"{note or 'done':>6}  {human_bytes(size):>10}  {one_line(name)}")

    def note(self, text: str) -> None:
        """Print a line."""
        with self._lock:
            self._line(one_line(redact(text)))

    def _line(self, text: str) -> None:
        self._erase()
        self._out.write(text + "\n")
        if self._bars:
            self._draw()
        self._out.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        self._shown = self._clock()
        if not self._bars:
            self._out.write(self._total() + "\n")
        elif self._totals.items:
            self._erase()
            rows = [self._bar(name, item) for name, item in self._totals.items.items()]
            self._out.write("\n".join([*rows, self._total()]) + "\n")
            self._drawn = len(rows) + 1
        self._out.flush()

    def _bar(self, name: str, item: _Item) -> str:
        share = min(1.0, item.done_bytes / item.size_bytes) if item.size_bytes else 1.0
        filled = int(share * _BAR_CELLS)
        bar = "#" * filled + "-" * (_BAR_CELLS - filled)
        return f"[{bar}] {share:4.0%}  {human_bytes(item.size_bytes):>10}  {one_line(name)[:40]}"

    def _total(self) -> str:
        totals, passed = self._totals, max(self._clock() - self._started, 1e-6)
        rate = totals.done_bytes / passed
        size = max(totals.size_bytes, totals.expected_bytes)
        left = max(0, size - totals.done_bytes)
        eta = f", {left / rate:.0f} s left" if rate and left else ""
        return (
            f"{human_bytes(totals.done_bytes)} of {human_bytes(size)}, {human_bytes(rate)}/s{eta}"
        )


class JsonEvents:
    """One JSON object per line and event; chunks are summed to one event a second per name."""

    def __init__(self, out: IO[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: dict[str, int] = {}
        self._sent: dict[str, float] = {}

    def expect(self, size_bytes: int) -> None:
        """Emit ``expect``."""
        self._emit("expect", size_bytes=size_bytes)

    def begin(self, name: str, size_bytes: int) -> None:
        """Emit ``begin``."""
        self._emit("begin", name=name, size_bytes=size_bytes)

    def advance(self, name: str, size_bytes: int) -> None:
        """Emit ``advance`` with what has moved since the last one."""
        with self._lock:
            self._pending[name] = self._pending.get(name, 0) + size_bytes
            due = self._clock() - self._sent.get(name, 0.0) >= 1.0
            moved = self._pending.pop(name) if due else 0
            if due:
                self._sent[name] = self._clock()
        if moved:
            self._emit("advance", name=name, size_bytes=moved)

    def end(self, name: str, note: str = "") -> None:
        """Emit ``end``, after what was still pending."""
        with self._lock:
            moved = self._pending.pop(name, 0)
        if moved:
            self._emit("advance", name=name, size_bytes=moved)
        self._emit("end", name=name, how=note)

    def note(self, text: str) -> None:
        """Emit ``note``."""
        self._emit("note", text=redact(text))

    def _emit(self, event: str, **fields: object) -> None:
        with self._lock:
            self._out.write(json.dumps({"event": event, **fields}) + "\n")
            self._out.flush()
