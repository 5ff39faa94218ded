"""How often and how long to try again: bounded, with jitter, and cancellable."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from carferry.errors import CarferryError, DeadlineExceeded, Unreachable

Result = TypeVar("Result")


class Cancelled(CarferryError):
    """Another part of the same work failed, so this part stopped."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry policy shared by everything that works on one image.

    Attributes:
        attempts: Tries in all without any progress in between.
        first_tries: The same before anything has answered: the host's name may be wrong.
        base_s: First pause; doubles each time.
        cap_s: Longest pause, unless a server asks for more.
        asked_cap_s: Longest pause that a server is granted: the public hub counts requests over
            windows of five minutes. Who asks for more gets ``cap_s``, and soon the last try.
        deadline_s: Seconds from ``started`` after which nothing is tried again; by default none,
            since tries without progress are counted, and a large model may take days.
        stop: Set it to make every waiter and reader give up.
        clock: Monotonic seconds.
        jitter: Returns 0..1; a pause is between half and all of its nominal length.
    """

    attempts: int = 6
    first_tries: int = 2
    base_s: float = 0.5
    cap_s: float = 30.0
    asked_cap_s: float = 300.0
    deadline_s: float = math.inf
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    started: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raise if the work was cancelled.

        Raises:
            Cancelled: ``stop`` is set.
        """
        if self.stop.is_set():
            raise Cancelled("continue", "", "cancelled because another part failed")

    def pause(self, attempt: int, error: CarferryError) -> None:
        """Wait before try number ``attempt + 1``, or raise ``error`` if there is none.

        Args:
            attempt: Failed tries so far, from 1.
            error: What went wrong; only a ``temporary`` one is tried again.

        Raises:
            CarferryError: ``error`` itself, when it is final or the tries are used up.
            DeadlineExceeded: The deadline would pass first.
            Cancelled: ``stop`` was set meanwhile.
        """
        self.check()
        if not error.temporary or attempt >= self.attempts:
            raise error
        wait_s = self._delay(attempt, getattr(error, "retry_after_s", 0.0))
        if self.clock() + wait_s - self.started > self.deadline_s:
            raise DeadlineExceeded(
                "retry", error.subject, f"deadline passed; last: {error.reason}"
            ) from error
        self.stop.wait(wait_s)
        self.check()

    def call(
        self, work: Callable[[], Result], *, first: Callable[[], bool] = lambda: False
    ) -> Result:
        """Run ``work`` until it succeeds or its error is final.

        Args:
            work: What to do.
            first: Says whether nothing has answered so far. A wrong host name should show soon,
                so then ``first_tries`` are enough; a server that asks for a pause gets it.
                Called after each failure: meanwhile other requests may get through.
        """
        attempt = 0
        while True:
            self.check()
            try:
                return work()
            except CarferryError as error:
                attempt += 1
                if attempt >= self.first_tries and isinstance(error, Unreachable) and first():
                    raise
                self.pause(attempt, error)

    def _delay(self, attempt: int, asked_s: float) -> float:
        nominal = min(self.cap_s, self.base_s * 2.0 ** (attempt - 1))
        granted_s = asked_s if asked_s <= self.asked_cap_s else self.cap_s
        return max(nominal * (0.5 + self.jitter() / 2), granted_s)
