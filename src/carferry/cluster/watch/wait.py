"""Wait for a rollout until it is ready, has failed, or the deadline passes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from carferry.cluster.api import Api
from carferry.cluster.kinds import KINDS, Object, ResourceKind
from carferry.cluster.watch.clock import Clock, SystemClock
from carferry.cluster.watch.look import generation
from carferry.cluster.watch.nodes import Nodes
from carferry.cluster.watch.observe import Observation, Watched, observe
from carferry.cluster.watch.patience import Patience
from carferry.cluster.watch.signal import SETTLE_S, Signal, State, waiting
from carferry.cluster.watch.signs import assess
from carferry.errors import CarferryError, DeadlineExceeded, DeploymentFailed

logger = logging.getLogger("carferry")

POLL_S = 3.0
_SHOWN = 25


def wait(
    api: Api,
    name: str,
    namespace: str,
    *,
    deadline_s: float,
    kind: ResourceKind = KINDS["InferenceService"],
    is_fixed: bool = True,
    size_bytes: int = 0,
    planned: str = "",
    replaced: int | None = None,
    clock: Clock | None = None,
    report: Callable[[str], None] = logger.info,
) -> Object:
    """Poll until the InferenceService serves what was applied, and return it.

    Polls, since a pipeline's ServiceAccount on OpenShift AI may not watch InferenceServices.

    Args:
        api: The connection.
        name: Of the InferenceService.
        namespace: Its namespace.
        deadline_s: Seconds from now.
        kind: Of InferenceServices or LLMInferenceServices, in the version that is served.
        is_fixed: Somebody chose the deadline; else waiting for a turn or a node is not counted.
        size_bytes: Of the model image; 0 if unknown.
        planned: What the GPU plan had said, in one line; told beside what contradicts it.
        replaced: Generation of the Deployment before the change that was just applied; what is
            ready in that one is believed only if it stays so. None: nothing was changed.
        clock: Time; the machine's by default.
        report: Called with each new status line, and again after half a minute of silence.

    Raises:
        DeploymentFailed: It will not come up; ``cause`` names why, ``evidence`` quotes the cluster.
        DeadlineExceeded: Not ready in time; the reason holds the last status.
        ClusterError: The API refused for good (deleted, forbidden).
    """
    watched = Watched.of(name, namespace, kind)
    patience = Patience(
        clock or SystemClock(), deadline_s, report, is_fixed=is_fixed, replaced=replaced
    )  # fmt: skip
    nodes = Nodes()
    while True:
        seen, signals = _look(api, watched, size_bytes, nodes)
        if seen:
            signals = patience.believe(signals, generation(seen.deployment))
        failed = patience.over(signals)
        patience.tell(signals[0], seen.taken if seen else time.time())
        if seen and signals[0].state is State.READY:
            return seen.service
        if failed and seen:
            raise failure(watched, seen, failed, planned)
        if patience.is_late() and seen and (sure := _sure(signals)):
            raise failure(watched, seen, sure, planned)
        if patience.is_late():
            raise _too_late(watched, seen, deadline_s, signals[0])
        patience.rest(POLL_S)


def _look(
    api: Api, watched: Watched, size_bytes: int, nodes: Nodes
) -> tuple[Observation | None, list[Signal]]:
    try:
        seen = observe(api, watched, nodes)
    except CarferryError as error:
        if not error.temporary:
            raise
        return None, [waiting(str(error))]
    return seen, assess(seen, size_bytes)


def _sure(signals: list[Signal]) -> Signal | None:
    """Return a failure that needs no time to be sure: whoever waits no longer learns it now."""
    found = (each for each in signals if each.state is State.FAILED)
    return next((each for each in found if each.grace_s <= SETTLE_S), None)


def failure(
    watched: Watched, seen: Observation, signal: Signal, planned: str = ""
) -> DeploymentFailed:
    """Return the error for a failure, and show the end of the log that explains it."""
    show_log(seen, signal)
    reason = f"{signal.said}; {planned}" if planned and signal.is_planned else signal.said
    subject = f"{watched.namespace}/{watched.name}"
    return DeploymentFailed(
        "deploy", subject, reason, signal.remedy, cause=signal.cause, evidence=signal.evidence
    )


def show_log(seen: Observation, signal: Signal) -> None:
    """Show the last lines of the container that a signal names."""
    place = "/".join(signal.culprit or ())
    if lines := seen.logs.get(place, ()):
        logger.error("last log lines of %s:\n%s", place, "\n".join(lines[-_SHOWN:]))


def _too_late(
    watched: Watched, seen: Observation | None, deadline_s: float, signal: Signal
) -> DeadlineExceeded:
    if seen:
        show_log(seen, signal)
    reason = f"not ready after {deadline_s:.0f} s; last status: {signal.said}"
    remedy = "it may still come up: look again, or wait longer (--wait-s)"
    return DeadlineExceeded("wait for", f"{watched.namespace}/{watched.name}", reason, remedy)
