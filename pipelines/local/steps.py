"""What one step of a local run says: its progress, line by line, and the error it ends with.

Steps of a loop run at the same time, so each has a log of its own: kfp mixes their lines into one
stream, in which the cause of a failure is lost.

Source: kfp 2.17, dsl/executor_main.py: every record of every logger becomes a line with a prefix.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from carferry import errors
from carferry.errors import CarferryError
from carferry.shown import printable, redact

_INPUT = "--executor_input"
_LOG = re.compile(r"\[KFP Executor [^\]]*\]: ?(.*)")
# Records of kfp itself; those of other libraries than ours are left out by carferry.cluster.pod.
_ECHO, _ECHO_ENDS = "Got executor_input:", "}"
_NOISE = ("Looking for component", "Loading KFP", _ECHO, "Wrote executor output")
_BEGIN = "Traceback (most recent call last):"
_RAISED = re.compile(r"carferry(?:\.\w+)*\.(\w+): (.*)")
# Of an exception that is not ours the end says most.
_KEPT_LINES = 400

Say = Callable[[str], None]


class Step:
    """One step's process: its name, and what becomes of its lines.

    Attributes:
        name: As the pipeline calls it; of one share of several with which one.
    """

    def __init__(self, command: Sequence[str], say: Say) -> None:
        """Take the name from kfp's command line.

        Args:
            command: As kfp starts it, its input and outputs as JSON among the arguments.
            say: Called with each line for a person.
        """
        self.name = _name(command)
        self._say = say
        self._traceback: list[str] = []
        self._last = ""
        self._echoes = False

    def started(self) -> None:
        """Say so."""
        self._say(f"{self.name}: started")

    def take(self, line: str) -> None:
        """Take a line of its output: progress is said, a traceback kept."""
        if line == _BEGIN:
            self._traceback = [line]
        elif self._echoes and not _LOG.match(line):
            self._echoes = line != _ECHO_ENDS
        elif self._traceback:
            self._traceback = [*self._traceback, line][-_KEPT_LINES:]
        elif (logged := _LOG.match(line)) is None:
            self._progress(line)
        elif not logged[1].startswith(_NOISE):
            self._progress(logged[1])
        else:
            self._echoes = logged[1].startswith(_ECHO)

    def ended(self, code: int) -> None:
        """Say whether it did its work."""
        self._say(f"{self.name}: {'failed' if code else 'done'}")

    def failure(self) -> CarferryError:
        """Return the error that its output ends with, in our family and with its exit code."""
        lines = [line for line in self._traceback if line.strip()]
        last = lines[-1] if lines else self._last or "it ended without a word"
        raised = _RAISED.fullmatch(last)
        kind = getattr(errors, raised[1], CarferryError) if raised else CarferryError
        found: CarferryError = kind("run step", self.name, raised[2] if raised else last)
        if lines and not raised:
            found.add_note("\n".join(lines))
        return found

    def _progress(self, line: str) -> None:
        if line.strip():
            self._last = line.strip()
            self._say(f"{self.name}: {printable(redact(line.rstrip()))}")


def _name(command: Sequence[str]) -> str:
    """Return a step's name, which kfp tells only by the folder of its outputs."""
    given = _given(command)
    folder = Path(str(given.get("outputs", {}).get("outputFile", ""))).parent
    share = given.get("inputs", {}).get("parameterValues", {}).get("share")
    several = isinstance(share, str) and not share.endswith("/1")
    return f"{folder.name or 'step'} {share}" if several else folder.name or "step"


def _given(command: Sequence[str]) -> Mapping[str, Any]:
    """Return what kfp hands to a step; empty for a command of another kind."""
    try:
        found = json.loads(command[[*command].index(_INPUT) + 1])
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}
