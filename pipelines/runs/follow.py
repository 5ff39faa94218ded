"""A run that has been started: how far it is, how it ended, and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kfp_server_api import V2beta1RuntimeState

from carferry.cluster.api import Api
from carferry.errors import CarferryError, ClusterError, DeadlineExceeded
from carferry.pipelines.runs import cause, outline, progress
from carferry.pipelines.runs.logs import Ways
from carferry.pipelines.runs.outline import Step
from carferry.pipelines.runs.workflow import Workflow
from carferry.pipelines.server.answers import mapping
from carferry.pipelines.server.endpoint import Endpoint
from carferry.pipelines.server.refusal import bounded
from carferry.pipelines.server.requests import Server, connect
from carferry.shown import one_line, redact

Say = Callable[[str], None]
Pods = Callable[[Mapping[str, str]], None]
DONE = {"SUCCEEDED", "SKIPPED"}
_OVER = DONE | {"FAILED", "CANCELED"}
_STATES = frozenset(V2beta1RuntimeState.allowable_values)
_CLOSER_S = 60.0
_MOST_STUMBLES = 3  # then the run is reported without its Workflow


class Clock(Protocol):
    """The part of the time module that waiting uses."""

    def monotonic(self) -> float:
        """Return seconds from any fixed point."""

    def sleep(self, seconds: float, /) -> None:
        """Wait that many seconds."""


def wait(
    endpoint: Endpoint,
    run_id: str,
    *,
    say: Say,
    timeout_s: float = 7200,
    poll_s: float = 10,
    clock: Clock = time,
    server: Server | None = None,
    kube: Api | None = None,
    pods: Pods | None = None,
) -> str:
    """Follow a run until it is over and return its state, SUCCEEDED.

    Args:
        endpoint: The server it runs on.
        run_id: The server's id of it.
        say: Called with each step whose state changed.
        timeout_s: Seconds from now.
        poll_s: Seconds between two looks.
        clock: Time; the machine's by default.
        server: A logged-in server, for schemes that ``connect`` does not know.
        kube: The cluster's API, if this user may use it: one more source of causes.
        pods: Called with each step's latest pod, by the step's name, where its log is.

    Raises:
        ClusterError: It failed or was cancelled; the reason says why, a note where to read more.
        DeadlineExceeded: It is still going after timeout_s; carries what it is at.
        Unreachable: The server stopped answering.
    """
    run = FollowedRun(Ways(server or connect(endpoint), kube), run_id, say, clock, pods)
    say(one_line(redact(f"following run {run_id}")))
    deadline = clock.monotonic() + timeout_s
    try:
        while not run.is_over():
            if clock.monotonic() >= deadline:
                raise run.too_late(timeout_s)
            clock.sleep(poll_s)
    except (CarferryError, KeyboardInterrupt) as stopped:
        if getattr(stopped, "status", 0) != 404:  # there is such a run
            stopped.add_note(f"run {run_id} goes on; follow it again with --follow {run_id}")
        raise
    return run.result()


class FollowedRun:
    """What was seen of one run so far."""

    def __init__(
        self, ways: Ways, run_id: str, say: Say, clock: Clock, pods: Pods | None = None
    ) -> None:
        """Start with nothing seen."""
        self._ways, self._id, self._say, self._clock = ways, run_id, say, clock
        self._pods = pods
        self._seen: Any = None
        self._workflow = Workflow()
        self._steps: tuple[Step, ...] | None = None
        self._reported: dict[str, str] = {}
        self._looked_s = float("-inf")
        self._unknown = ""
        self._stumbles = 0
        self._trouble: CarferryError | None = None

    def is_over(self) -> bool:
        """Read the run once, report what changed, and return whether it has ended.

        Raises:
            CarferryError: The server refused for good.
        """
        try:
            self._look()
        except CarferryError as error:
            # The run goes on whether or not the server answers this once.
            if not error.temporary:
                raise
            self._report("", str(error))
            self._trouble = error
            return False
        self._trouble = None
        self._reported.pop("", None)
        return str(self._seen.state) in _OVER

    def too_late(self, timeout_s: float) -> CarferryError:
        """Return the error for a run that is not over in time, or whose server is gone."""
        if self._trouble:
            return self._trouble
        unfinished = {name: state for name, state in self._reported.items() if state != "done"}
        at = "; ".join(f"{name}: {state}" for name, state in unfinished.items())
        reason = f"still {self._seen.state or 'PENDING'} after {timeout_s:.0f} s"
        return DeadlineExceeded("wait for run", self._id, ": ".join(filter(None, [reason, at])))

    def result(self) -> str:
        """Return the state of a run that ended well.

        Raises:
            ClusterError: It did not.
        """
        state = str(self._seen.state)
        if state in DONE:
            return state
        if cause.cancelled(self._seen, self._workflow):
            raise ClusterError(cause.ACTION, self._id, "was cancelled", cause.AGAIN)
        raise cause.failure(self._ways, self._seen, self._workflow, self._steps or ())

    def _look(self) -> None:
        runs = self._ways.server.runs
        before, server = self._seen, self._ways.server
        found = server.call(runs.run_service_get_run, self._id)
        server.identity(found, "run")
        self._seen = found
        self._name_unknown(str(found.state or ""))
        if self._steps is None:
            self._steps = _steps(server, self._seen)
        over = str(self._seen.state) in _OVER
        if over or _changed(before, self._seen) or self._clock.monotonic() >= self._looked_s:
            self._look_closer()
        stopped = over and cause.cancelled(self._seen, self._workflow)
        nodes = self._workflow.nodes or progress.listed(self._steps, self._seen)
        if self._pods:
            self._pods(progress.pods(self._steps, nodes))
        for name, state in progress.standing(self._steps, nodes).items():
            self._report(name, state.replace("failed", "stopped") if stopped else state)

    def _name_unknown(self, state: str) -> None:
        """Report once that a newer server's state is unknown here: waiting might not end."""
        if state and state not in _STATES and state != self._unknown:
            self._say(bounded(f"the run's state is {state!r}, unknown here: waiting goes on"))
            self._unknown = state

    def _look_closer(self) -> None:
        """Read the Workflow: larger, so not on every look, but it says what is held up and why."""
        self._ways.tried.clear()
        self._stumbles += 1
        self._workflow = cause.workflow(
            self._ways, self._id, patient=self._stumbles <= _MOST_STUMBLES
        )
        self._stumbles = 0
        self._looked_s = self._clock.monotonic() + _CLOSER_S

    def _report(self, name: str, state: str) -> None:
        if self._reported.get(name) != state:
            self._reported[name] = state
            self._say(one_line(redact(f"{name}: {state}" if name else state)))


def _changed(before: Any, now: Any) -> bool:
    return before is None or _states(before) != _states(now)


def _states(run: Any) -> list[tuple[str, str]]:
    details = run.run_details.task_details if run.run_details else None
    return [(str(task.display_name), str(task.state)) for task in details or []]


def _steps(server: Server, run: Any) -> tuple[Step, ...]:
    """Return the steps of the pipeline version that a run uses, or of its own specification."""
    reference = run.pipeline_version_reference
    spec = mapping(_spec_of(server, reference) if reference else run.pipeline_spec)
    return outline.steps(mapping(spec.get("pipeline_spec")) or spec)


def _spec_of(server: Server, reference: Any) -> Any:
    """Return a version's specification; empty if it was deleted during the run."""
    find = server.pipelines.pipeline_service_get_pipeline_version
    try:
        version = server.call(find, reference.pipeline_id, reference.pipeline_version_id)
    except ClusterError as error:
        if error.temporary:
            raise
        return None
    return version.pipeline_spec
