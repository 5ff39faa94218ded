"""How often and how long to try again: bounded, with jitter, and cancellable.

One operation has one count of tries, however many loops stand around it: an error says how often
was tried for it, and each loop that sees it counts that (docs/adr/0035-one-count-of-tries.md).
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from carferry.errors import CarferryError, DeadlineExceeded, Unreachable
from carferry.io.net.gathered import Gathered
from carferry.io.net.pauses import Pauses, pause_after, place_of

Result = TypeVar("Result")
_WORTH_GATHERING_S = 0.2
_SHORT_PAUSE_S = 10.0


class Cancelled(CarferryError):
    """Another part of the same work failed, so this part stopped."""


def _say_nothing(_: str) -> None:
    """Ignore it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry policy shared by everything that works on one image.

    Attributes:
        attempts: Tries in all without any progress in between.
        first_tries: The same before anything has answered: the host's name may be wrong.
        base_s: First pause; doubles each time.
        cap_s: Longest pause, unless a server asks for more.
        asked_cap_s: Longest pause that a server is granted: the public hub counts requests over
            windows of five minutes. Whoever asks for more is not tried again.
        granted: Short pauses a server may ask for in one operation beside the tries: one that
            limits requests has not failed, even for work that is not worth trying again.
        deadline_s: Seconds from ``started`` after which nothing is tried again; by default none,
            since tries without progress are counted, and a large model may take days.
        stop: Set it to make every waiter and reader give up.
        clock: Monotonic seconds.
        jitter: Returns 0..1; a pause is between half and all of its nominal length.
        report: Called with a line before each pause; from several threads.
        pauses: The hosts that asked to be left alone, for everybody.
        gathered: What is reported of many threads at once.
    """

    attempts: int = 6
    first_tries: int = 2
    base_s: float = 0.5
    cap_s: float = 30.0
    asked_cap_s: float = 300.0
    granted: int = 0
    deadline_s: float = math.inf
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    started: float = field(default_factory=time.monotonic)
    report: Callable[[str], None] = _say_nothing
    pauses: Pauses = field(default_factory=Pauses)
    gathered: Gathered = field(default_factory=Gathered)

    def check(self) -> None:
        """Raise if the work was cancelled.

        Raises:
            Cancelled: ``stop`` is set.
        """
        if self.stop.is_set():
            raise Cancelled("continue", "", "cancelled because another part failed")

    def tries(
        self, most: int = 0, *, first: Callable[[], bool] = lambda: False, about: str = ""
    ) -> Tries:
        """Return the count of an operation that begins.

        Args:
            most: Tries after which to give up, if fewer than the policy's ``attempts``; whoever
                tries around it goes on counting from there.
            first: Says whether nothing has answered so far. A wrong host name should show soon,
                so then ``first_tries`` are enough; a server that asks for a pause gets it.
                Called after each failure: meanwhile other requests may get through.
            about: What of several things that move is tried again; a report begins with it.
        """
        return Tries(self, min(most, self.attempts) if most else self.attempts, first, about)

    def call(
        self, work: Callable[[], Result], *, first: Callable[[], bool] = lambda: False
    ) -> Result:
        """Run ``work`` until it succeeds or its error is final.

        Args:
            work: What to do.
            first: As for ``tries``.

        Raises:
            CarferryError: The last, as of ``Tries.again``.
        """
        tries = self.tries(first=first)
        while True:
            self.check()
            try:
                return work()
            except CarferryError as error:
                tries.again(error)

    def admit(self, url: str) -> None:
        """Wait until the host of a request that is due may be asked.

        Raises:
            Cancelled: ``stop`` was set meanwhile.
        """
        place, waited = place_of(url), 0.0
        while (until := self.pauses.until(place)) > max(waited, self.clock()):
            self.stop.wait(until - self.clock())
            self.check()
            waited = until

    def heard(self, url: str, status: int, headers: Mapping[str, str]) -> None:
        """Note what an answer says about the next request to its host, whoever makes it."""
        asked_s, place = pause_after(status, headers), place_of(url)
        if not 0 < asked_s <= self.asked_cap_s:
            return
        if self.pauses.hold(place, self.clock() + asked_s, refused=status >= 400):
            why = str(status) if status >= 400 else "its limit is used up"
            self.report(f"{place[0]} asks to wait {seconds(asked_s)} ({why})")


class Tries:
    """The failed tries of one operation, those of the loops inside it included.

    Attributes:
        count: So far, since the last progress.
    """

    def __init__(self, retry: Retry, most: int, first: Callable[[], bool], about: str = "") -> None:
        self._retry, self._most, self._first = retry, most, first
        self._about = f"{about}: " if about else ""
        self.count = 0
        self._granted = 0

    def progressed(self) -> None:
        """Count from nothing again: bytes have moved."""
        self.count = 0

    def again(self, error: CarferryError) -> None:
        """Wait before the next try, or raise ``error`` if there is none.

        Args:
            error: What went wrong; only a ``temporary`` one is tried again. Once raised, its
                ``tries`` are all that were made.

        Raises:
            CarferryError: ``error`` itself, when it is final or the tries are used up.
            DeadlineExceeded: The deadline would pass first.
            Cancelled: ``stop`` was set meanwhile.
        """
        retry = self._retry
        retry.check()
        if self._grants(error):
            self._granted += 1
        else:
            self.count += error.tries
        if not error.temporary or self.count >= self._most:
            raise self._spent(error, self.count)
        if error.retry_after_s > retry.asked_cap_s:
            asked = seconds(error.retry_after_s)
            error.reason += f"; it asks to wait {asked}, longer than is waited here"
            error.remedy = error.remedy or "run it again then"
            raise self._spent(error, retry.attempts)
        if self.count >= retry.first_tries and isinstance(error, Unreachable) and self._first():
            raise self._spent(error, retry.attempts)
        self._wait(error)

    def _grants(self, error: CarferryError) -> bool:
        is_short = 0 < error.retry_after_s <= _SHORT_PAUSE_S
        return error.temporary and is_short and self._granted < self._retry.granted

    def _wait(self, error: CarferryError) -> None:
        retry, wait_s = self._retry, self._delay(error.retry_after_s)
        if retry.clock() + wait_s - retry.started > retry.deadline_s:
            raise DeadlineExceeded(
                "retry", error.subject, f"deadline passed; last: {error.reason}"
            ) from error
        what = f"{error.action} {error.subject}: {error.reason}"
        # Before anything has answered there are fewer: the host's name may be wrong.
        is_first = isinstance(error, Unreachable) and self._first()
        most = min(self._most, retry.first_tries) if is_first else self._most
        which = f"try {self.count + 1} of {most}"
        line = f"{self._about}{what}; trying again in {seconds(wait_s)}, {which}"
        if wait_s < _WORTH_GATHERING_S:
            retry.report(line)
        else:
            retry.gathered.say(f"{what} {which}", line, retry.report)
        retry.stop.wait(wait_s)
        retry.check()

    def _spent(self, error: CarferryError, count: int) -> CarferryError:
        error.tries = max(self.count, count)
        return error

    def _delay(self, asked_s: float) -> float:
        retry = self._retry
        nominal = min(retry.cap_s, retry.base_s * 2.0 ** (self.count - 1))
        return max(nominal * (0.5 + retry.jitter() / 2), asked_s)


def seconds(time_s: float) -> str:
    """Return a time as people read it: ``0.5 s``, ``42 s``, ``6 h``."""
    if time_s < 10:
        return f"{time_s:.1f} s"
    if time_s < 600:
        return f"{time_s:.0f} s"
    return f"{time_s / 60:.0f} min" if time_s < 2 * 3600 else f"{time_s / 3600:.0f} h"
