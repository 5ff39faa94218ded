"""How long is waited, what has been told, and since when each thing has been the matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from carferry.cluster.watch.clock import Clock
from carferry.cluster.watch.signal import Signal, State, waiting
from carferry.io.show.amounts import human_seconds

REPEAT_S = 30.0
"""Seconds of silence after which a status is told again, with how long it has lasted."""
HELD_S = 7200.0
"""Most seconds that waiting for a turn or for a new node adds to a deadline."""


class Patience:
    """One wait: its deadline, and what is remembered from look to look."""

    def __init__(
        self,
        clock: Clock,
        deadline_s: float,
        report: Callable[[str], None],
        *,
        is_fixed: bool = True,
        replaced: int | None = None,
    ) -> None:
        """Begin to wait.

        Args:
            clock: Time.
            deadline_s: Seconds from now.
            report: Called with each status line.
            is_fixed: Somebody chose the deadline; else time in a queue does not count.
            replaced: Generation of the Deployment before the change that was just applied, 0 for
                none: what is ready in that one may be what was there before. None: no change.
        """
        self.end = clock.now() + deadline_s
        self._clock, self._report = clock, report
        self._held_left = 0.0 if is_fixed else HELD_S
        self._began, self._replaced = clock.now(), replaced
        self._looked = clock.now()
        self._since: dict[tuple[str, str], float] = {}
        self._told: dict[tuple[str, str], float] = {}

    def believe(self, signals: list[Signal], generation: int) -> list[Signal]:
        """Return the signals, but no ready that may still be that of what was there before.

        Args:
            signals: Of one look.
            generation: Of the Deployment: KServe has seen the change once it moves. A change that
                does not reach the Deployment (a label) never moves it: then time must do.
        """
        if generation != self._replaced or signals[0].state is not State.READY:
            return signals
        settled = min(self._began + signals[0].grace_s, self.end)
        is_settled = self._clock.now() >= settled
        return signals if is_settled else [waiting("KServe may not have seen the change yet")]

    def over(self, signals: Iterable[Signal]) -> Signal | None:
        """Return the failure that has lasted long enough to count; each has its own patience."""
        now, found = self._clock.now(), list(signals)
        self._since = {each.key: self._since.get(each.key, now) for each in found}
        self._hold(found, now)
        failed = [each for each in found if each.state is State.FAILED]
        return next((e for e in failed if now - self._since[e.key] >= e.grace_s), None)

    def tell(self, signal: Signal, taken: float) -> None:
        """Report a status once, and again with its age after half a minute of silence.

        Args:
            signal: What counts most.
            taken: When it was seen, in seconds since 1970, to compare with its own beginning.
        """
        now = self._clock.now()
        last = self._told.get(signal.key)
        if last is None:
            self._report(signal.said)
        elif now - max(self._told.values()) >= REPEAT_S:
            age = max(now - self._since.get(signal.key, now), self._age(signal, taken))
            self._report(f"still waiting because {signal.said}; for {human_seconds(age)}")
        else:
            return
        self._told[signal.key] = now

    def is_late(self) -> bool:
        """Return whether the deadline has passed."""
        return self._clock.now() >= self.end

    def rest(self, poll_s: float) -> None:
        """Let time pass until the next look."""
        self._clock.sleep(min(poll_s, max(0.0, self.end - self._clock.now())))

    @staticmethod
    def _age(signal: Signal, taken: float) -> float:
        # Another machine's clock may differ; a day says that it does.
        age = taken - signal.since if signal.since else 0.0
        return age if 0 < age < 86400 else 0.0

    def _hold(self, found: list[Signal], now: float) -> None:
        if found and found[0].state is State.HELD:
            added = min(now - self._looked, self._held_left)
            self.end, self._held_left = self.end + added, self._held_left - added
        self._looked = now
