"""Signals that end a process: while its modules load, and while it has something to put away.

Only who owns the process installs handlers: the command line, and a step in its pod. The library
touches none, since a notebook's kernel has its own.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import current_thread, main_thread
from types import FrameType

from carferry.io.undoing import undo_all

GRACE_S = 4.0
"""How long threads have to cancel their uploads; a pod has 30 s in all."""
_UNDOING_S = 3.0
_OURS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,  # the terminal was closed, or the connection to it broke
}


class Terminated(SystemExit):
    """SIGTERM or SIGHUP came; uncaught, it ends the process with the code that a shell gives it.

    Attributes:
        number: Which of them.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        self.number = number
        super().__init__(128 + number)


def signal_of(stopped: BaseException) -> int:
    """Return the signal that an exception was raised for."""
    return stopped.number if isinstance(stopped, Terminated) else signal.SIGINT


class Ending:
    """Ends this process in order at the first signal, and at once at the second.

    The first is raised in the main thread, as KeyboardInterrupt or Terminated, so that all
    blocks are left and uploads cancelled on the way. Who is still there after some seconds, since a
    thread waits for the network or Python dropped the exception, is ended; what is open then
    is cancelled from here.

    Args:
        last_words: Called with the signal's number, once, at the end.
        grace_s: How long leaving in order may take.
        at_once: Say them when the signal comes: nobody will catch what it raises.
    """

    def __init__(
        self,
        last_words: Callable[[int], None],
        *,
        grace_s: float = GRACE_S,
        at_once: bool = False,
    ) -> None:
        self._last_words = last_words
        self._at_once = at_once
        self._grace_s = grace_s
        self._came = 0
        self._has_spoken = threading.Lock()

    def install(self, signals: Iterable[signal.Signals] = tuple(_OURS)) -> None:
        """Take the signals that nobody else handles or ignores; on the main thread only."""
        if current_thread() is not main_thread():
            return
        for number in signals:
            if signal.getsignal(number) is _OURS[number]:
                signal.signal(number, self._first)

    def speak(self, number: int) -> int:
        """Say the last words, unless they were said; return the exit code."""
        if self._has_spoken.acquire(blocking=False):
            self._last_words(number)
        return 128 + number

    def _first(self, number: int, _: FrameType | None) -> None:
        if self._came:
            self._leave()
        self._came = number
        threading.Thread(target=self._watch, daemon=True, name="carferry-ending").start()
        if self._at_once:
            with suppress(RuntimeError):  # the signal fell into a write to the same stream
                self.speak(number)
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)

    def _watch(self) -> None:
        time.sleep(self._grace_s)
        undo_all(_UNDOING_S)
        self._leave()

    def _leave(self) -> None:
        try:
            self.speak(self._came)
        finally:
            os._exit(128 + self._came)


@contextmanager
def held_back() -> Iterator[None]:
    """Hold an interrupt (SIGINT) back until the modules in the block are loaded, then raise it.

    Python drops a KeyboardInterrupt that falls into the callback which ends a module's import
    lock: it prints "Exception ignored" and goes on.

    Raises:
        KeyboardInterrupt: One came meanwhile.
    """
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not ours or current_thread() is not main_thread():
        yield  # another handler is at work, or signals arrive on another thread
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
