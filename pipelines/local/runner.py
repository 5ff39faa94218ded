"""Run a pipeline on this machine with kfp's SubprocessRunner, and report its failures.

kfp prints a step's log, indented and coloured, to stdout, and reports a failure only as "Inner
task failed"; it removes its workspace folder after every run, the caller's too; and it may
leave ``print`` indented. So a run gets a workspace of its own, ``print`` is restored, and a reader
of kfp's output keeps the last traceback.
"""

from __future__ import annotations

import builtins
import contextlib
import fcntl
import io
import json
import logging
import re
import secrets
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kfp import local
from kfp.dsl.graph_component import GraphComponent

from carferry import errors
from carferry.errors import CarferryError, InputError
from carferry.pipelines.local.processes import ended_together

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"INFO - Executing task '([^']+)'")
_ENDED = re.compile(r"(?:INFO|ERROR) - Task '([^']+)' finished with status (\w+)")
_INDENT = "    "
"""Before each line of a step's own log."""
_LOG = re.compile(r"\[KFP Executor [^\]]*\]: ?(.*)")
_NOISE = ("Looking for component", "Loading KFP", "Got executor_input:", "Wrote executor output")
_RAISED = re.compile(r"(?:carferry\.errors\.)(\w+): (.*)")
_THREADS_END_S = 3.0
_ONE_RUN = threading.Lock()
"""kfp keeps one configuration per process; a second run at the same time would use the first's."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Finished:
    """A local run that succeeded.

    Attributes:
        folder: Folder of the steps' outputs, written by kfp.
        outputs: Step name to its output parameters.
    """

    folder: Path
    outputs: Mapping[str, Mapping[str, Any]]


class Reader(io.TextIOBase):
    """A stream for kfp's output: reports progress by line, keeps the running step's traceback."""

    def __init__(self, say: Say) -> None:
        """Report progress to a function of one line, which may print to the former stdout."""
        self.step = ""
        self._stdout = sys.stdout
        self.traceback: list[str] = []
        self._say = say
        self._rest = ""

    def write(self, text: str) -> int:
        """Take text, whole lines at a time."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._line(_COLOUR.sub("", line))
        return len(text)

    def _line(self, line: str) -> None:
        if line.startswith(_INDENT):
            self._log(line.removeprefix(_INDENT))
        elif started := _STARTED.search(line):
            self.step, self.traceback = started[1], []
            self._report(f"{self.step}: started")
        elif ended := _ENDED.search(line):
            self._report(f"{ended[1]}: {'done' if ended[2] == 'SUCCESS' else 'failed'}")

    def _log(self, line: str) -> None:
        if line.startswith("Traceback (most recent call last):"):
            self.traceback = [line]
        elif self.traceback:
            self.traceback.append(line)
        elif (logged := _LOG.match(line)) and not logged[1].startswith(_NOISE):
            self._report(f"{self.step}: {logged[1]}")

    def _report(self, line: str) -> None:
        with contextlib.redirect_stdout(self._stdout):
            self._say(line)


def run(
    pipeline: GraphComponent, arguments: Mapping[str, Any], *, root: Path, say: Say
) -> Finished:
    """Run a pipeline's steps as processes of this machine, one after the other.

    Args:
        pipeline: Compiled for a local site (pods.Site with a folder).
        arguments: Its parameters.
        root: Folder of runs; made if missing, never emptied. Each run gets a folder of its own
            in it, named by the time.
        say: Called with one line of progress at a time.

    Raises:
        InputError: A step raised one; the message carries its line.
        KeyboardInterrupt: It was interrupted; its steps have ended.
        CarferryError: A step failed otherwise; the message carries the last line of its
            traceback; of an exception that is not the library's, a note holds the rest.
    """
    reader = Reader(say)
    place = _place(root)
    with _ONE_RUN, _session(place), ended_together(), contextlib.redirect_stdout(reader):
        try:
            pipeline(**arguments)
        except RuntimeError as error:
            raise _failure(reader, str(error)) from None
    (folder,) = place.iterdir()
    return Finished(folder, _outputs(folder))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a folder that is not a run's own from another run at the same time.

    Raises:
        InputError: Another run has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            reason = "another local run is using it"
            raise InputError("run in", folder, reason, "give another --root") from error
        yield


def _place(root: Path) -> Path:
    """Make a run's own folder; names sort by time, and no two runs share one."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    place = root / f"{now}-{secrets.token_hex(4)}"
    place.mkdir(parents=True)
    return place


@contextlib.contextmanager
def _session(root: Path) -> Iterator[None]:
    """Configure kfp for one run and put everything back."""
    said, workspace = builtins.print, tempfile.mkdtemp(prefix="carferry-workspace-")
    root_log = logging.getLogger()
    handlers, root_log.handlers = root_log.handlers, [logging.NullHandler()]
    before = {*threading.enumerate()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about images and settings that only a pod has
            runner = local.SubprocessRunner(use_venv=False)
            local.init(runner, pipeline_root=str(root), workspace_root=workspace)
            yield
    finally:
        _join({*threading.enumerate()} - before)
        builtins.print, root_log.handlers = said, handlers
        shutil.rmtree(workspace, ignore_errors=True)


def _join(threads: Iterable[threading.Thread]) -> None:
    """Wait for the threads of kfp's loops: their steps have ended, but not their last log lines."""
    deadline = time.monotonic() + _THREADS_END_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _failure(reader: Reader, said: str) -> CarferryError:
    """Return the error a step's traceback ends with, in our family."""
    lines = [line for line in reader.traceback if line.strip()]
    last = lines[-1] if lines else _COLOUR.sub("", said)
    raised = _RAISED.match(last)
    kind = getattr(errors, raised[1], CarferryError) if raised else CarferryError
    family = InputError if issubclass(kind, InputError) else CarferryError
    failure = family("run step", reader.step, raised[2] if raised else last)
    if not raised:
        failure.add_note("\n".join(lines))
    return failure


def _outputs(folder: Path) -> dict[str, dict[str, Any]]:
    """Read what each step wrote, by step name."""
    found = sorted(folder.rglob("executor_output.json"))
    return {
        path.parent.name: json.loads(path.read_text()).get("parameterValues", {}) for path in found
    }
