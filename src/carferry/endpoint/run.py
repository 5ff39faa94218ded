"""One test from end to end: the first way that leads there, one answer, and perhaps a load."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from carferry.endpoint.answer import Answer, ask
from carferry.endpoint.door import Door
from carferry.endpoint.load import Load, measure
from carferry.endpoint.metrics import kv_tokens
from carferry.endpoint.tested import Expected, Measured
from carferry.errors import CarferryError, ClusterError, EndpointFailed, Unreachable

_log = logging.getLogger("carferry")
_UNREADY = (502, 503, 504)
_BEHIND = "asked behind its login: the API server's proxy takes no token of the model's"


class NoWay(Unreachable):
    """No way leads to a model from here: it may well answer its clients."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a model.

    Attributes:
        name: What is tested, in messages.
        model: The name that must be served; empty takes the first.
        task: Of the model; empty finds it out.
        expected: What it was deployed with.
        has_auth: Whether it should ask for a token.
        unready: Why its cluster says that it is not ready; empty if it does not.
    """

    name: str
    model: str = ""
    task: str = ""
    expected: Expected = field(default_factory=Expected)
    has_auth: bool = False
    unready: str = ""


def probe(
    doors: Iterable[Door],
    wanted: Wanted,
    *,
    load: Load | None = None,
    report: Callable[[str], None] = _log.info,
) -> Measured:
    """Ask a model once and, with a load, measure it.

    Args:
        doors: The ways to it, the best first; the next is taken only if nothing answers.
        wanted: What is asked.
        load: How much to measure; None only asks.
        report: Called before each level of the load.

    Raises:
        EndpointFailed: It answers wrongly, or something else answers.
        NoWay: No way leads there from here.
    """
    door, answer, notes = _entered(doors, wanted)
    if wanted.has_auth and not door.has_token:
        notes = (*notes, _BEHIND)
    levels = tuple(measure(door, answer, load, report)) if load else ()
    tokens = kv_tokens(door) if load or wanted.expected.kv_tokens else 0
    place = door.subject
    return Measured(
        wanted.name, place, door.through, answer, levels, tokens, wanted.expected, notes
    )


def _entered(doors: Iterable[Door], wanted: Wanted) -> tuple[Door, Answer, tuple[str, ...]]:
    """Return the first way on which somebody answers, and the answer."""
    lost: list[CarferryError] = []
    for door in doors:
        try:
            length = wanted.expected.max_model_len
            answer = ask(door, model=wanted.model, max_model_len=length, task=wanted.task)
        except (Unreachable, ClusterError) as error:
            lost.append(error)
            continue
        except EndpointFailed as error:
            if not wanted.unready or error.status not in _UNREADY:
                raise
            reason = f"it is not ready: {wanted.unready}; {error.reason}"
            raise EndpointFailed(
                "test", wanted.name, reason, error.remedy, status=error.status
            ) from error
        return door, answer, tuple(f"not reached otherwise: {error.reason}" for error in lost)
    raise _no_way(wanted, lost)


def _no_way(wanted: Wanted, lost: list[CarferryError]) -> NoWay:
    """Return the error for a model that nobody could ask."""
    unready = f"it is not ready: {wanted.unready}" if wanted.unready else ""
    if len(lost) == 1 and not unready:
        return NoWay(lost[0].action, lost[0].subject, lost[0].reason, lost[0].remedy)
    if not lost:
        reason = unready or "it has no address yet, and no pod that is ready"
        return NoWay("test", wanted.name, reason, "carferry deploy shows what holds it up")
    reasons = "; ".join(f"{each.subject}: {each.reason}" for each in lost)
    return NoWay("test", wanted.name, "; ".join(filter(None, (unready, reasons))), lost[-1].remedy)
