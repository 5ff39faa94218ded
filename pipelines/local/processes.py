"""The steps of a local run as processes, each with a log, ended together on an interrupt.

kfp goes on after an interrupt: it waits for what runs, starts what still waits in a loop, and an
interrupt that is sent to it alone never reaches its children.

Source: kfp 2.17, local/subprocess_task_handler.py (run_local_subprocess) and
local/orchestrator/enhanced_dag_orchestrator.py (ParallelExecutor).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from types import FrameType

from kfp.local import subprocess_task_handler

from carferry.pipelines.local.steps import Say, Step

_GRACE_S = 5.0
# Warnings of the libraries below are for who develops with them.
_CALM = {"PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"}
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Processes:
    """Steps as processes; each leads a group of its own, which is ended as one.

    Attributes:
        failed: The steps that failed, in the order in which they did.
    """

    def __init__(self, say: Say, grace_s: float = _GRACE_S) -> None:
        """Start with none.

        Args:
            say: Called with each line of progress, from the threads of a loop too.
            grace_s: What has not ended so many seconds after its interrupt is killed.
        """
        self._say, self._grace_s = say, grace_s
        self.failed: list[Step] = []
        self._started: list[subprocess.Popen[str]] = []
        self._stopped = self._is_starting = False
        self._pending: BaseException | None = None

    def run(self, full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        """Run a step, report what it says and return its exit code, in place of kfp's function."""
        if self._stopped:
            return 128 + signal.SIGINT
        step = Step(full_command, self._say)
        step.started()
        with self._start(full_command, os.environ | _CALM | (env_vars or {})) as process:
            for line in process.stdout or ():
                step.take(line.rstrip("\n"))
            code = process.wait()
        if code:
            self.failed.append(step)
        step.ended(code)
        return code

    def interrupt(self, reason: BaseException) -> None:
        """Stop and raise, in the main thread; once a process that it is starting is known."""
        self.stop()
        if not self._is_starting:
            raise reason
        self._pending = reason

    def stop(self) -> None:
        """Interrupt every step and start no more; kill those that do not end."""
        self._stopped = True
        self._signal_all(signal.SIGINT)
        killer = threading.Timer(self._grace_s, self._signal_all, [signal.SIGKILL])
        killer.daemon = True
        killer.start()

    def wait(self) -> None:
        """Wait until all have ended."""
        for process in self._started:
            process.wait()

    def _start(self, command: list[str], environ: dict[str, str]) -> subprocess.Popen[str]:
        self._is_starting = threading.current_thread() is threading.main_thread()
        try:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                bufsize=1,
                env=environ,
                start_new_session=True,
            )
            self._started.append(process)
        finally:
            self._is_starting = False
        if self._stopped:
            _signal(process, signal.SIGINT)
        if self._pending:
            raise self._pending
        return process

    def _signal_all(self, number: int) -> None:
        for process in self._started:
            _signal(process, number)


@contextlib.contextmanager
def ended_together(say: Say) -> Iterator[Processes]:
    """Make kfp start its steps here; an interrupt or the end of this process ends them."""
    processes = Processes(say)
    before = subprocess_task_handler.run_local_subprocess
    subprocess_task_handler.run_local_subprocess = processes.run
    try:
        with _heeding(processes):
            yield processes
    except BaseException:
        processes.stop()
        processes.wait()
        raise
    finally:
        subprocess_task_handler.run_local_subprocess = before


@contextlib.contextmanager
def _heeding(processes: Processes) -> Iterator[None]:
    """Stop the processes at a signal: kfp's threads would delay the exception."""

    def heed(number: int, frame: FrameType | None) -> None:
        reason = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
        processes.interrupt(reason)

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = {number: signal.signal(number, heed) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signal(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to a process and all below it, unless it is gone and its id another's."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
