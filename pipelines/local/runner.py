"""Run a pipeline on this machine with kfp's SubprocessRunner, and report its failures.

kfp prints to stdout, indented and coloured, and reports a failure only as "Inner task failed"; it
removes its workspace folder after every run, the caller's too; and it may leave ``print``
indented. So a run gets a workspace of its own, ``print`` is restored, what kfp prints is dropped,
and the steps' own output is read where they are started.
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kfp import local
from kfp.dsl.graph_component import GraphComponent

from carferry.errors import CarferryError, InputError
from carferry.pipelines.local.outputs import known_to_conditions
from carferry.pipelines.local.processes import ended_together
from carferry.pipelines.local.steps import Say, Step

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_THREADS_END_S = 3.0
_ONE_RUN = threading.Lock()
"""kfp keeps one configuration per process; a second run at the same time would use the first's."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A local run that succeeded.

    Attributes:
        folder: Folder of the steps' outputs, written by kfp.
        outputs: Step name to its output parameters.
    """

    folder: Path
    outputs: Mapping[str, Mapping[str, Any]]


class Quiet(io.TextIOBase):
    """A stdout that drops what kfp prints, and passes on what a caller's function does."""

    def __init__(self, say: Say) -> None:
        """Stand in for today's stdout while a function of one line may still print to it."""
        self._stdout, self._say = sys.stdout, say
        self._speaking = threading.local()

    def say(self, line: str) -> None:
        """Report a line; steps of a loop do it from threads of their own."""
        self._speaking.now = True
        try:
            self._say(line)
        finally:
            self._speaking.now = False

    def write(self, text: str) -> int:
        """Take text, of whoever prints."""
        if getattr(self._speaking, "now", False):
            self._stdout.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stdout behind."""
        self._stdout.flush()


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
    quiet, place = Quiet(say), _place(root)
    with (
        _ONE_RUN,
        _session(place),
        known_to_conditions(),
        ended_together(quiet.say) as steps,
        contextlib.redirect_stdout(quiet),
    ):
        try:
            pipeline(**arguments)
        except RuntimeError as error:
            # Of several steps that failed, the first one is the cause, or one of the causes.
            raise _failure(steps.failed, str(error)) from None
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


def _failure(failed: Sequence[Step], said: str) -> CarferryError:
    """Return the error of the first step that failed; of the others one that is another."""
    if not failed:
        return CarferryError("run", "the pipeline", _COLOUR.sub("", said))
    found = failed[0].failure()
    for other in failed[1:]:
        more = other.failure()
        if more.reason != found.reason:
            found.add_note(str(more))
    return found


def _outputs(folder: Path) -> dict[str, dict[str, Any]]:
    """Read what each step wrote, by step name."""
    found = sorted(folder.rglob("executor_output.json"))
    return {
        path.parent.name: json.loads(path.read_text()).get("parameterValues", {}) for path in found
    }
