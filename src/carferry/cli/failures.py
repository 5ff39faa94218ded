"""What a failure shows: a line for a person, a document for a program, an exit code for both."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carferry.cli.streams import flush, say, warn
from carferry.cli.variables import PREFIX
from carferry.errors import CarferryError, DeploymentFailed, IncompleteModel, RightsMissing
from carferry.io.interrupts import Terminated, signal_of
from carferry.shown import lines_of, one_line, redact

_PARTS = ("action", "subject", "reason", "remedy")


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a command line wants its failures, known before it can be parsed.

    Attributes:
        document: On stdout as JSON too.
        events: On stderr as JSON, among the events of ``--progress json``.
        trace: With the traceback.
    """

    document: bool = False
    events: bool = False
    trace: bool = False

    @classmethod
    def of(cls, words: Sequence[str], environ: Mapping[str, str] = os.environ) -> Wishes:
        """Read them off a command line that may be wrong."""
        own = list(words[: words.index("--")] if "--" in words else words)
        spaced = " ".join(own)
        progress = _variable(environ, own, "PROGRESS")
        if "--progress" in spaced:
            progress = spaced.rpartition("--progress")[2][1:].partition(" ")[0]
        return cls(
            document="--json" in own or _is_set(environ, own, "JSON"),
            events=progress == "json",
            trace="--debug" in own or _is_set(environ, own, "DEBUG"),
        )


def tell(error: BaseException, wishes: Wishes) -> int:
    """Show a failure and return what to exit with."""
    if wishes.trace and isinstance(error, Exception):
        shown = "".join(traceback.format_exception(error))
        warn(lines_of(redact(shown)).rstrip("\n"))
    about = described(error)
    tell_notes(error)
    lines = [one_line(redact(f"carferry: {line}")) for line in _lines(error)]
    for line in lines:
        event = {"event": "error", "text": line, **about}
        warn(json.dumps(event) if wishes.events else line)
    if wishes.document and about["subject"] != "stdout":
        _print({"error": about})
    return int(about["exit_code"])


def tell_notes(error: BaseException) -> None:
    """Show what was added to a failure on its way."""
    for note in getattr(error, "__notes__", ()):
        warn(lines_of(redact(f"carferry: {note}")))


def described(error: BaseException) -> dict[str, Any]:
    """Return a failure as plain values: kind, action, subject, reason, remedy, exit_code."""
    if stopped := _stopped(error):
        return _about(stopped.capitalize(), ("", "", stopped, ""), 128 + signal_of(error))
    if not isinstance(error, CarferryError):
        parts = ("", "", one_line(redact(f"unexpected {type(error).__name__}: {error}")), _REPORT)
        return _about(type(error).__name__, parts, 1)
    own = [one_line(getattr(error, part)) for part in _PARTS]
    about = _about(_kind(error), own, error.exit_code)
    if isinstance(error, IncompleteModel):
        about["faults"] = [described(fault) for fault in error.faults]
    if isinstance(error, RightsMissing):
        about["manifest"] = error.manifest
    if isinstance(error, DeploymentFailed):
        about |= {"cause": error.cause, "evidence": one_line(error.evidence)}
    return about


def _kind(error: CarferryError) -> str:
    """Return the public class of an error; some of ours are a special case of one."""
    known = (each for each in type(error).__mro__ if each.__module__ == CarferryError.__module__)
    return next(each.__name__ for each in known)


_REPORT = "please report it with --debug's output"


def _about(kind: str, parts: Sequence[str], code: int) -> dict[str, Any]:
    return {"kind": kind, **dict(zip(_PARTS, parts, strict=True)), "exit_code": code}


def _stopped(error: BaseException) -> str:
    """Return how a signal ended the command; empty if none did."""
    if isinstance(error, Terminated):
        return "terminated"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else ""


def _lines(error: BaseException) -> tuple[str, ...]:
    """Return an error's lines; an unexpected one asks to be reported."""
    if stopped := _stopped(error):
        return (stopped,)
    if isinstance(error, CarferryError):
        return error.lines
    return (f"unexpected {type(error).__name__}: {error}; {_REPORT}",)


def _print(document: Mapping[str, Any]) -> None:
    """Print it; the line on stderr has said the same if nobody reads stdout."""
    try:
        say(json.dumps(document, indent=2))
        flush()
    except CarferryError:
        return


def _is_set(environ: Mapping[str, str], words: Sequence[str], name: str) -> bool:
    return _variable(environ, words, name).lower() in ("1", "true", "yes", "on")


def _variable(environ: Mapping[str, str], words: Sequence[str], name: str) -> str:
    """Return what the variable of a command says, or else that of all."""
    command = next((word for word in words if not word.startswith("-")), "")
    own = environ.get(f"{PREFIX}{command.upper()}_{name}", "") if command else ""
    return (own or environ.get(f"{PREFIX}{name}", "")).strip()
