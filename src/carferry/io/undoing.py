"""What must be undone if the process has to end before its threads do.

A thread that waits for a network cannot be told to stop. What it has open, an upload in a registry
or a file beside its place, is noted here until it is closed, so that who ends the process can.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_open: dict[object, Callable[[], None]] = {}


@contextmanager
def undone_at_the_end(undo: Callable[[], None]) -> Iterator[None]:
    """Note what undoes the block, as long as it runs.

    Args:
        undo: Called on a thread of its own, perhaps while the block still runs; never raises.
    """
    key = object()
    _open[key] = undo
    try:
        yield
    finally:
        _open.pop(key, None)


def undo_all(limit_s: float) -> None:
    """Undo what is open now, all at once, for at most so long."""
    until = time.monotonic() + limit_s
    threads = [threading.Thread(target=undo, daemon=True) for undo in tuple(_open.values())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
