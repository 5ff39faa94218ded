"""When a recurring run starts: a cron expression or an interval, checked before anything is sent.

The server's library is robfig/cron v1: six fields, seconds first. Of five it takes the first for
seconds, so '0 3 * * *' would start a run at every third minute past every hour; here five are what
they are everywhere else. Times are of the zone that the cluster's scheduler runs in: UTC, unless
its variable CRON_SCHEDULE_TIMEZONE says otherwise.
Source: github.com/robfig/cron v1.2.0, parser.go; kubeflow/pipelines,
backend/src/apiserver/server/api_converter.go and backend/src/crd/controller/scheduledworkflow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kfp_server_api import V2beta1CronSchedule, V2beta1PeriodicSchedule, V2beta1Trigger

from carferry.errors import InputError
from carferry.form.closest import did_you_mean

_EVERY = re.compile(r"(?:@?every\s+)?([0-9]{1,6})\s*([smhd])", re.IGNORECASE)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SHORTEST_S = 300
_NAMED = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_TERM = re.compile(r"(\*|\?|\w+(?:-\w+)?)(?:/([0-9]+))?")
_REMEDY = "write '0 3 * * *' for three o'clock every day, '@daily', or 6h for every six hours"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a cron expression.

    Attributes:
        name: What it counts.
        least: Smallest value.
        most: Largest value.
        words: Names of the values, from the smallest on.
    """

    name: str
    least: int
    most: int
    words: tuple[str, ...] = ()


_FIELDS = (
    Field("second", 0, 59),
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, _MONTHS),
    Field("day of week", 0, 6, _DAYS),
)


@dataclass(frozen=True, slots=True)
class Times:
    """When a recurring run starts.

    Attributes:
        cron: Six fields, seconds first, or a name such as ``@daily``; empty: an interval.
        every_s: Seconds between two starts; 0: a cron expression.
    """

    cron: str = ""
    every_s: int = 0

    @classmethod
    def parse(cls, text: str) -> Times:
        """Read what a person writes.

        Args:
            text: Cron with five fields, or six with the seconds first; ``@daily`` and its like;
                or an interval as ``6h``, ``every 30m``.

        Raises:
            InputError: Names the field that cannot be meant.
        """
        told = " ".join(text.split())
        if found := _EVERY.fullmatch(told):
            return cls(every_s=_interval(told, int(found[1]) * _UNITS[found[2].lower()]))
        if told.startswith("@"):
            if told not in _NAMED:
                known = did_you_mean(told, [*_NAMED], f"known: {', '.join(_NAMED)}")
                raise InputError("schedule", repr(told), "no such name", known)
            return cls(told)
        fields = told.split()
        if len(fields) not in (5, 6):
            raise InputError("schedule", repr(told), f"{len(fields)} fields, not five", _REMEDY)
        given = fields if len(fields) == 6 else ["0", *fields]
        for field, part in zip(_FIELDS, given, strict=True):
            _check(told, field, part)
        return cls(" ".join(given))

    @property
    def trigger(self) -> V2beta1Trigger:
        """The times as the API has them."""
        if self.every_s:
            every = V2beta1PeriodicSchedule(interval_second=str(self.every_s))
            return V2beta1Trigger(periodic_schedule=every)
        return V2beta1Trigger(cron_schedule=V2beta1CronSchedule(cron=self.cron))

    @classmethod
    def of(cls, trigger: V2beta1Trigger | None) -> Times:
        """Return the times of a recurring run that the server has; both empty if it has none."""
        cron = trigger.cron_schedule if trigger else None
        every = trigger.periodic_schedule if trigger else None
        if cron and cron.cron:
            return cls(cron=str(cron.cron))
        seconds = str((every.interval_second if every else None) or "0")
        return cls(every_s=int(seconds) if seconds.isdecimal() else 0)

    def __str__(self) -> str:
        """Return the times for a person."""
        if self.every_s:
            unit = next(u for u in reversed(_UNITS) if self.every_s % _UNITS[u] == 0)
            return f"every {self.every_s // _UNITS[unit]}{unit}"
        return f"{self.cron} (seconds first, UTC)" if " " in self.cron else self.cron or "never"


def _interval(text: str, seconds: int) -> int:
    if seconds < _SHORTEST_S:
        reason = "a look takes about a minute on a cluster"
        raise InputError("schedule", repr(text), reason, "write 5m or more")
    return seconds


def _check(text: str, field: Field, part: str) -> None:
    for term in part.split(","):
        found = _TERM.fullmatch(term)
        if not found or found[2] == "0":
            reason = f"the {field.name} {term!a} is no value, range or step"
            raise InputError("schedule", repr(text), reason, _REMEDY)
        if found[1] not in ("*", "?"):
            ends = [_number(text, field, word) for word in found[1].split("-")]
            if ends != sorted(ends):
                reason = f"the {field.name} {term!a} ends before it begins"
                raise InputError("schedule", repr(text), reason)


def _number(text: str, field: Field, word: str) -> int:
    if word.lower() in field.words:
        return field.words.index(word.lower()) + field.least
    if word.isdecimal() and word.isascii() and field.least <= int(word) <= field.most:
        return int(word)
    names = f", or {field.words[0]} to {field.words[-1]}" if field.words else ""
    reason = f"the {field.name} {word!a} is not {field.least} to {field.most}{names}"
    is_sunday = field.words == _DAYS and word == "7"
    raise InputError("schedule", repr(text), reason, "Sunday is 0" if is_sunday else "")
