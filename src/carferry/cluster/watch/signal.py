"""What one look at a rollout says: its state, why, since when, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

SETTLE_S = 10.0
"""Seconds that a sure sign must last: it has outlived a status that was not written anew yet."""

DOUBT_S = 30.0
"""Seconds that a ready must last after a change which the Deployment may not have yet."""


class State(Enum):
    """The state of a rollout."""

    WAITING = "waiting"
    HELD = "held"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Signal:
    """A state and its reason.

    Attributes:
        state: HELD waits for a turn or a node that somebody else brings: that time is not counted.
        reason: The object, and what is the matter with it; the same words as long as it lasts.
        cause: Short name of the cause, as in the table of docs/reference/diagnosis.md.
        evidence: The cluster's own words; may vary from look to look.
        remedy: What to do.
        grace_s: Seconds that a failure must last to count; of ready, seconds since a change.
        culprit: Pod and container whose log explains it, if one ran.
        since: When it began, in seconds since 1970; 0 if no event says so.
        is_planned: What the GPU plan had said belongs beside it.
    """

    state: State
    reason: str
    cause: str = ""
    evidence: str = ""
    remedy: str = ""
    grace_s: float = SETTLE_S
    culprit: tuple[str, str] | None = None
    since: float = 0.0
    is_planned: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What stays the same while the same thing is the matter."""
        return self.cause, self.reason

    @property
    def said(self) -> str:
        """Reason and evidence as one text."""
        return f"{self.reason}: {self.evidence}" if self.evidence else self.reason


def waiting(reason: str, *, evidence: str = "", since: float = 0.0) -> Signal:
    """Return a state in which nothing is wrong yet."""
    return Signal(State.WAITING, reason, evidence=evidence, since=since)
