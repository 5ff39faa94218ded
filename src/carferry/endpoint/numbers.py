"""Medians and percentiles of measured times."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the slow end of several times, in seconds.

    Attributes:
        median: Half are faster.
        p95: Nineteen of twenty are faster; with fewer than twenty the slowest.
    """

    median: float
    p95: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """Return the spread of values; None if there are none."""
        ordered = sorted(values)
        if not ordered:
            return None
        middle = len(ordered) // 2
        median = ordered[middle] if len(ordered) % 2 else sum(ordered[middle - 1 : middle + 1]) / 2
        # The nearest rank: a value that was measured, not one between two.
        return cls(median, ordered[math.ceil(0.95 * len(ordered)) - 1])
