"""A display: counts what is reported, and lets a face show it now and whenever time has passed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Protocol

from carferry.io.show.tally import Phase, Tally

_TICK_S = 0.5


class Face(Protocol):
    """How a display looks; called with the display's lock held."""

    def expected(self, size_bytes: int, items: int, tally: Tally) -> None:
        """Show that more will move."""

    def begun(self, name: str, size_bytes: int, tally: Tally) -> None:
        """Show an item that starts to move."""

    def moved(self, name: str, size_bytes: int, tally: Tally, now: float) -> None:
        """Show that bytes have moved: called for each chunk, so mostly do nothing."""

    def ended(self, name: str, size_bytes: int, note: str, tally: Tally) -> None:
        """Show that an item has ended."""

    def noted(self, text: str, tally: Tally) -> None:
        """Show a line."""

    def entered(self, phase: Phase, tally: Tally) -> None:
        """Show a phase that begins."""

    def ticked(self, tally: Tally, now: float) -> None:
        """Show that time has passed: how far it is, and on whom it waits."""

    def closed(self, tally: Tally) -> None:
        """Leave nothing behind that would be drawn anew."""


class Display:
    """A ``Progress`` that a person or a program sees.

    A thread lets time pass while a phase is open, and ends with the last one: whatever happens
    to the work, nothing is drawn after it.

    Args:
        face: How it looks.
        clock: Monotonic seconds.
        every_s: How often the thread lets time pass, in seconds.
    """

    def __init__(
        self,
        face: Face,
        *,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = _TICK_S,
    ) -> None:
        self.tally = Tally()
        self._face = face
        self._clock = clock
        self._every_s = every_s
        # A signal's handler may report something while the same thread does.
        self._lock = threading.RLock()
        self._ticker: Ticker | None = None

    def expect(self, size_bytes: int, items: int = 0) -> None:
        """Count towards the total before anything has begun."""
        with self._lock:
            self.tally.expect(size_bytes, items)
            self._face.expected(size_bytes, items, self.tally)

    def begin(self, name: str, size_bytes: int) -> None:
        """Add an item."""
        with self._lock:
            self.tally.begin(name, size_bytes, self._clock())
            self._face.begun(name, size_bytes, self.tally)

    def advance(self, name: str, size_bytes: int) -> None:
        """Count bytes of it."""
        with self._lock:
            now = self._clock()
            self.tally.advance(name, size_bytes, now)
            self._face.moved(name, size_bytes, self.tally, now)

    def end(self, name: str, note: str = "") -> None:
        """Count it as ended."""
        with self._lock:
            size = self.tally.end(name, note, self._clock())
            self._face.ended(name, size, note, self.tally)

    def note(self, text: str) -> None:
        """Show a line."""
        with self._lock:
            self._face.noted(text, self.tally)

    @contextmanager
    def phase(self, text: str, host: str = "") -> Iterator[None]:
        """Say what is being done; the display works from the first phase to the end of the last."""
        phase = Phase(text, host, self._clock())
        self._enter(phase)
        try:
            yield
        finally:
            self._leave(phase)

    def tick(self) -> None:
        """Let time pass."""
        with self._lock:
            self._face.ticked(self.tally, self._clock())

    def _enter(self, phase: Phase) -> None:
        with self._lock:
            self.tally.phases.append(phase)
            self._face.entered(phase, self.tally)
            if self._ticker is None:
                self._ticker = Ticker(self.tick, self._every_s)

    def _leave(self, phase: Phase) -> None:
        with self._lock:
            self.tally.phases.remove(phase)
            if self.tally.phases or self._ticker is None:
                return
            self.tally.items.clear()
            self._face.closed(self.tally)
            ticker, self._ticker = self._ticker, None
        ticker.stop()


class Ticker:
    """Calls something every so often, until it is stopped.

    Args:
        tick: What is called, on a thread of its own.
        every_s: How often, in seconds.
    """

    def __init__(self, tick: Callable[[], None], every_s: float) -> None:
        self._tick = tick
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="carferry-progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; when this returns, nothing is called any more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            self._tick()


def write(out: IO[str], text: str) -> None:
    """Write text now, or not at all where nobody can read it any more: the work goes on."""
    # ValueError is what a file says that was closed on this side.
    with suppress(OSError, ValueError):
        out.write(text)
        out.flush()
