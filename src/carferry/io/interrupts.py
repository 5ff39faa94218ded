"""An interrupt while modules load."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread


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
