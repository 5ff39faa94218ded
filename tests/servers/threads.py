"""The threads that carferry starts, all of which must be over when it returns."""

from __future__ import annotations

import threading
import time

_PATIENCE_S = 2.0


def left_behind() -> list[str]:
    """Return the names of carferry's threads that still run after a moment's patience."""
    deadline = time.monotonic() + _PATIENCE_S
    while found := [t.name for t in threading.enumerate() if t.name.startswith("carferry")]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return found
