"""Lines that many threads would say at once: one for all of them, with their count."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

_MOMENT_S = 0.1
_QUIET_S = 1.0


class Gathered:
    """What threads say of one thing within a second; shared by all of them."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()
        self._said: dict[str, float] = {}
        self._lock = threading.Lock()

    def say(self, key: str, line: str, report: Callable[[str], None]) -> None:
        """Say a line, after a moment in which others may come with theirs.

        Args:
            key: What it is about; of those with the same one is said within a second.
            line: What to say.
            report: Gets it, with the count of threads.
        """
        with self._lock:
            if time.monotonic() < self._said.get(key, 0.0) + _QUIET_S:
                return
            self._waiting[key] += 1
            if self._waiting[key] > 1:
                return
        time.sleep(_MOMENT_S)
        with self._lock:
            count = self._waiting.pop(key)
            self._said[key] = time.monotonic()
        report(f"{line} ({count} streams)" if count > 1 else line)
