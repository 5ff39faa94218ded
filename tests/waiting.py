"""What fails for a while, and a clock that moves only while somebody waits."""

from __future__ import annotations

from copy import copy

from carferry.errors import CarferryError


def failure(*, temporary: bool = True, after_s: float = 0.0) -> CarferryError:
    """Return what went wrong."""
    error = CarferryError("push", "x", "busy")
    error.temporary, error.retry_after_s = temporary, after_s
    return error


class Flaky:
    """Fails so many times, then works."""

    def __init__(self, failures: int, error: CarferryError) -> None:
        self.left, self.error, self.calls = failures, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.left:
            raise copy(self.error)
        return "done"


class Waits:
    """Stands in for the stop event and the clock: time passes only while a caller waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: list[float] = []

    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        self.now += seconds
        return False

    def clock(self) -> float:
        return self.now
