"""Run a Job: wait until it is complete, failed, stuck or too late, then delete it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from carferry.cluster.api import Api
from carferry.cluster.kinds import JOBS, KINDS, Object, Permission
from carferry.cluster.watch.clock import Clock, SystemClock
from carferry.cluster.watch.containers import ended_badly
from carferry.cluster.watch.look import condition, events_of, is_leaving, name_of
from carferry.cluster.watch.nodes import Nodes
from carferry.cluster.watch.observe import Observation, events_about, read_logs
from carferry.cluster.watch.patience import Patience
from carferry.cluster.watch.signal import Signal, State, waiting
from carferry.cluster.watch.signs import pod_signs, refused
from carferry.cluster.watch.wait import POLL_S, show_log
from carferry.errors import CarferryError, ClusterError, DeadlineExceeded, ToolFailed

logger = logging.getLogger("carferry")


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
        _follow(api, name, namespace, deadline_s, patience)
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


def _follow(api: Api, name: str, namespace: str, deadline_s: float, patience: Patience) -> None:
    subject = f"job {namespace}/{name}"
    nodes = Nodes()
    while True:
        seen, signals = _look(api, name, namespace, nodes)
        failed = patience.over(signals)
        patience.tell(signals[0], seen.taken)
        if signals[0].state is State.READY:
            return
        if failed:
            show_log(seen, failed)
            raise ToolFailed("run", subject, failed.said, failed.remedy)
        if patience.is_late():
            reason = f"not done after {deadline_s:.0f} s; last status: {signals[0].said}"
            raise DeadlineExceeded("wait for", subject, reason)
        patience.rest(POLL_S)


def _look(api: Api, name: str, namespace: str, nodes: Nodes) -> tuple[Observation, list[Signal]]:
    try:
        seen = _observe(api, name, namespace, nodes)
    except CarferryError as error:
        if not error.temporary:
            raise
        return Observation({}), [waiting(str(error))]
    return seen, _assess(seen)


def _observe(api: Api, name: str, namespace: str, nodes: Nodes) -> Observation:
    job = api.get(JOBS, namespace, name)
    if job is None:
        raise ClusterError("wait for", f"job {namespace}/{name}", "it was deleted", "run again")
    found = api.list(KINDS["Pod"], namespace, labelSelector=f"job-name={name}")
    # A removed Job of the same name may still have a pod on its way out.
    pods = [pod for pod in found if not is_leaving(pod)]
    events = events_about(api, namespace, [job, *pods])
    return Observation(
        job,
        pods=tuple(pods),
        events=tuple(events or ()),
        is_told=events is not None,
        nodes=nodes.about(api, pods),
        logs=read_logs(api, namespace, pods, ""),
        server="",
        taken=time.time(),
    )


def _assess(seen: Observation) -> list[Signal]:
    if condition(seen.service, "Complete") == "True":
        return [Signal(State.READY, "done")]
    ended = [sign for pod in seen.pods for sign in ended_badly(seen, pod)]
    signs = [*ended, *_unmade(seen), *(sign for pod in seen.pods for sign in pod_signs(seen, pod))]
    signs.sort(key=lambda sign: sign.state is not State.FAILED)
    if condition(seen.service, "Failed") == "True":
        return [_over(seen, signs)]
    return [*signs, waiting(_progress(seen.pods))]


def _over(seen: Observation, signs: list[Signal]) -> Signal:
    """Return why a Job has failed: what its pod shows, else its own words; that is final."""
    why = condition(seen.service, "Failed", "message")
    reason = why or condition(seen.service, "Failed", "reason")
    own = Signal(State.FAILED, reason, "job-failed", grace_s=0.0)
    return replace(signs[0], grace_s=0.0) if signs and signs[0].state is State.FAILED else own


def _unmade(seen: Observation) -> list[Signal]:
    """Return why there is no pod: no account, no right to its privileges, no quota."""
    told = [] if seen.pods else events_of(seen.service, seen.events)
    said = [str(e.get("message", "")) for e in told if e.get("reason") == "FailedCreate"]
    return [refused(said[0])] if said else []


def _progress(pods: tuple[Object, ...]) -> str:
    if not pods:
        return "no pod yet"
    return f"pod {name_of(pods[-1])}: {(pods[-1].get('status') or {}).get('phase', 'Pending')}"


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
