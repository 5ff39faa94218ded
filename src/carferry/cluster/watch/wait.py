"""Wait for a rollout until it is ready, has failed, or the deadline passes."""

from __future__ import annotations

import logging
from collections.abc import Callable

from carferry.cluster.api import Api
from carferry.cluster.kinds import KINDS, Object, Permission
from carferry.cluster.watch.clock import Clock, SystemClock
from carferry.cluster.watch.signs import Observation, Signal, State, assess, condition
from carferry.errors import CarferryError, ClusterError, DeadlineExceeded, DeploymentFailed

logger = logging.getLogger("carferry")

POLL_S = 5.0
_LOG_LINES = 100
_POD_LABEL = "serving.kserve.io/inferenceservice"


def wait(
    api: Api,
    name: str,
    namespace: str,
    *,
    deadline_s: float,
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
        clock: Time; the machine's by default.
        report: Called with each new status line.

    Raises:
        DeploymentFailed: It will not come up; the reason quotes the cluster.
        DeadlineExceeded: Not ready in time; the reason holds the last status.
        ClusterError: The API refused for good (deleted, forbidden).
    """
    clock = clock or SystemClock()
    patience = Patience(clock, deadline_s, report)
    while True:
        try:
            seen = observe(api, name, namespace)
            signal = assess(seen)
        except CarferryError as error:
            if not error.temporary:
                raise
            signal = Signal(State.WAITING, str(error))
        failed = patience.is_over(signal)
        if signal.state is State.READY:
            return seen.service
        if failed:
            raise _failure(api, name, namespace, signal)
        if clock.now() >= patience.end:
            raise _too_late(name, namespace, deadline_s, signal)
        clock.sleep(min(POLL_S, max(0.0, patience.end - clock.now())))


def observe(api: Api, name: str, namespace: str) -> Observation:
    """Read an InferenceService, its Deployment, its pods and the events of unready pods.

    Raises:
        ClusterError: There is no such InferenceService, or reading is forbidden.
    """
    service = api.get(KINDS["InferenceService"], namespace, name)
    if service is None:
        raise ClusterError("wait for", f"{namespace}/{name}", "it was deleted", "apply it again")
    pods = api.list(KINDS["Pod"], namespace, labelSelector=f"{_POD_LABEL}={name}")
    unready = [pod for pod in pods if condition(pod, "Ready") != "True"]
    events = [event for pod in unready for event in events_about(api, namespace, pod)]
    deployment = api.get(KINDS["Deployment"], namespace, f"{name}-predictor")
    return Observation(service, deployment, tuple(pods), tuple(events))


def events_about(api: Api, namespace: str, obj: Object) -> list[Object]:
    """Return the events of an object; none if this user may not read them."""
    selector = f"involvedObject.name={obj['metadata']['name']}"
    try:
        return api.list(KINDS["Event"], namespace, fieldSelector=selector)
    except ClusterError as error:
        # A pipeline's ServiceAccount may not read events on OpenShift AI unless granted; the
        # pods still say that something is wrong, events only add why.
        if error.status != 403:
            raise
        logger.debug("%s", error)
        return []


class Patience:
    """What was reported so far, and since when the same bad sign has been seen."""

    def __init__(self, clock: Clock, deadline_s: float, report: Callable[[str], None]) -> None:
        self.end = clock.now() + deadline_s
        self._clock, self._report = clock, report
        self._said = ""
        self._bad_since: float | None = None

    def is_over(self, signal: Signal) -> bool:
        """Report a new status; return whether a failure has lasted long enough to count."""
        if signal.reason != self._said:
            self._said = signal.reason
            self._report(signal.reason)
        if signal.state is not State.FAILED:
            self._bad_since = None
            return False
        if self._bad_since is None:
            self._bad_since = self._clock.now()
        return self._clock.now() - self._bad_since >= signal.grace_s


def _failure(api: Api, name: str, namespace: str, signal: Signal) -> DeploymentFailed:
    reason = signal.reason
    if signal.culprit and (lines := log_tail(api, namespace, *signal.culprit)):
        logger.error("last log lines of %s:\n%s", "/".join(signal.culprit), "\n".join(lines))
        reason = f"{reason}; it said: {telling(lines)}"
    return DeploymentFailed("deploy", f"{namespace}/{name}", reason)


def log_tail(api: Api, namespace: str, pod: str, container: str) -> list[str]:
    """Return the end of a container's log, its previous run's if it restarted, or nothing."""
    permission = Permission("get", KINDS["Pod"], namespace, "log")
    query = {"container": container, "tailLines": str(_LOG_LINES)}
    for previous in ("true", "false"):
        try:
            text = api.text(permission, pod, query | {"previous": previous})
        except CarferryError as error:  # a missing log is no second failure
            logger.debug("no log: %s", error)
            continue
        return [line for line in text.splitlines() if line.strip()]
    return []


def telling(lines: list[str]) -> str:
    """Return the most informative line: the last error, else the last."""
    errors = [line for line in lines if "Error" in line or "error:" in line]
    return (errors or lines)[-1].strip()


def _too_late(name: str, namespace: str, deadline_s: float, signal: Signal) -> DeadlineExceeded:
    reason = f"not ready after {deadline_s:.0f} s; last status: {signal.reason}"
    remedy = "it may still come up: look again, or wait longer"
    return DeadlineExceeded("wait for", f"{namespace}/{name}", reason, remedy)
