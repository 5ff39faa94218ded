"""Run a Job: wait until it is complete, failed, stuck or too late, then delete it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from carferry.cluster.api import Api
from carferry.cluster.kinds import JOBS, KINDS, Object, Permission
from carferry.cluster.watch.clock import Clock, SystemClock
from carferry.cluster.watch.signs import AUTOSCALER_S, Signal, State, condition
from carferry.cluster.watch.wait import POLL_S, Patience, events_about, log_tail, telling
from carferry.errors import CarferryError, ClusterError, DeadlineExceeded, ToolFailed

logger = logging.getLogger("carferry")

# A failing pull or a missing account may be temporary; after a minute it counts as failed.
_STUCK_S = 60.0
_STUCK = {
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
}


def run_job(
    api: Api,
    job: Object,
    *,
    deadline_s: float,
    clock: Clock | None = None,
    report: Callable[[str], None] = logger.info,
) -> None:
    """Create a Job, wait until it is complete and delete it, whatever its end.

    A Job of the same name that still runs is an earlier try's, and is waited for; one that is
    over is replaced. Polls, since a pipeline's ServiceAccount may not watch everything.

    Args:
        api: The connection.
        job: Its name is made from its content, so the same name means the same work.
        deadline_s: Seconds from now.
        clock: Time; the machine's by default.
        report: Called with each new status line.

    Raises:
        ToolFailed: It failed or cannot start; the reason quotes the end of its log.
        DeadlineExceeded: Not done in time; the reason holds the last status.
        ClusterError: The API refused; a missing permission is named as a Role's rule.
    """
    clock = clock or SystemClock()
    patience = Patience(clock, deadline_s, report)
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    try:
        _start(api, job, patience, clock)
        _follow(api, name, namespace, deadline_s, patience, clock)
    finally:
        _remove(api, name, namespace)


def _start(api: Api, job: Object, patience: Patience, clock: Clock) -> None:
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    while (old := api.get(JOBS, namespace, name)) is not None:
        if not _is_over(old):
            logger.info("job %s/%s runs already", namespace, name)
            return
        if clock.now() >= patience.end:
            raise ToolFailed("replace", f"job {namespace}/{name}", "the old one does not go away")
        _remove(api, name, namespace)
        clock.sleep(POLL_S)
    api.call(Permission("create", JOBS, namespace), method="POST", body=job)
    logger.info("created job %s/%s", namespace, name)


def _follow(
    api: Api, name: str, namespace: str, deadline_s: float, patience: Patience, clock: Clock
) -> None:
    subject = f"job {namespace}/{name}"
    while True:
        signal = _look(api, name, namespace)
        failed = patience.is_over(signal)
        if signal.state is State.READY:
            return
        if failed:
            raise ToolFailed("run", subject, _with_log_end(api, namespace, signal))
        if clock.now() >= patience.end:
            reason = f"not done after {deadline_s:.0f} s; last status: {signal.reason}"
            raise DeadlineExceeded("wait for", subject, reason)
        clock.sleep(min(POLL_S, max(0.0, patience.end - clock.now())))


def _look(api: Api, name: str, namespace: str) -> Signal:
    try:
        job = api.get(JOBS, namespace, name)
        if job is None:
            raise ClusterError("wait for", f"job {namespace}/{name}", "it was deleted", "run again")
        found = api.list(KINDS["Pod"], namespace, labelSelector=f"job-name={name}")
        # A removed Job of the same name may still have a pod on its way out.
        pods = [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]
        # Without a pod only the Job's events say why: no account, no right to its privileges.
        events = [] if pods else events_about(api, namespace, job)
    except CarferryError as error:
        if not error.temporary:
            raise
        return Signal(State.WAITING, str(error))
    return _assess(job, pods, events)


def _assess(job: Object, pods: list[Object], events: list[Object]) -> Signal:
    if condition(job, "Complete") == "True":
        return Signal(State.READY, "done")
    ended = [signal for pod in pods if (signal := _exit(pod))]
    if condition(job, "Failed") == "True":
        why = condition(job, "Failed", "message") or condition(job, "Failed", "reason")
        return ended[-1] if ended else Signal(State.FAILED, why, 0.0)
    refused = [each for each in events if each.get("reason") == "FailedCreate"]
    if refused:
        return Signal(
            State.FAILED, f"no pod was made: {refused[-1].get('message', 'no message')}", _STUCK_S
        )
    stuck = [signal for pod in pods if (signal := _stuck(pod))]
    return stuck[-1] if stuck else Signal(State.WAITING, _progress(pods))


def _exit(pod: Object) -> Signal | None:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    if status.get("reason") == "Evicted":
        return Signal(State.FAILED, f"pod {name} was evicted: {status.get('message', '')}", 0.0)
    for container in status.get("containerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            reason = f"pod {name}: {ended.get('reason', 'Error')}, exit {ended['exitCode']}"
            return Signal(State.FAILED, reason, 0.0, (name, container["name"]))
    return None


def _stuck(pod: Object) -> Signal | None:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    if condition(pod, "PodScheduled") == "False":
        message = condition(pod, "PodScheduled", "message")
        return Signal(State.FAILED, f"no node fits pod {name}: {message}", AUTOSCALER_S)
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _STUCK:
            reason = f"pod {name}: {waiting['reason']}: {waiting.get('message', 'no message')}"
            return Signal(State.FAILED, reason, _STUCK_S)
    return None


def _progress(pods: list[Object]) -> str:
    if not pods:
        return "no pod yet"
    pod = pods[-1]
    return f"pod {pod['metadata']['name']}: {(pod.get('status') or {}).get('phase', 'Pending')}"


def _with_log_end(api: Api, namespace: str, signal: Signal) -> str:
    lines = log_tail(api, namespace, *signal.culprit) if signal.culprit else []
    if not lines:
        return signal.reason
    logger.error("last log lines of %s:\n%s", "/".join(signal.culprit or ()), "\n".join(lines))
    return f"{signal.reason}; it said: {telling(lines)}"


def _is_over(job: Object) -> bool:
    ended = any(condition(job, kind) == "True" for kind in ("Complete", "Failed"))
    return ended or bool(job["metadata"].get("deletionTimestamp"))


def _remove(api: Api, name: str, namespace: str) -> None:
    """Delete the Job and its pods; if that is refused, its own time to live removes it."""
    permission = Permission("delete", JOBS, namespace)
    try:
        api.call(permission, name, method="DELETE", query={"propagationPolicy": "Background"})
    except CarferryError as error:
        logger.debug("%s", error)
