"""The state of a rollout, from one look at all of its objects."""

from __future__ import annotations

from collections.abc import Iterator

from carferry.cluster.kinds import Object
from carferry.cluster.watch.applied import is_doubtful
from carferry.cluster.watch.causes import REVISION, Where, cause_of, row
from carferry.cluster.watch.containers import container_signs
from carferry.cluster.watch.look import (
    condition,
    events_of,
    is_leaving,
    is_over,
    is_ready,
    moment,
    name_of,
    quoted,
    seconds,
    statuses,
)
from carferry.cluster.watch.observe import Observation
from carferry.cluster.watch.progress import missing
from carferry.cluster.watch.signal import DOUBT_S, SETTLE_S, Signal, State
from carferry.cluster.watch.unplaced import unplaced

__all__ = ["assess", "pod_signs", "refused"]

_FIELD_MANAGER = "carferry"
_CONFLICT = "the object has been modified"
_ANY_ERROR = "reconcile-failed"
_UNKNOWN = row("unknown", Where.SERVICE, "", "it does not come up", grace_s=30.0)
_SILENT_S = 30.0  # a kubelet that lives says something about a new pod at once


def assess(seen: Observation, size_bytes: int = 0) -> list[Signal]:
    """Return what one look says, what counts most first.

    Args:
        seen: The look.
        size_bytes: Of the model image, for the progress of its pull; 0 if unknown.

    Returns:
        READY alone; or every sign of failure, then what is rightly waited for, and last what is
        still missing.
    """
    if condition(seen.service, "Stopped") == "True":
        reason = "it is stopped"
        remedy = "set annotation serving.kserve.io/stop to false"
        return [Signal(State.FAILED, reason, "stopped", remedy=remedy)]
    lacking = missing(seen, size_bytes)
    if lacking is None:
        return [Signal(State.READY, "ready", grace_s=DOUBT_S if is_doubtful(seen) else SETTLE_S)]
    found = list(_signs(seen))
    order = (State.FAILED, State.HELD, State.WAITING)
    return [*sorted(found, key=lambda sign: order.index(sign.state)), lacking]


def _signs(seen: Observation) -> Iterator[Signal]:
    if not any(map(is_leaving, seen.pods)):  # whose place is still taken in quotas and on nodes
        yield from _refused(seen)
    for pod in seen.current:
        yield from pod_signs(seen, pod)
    yield from _service(seen)


def _refused(seen: Observation) -> Iterator[Signal]:
    """Yield why no pod could be made: the newest ReplicaSet's last event, else its condition."""
    if (newest := seen.newest) is not None:
        wanted = (newest.get("spec") or {}).get("replicas", 0)
        told = events_of(newest, seen.events)
        is_short = wanted > (newest.get("status") or {}).get("replicas", 0)
        if is_short and told and told[0].get("reason") == "FailedCreate":
            yield refused(str(told[0].get("message", "")))
            return
    for each in (seen.deployment, newest):
        if condition(each, "ReplicaFailure") == "True":
            yield refused(condition(each, "ReplicaFailure", "message"))
            return


def refused(said: str) -> Signal:
    """Return what it means that no pod was made."""
    return _of(Where.REFUSED, "no pod was made", said or "no message")


def pod_signs(seen: Observation, pod: Object) -> Iterator[Signal]:
    """Yield what is the matter with a pod: evicted, on no node, its volumes, its containers."""
    if (pod.get("status") or {}).get("reason") == "Evicted":
        yield from _evicted(seen, pod)
    elif sign := unplaced(seen, pod):
        yield sign
    elif not is_over(pod):
        yield from _node(seen, pod)
        yield from _volume(seen, pod)
    yield from container_signs(seen, pod)


def _evicted(seen: Observation, pod: Object) -> Iterator[Signal]:
    others = [each for each in seen.current if each is not pod and is_ready(each)]
    if not others:
        words = quoted(str((pod.get("status") or {}).get("message", "")))
        reason = "its pod was evicted from the node"
        remedy = "give it nodes with more disk and memory, or a larger --shm-size or --memory"
        yield Signal(State.FAILED, reason, "evicted", words, remedy, is_planned=True)


def _node(seen: Observation, pod: Object) -> Iterator[Signal]:
    """Yield that a pod's node is gone: nobody there says anything about the pod."""
    name = (pod.get("spec") or {}).get("nodeName")
    node = next((each for each in seen.nodes or () if name_of(each) == name), None)
    if node is None or statuses(pod) or condition(node, "Ready") == "True":
        return
    words = quoted(condition(node, "Ready", "message"))
    reason = f"pod {name_of(pod)}: its node {name} is not ready"
    remedy = "bring the node back, or cordon it and delete the pod"
    yield Signal(State.FAILED, reason, "node-unready", words, remedy, _SILENT_S)


def _volume(seen: Observation, pod: Object) -> Iterator[Signal]:
    if any("running" in (each.get("state") or {}) for each in statuses(pod)):
        return
    reasons = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox")
    for event in events_of(pod, seen.events, ""):
        said = str(event.get("message", ""))
        if event.get("reason") in reasons and cause_of(Where.VOLUME, said):
            yield _of(Where.VOLUME, f"pod {name_of(pod)}", said)
            return


def _service(seen: Observation) -> Iterator[Signal]:
    """Yield what KServe itself says: its events since the last change, and a broken spec."""
    for event in events_of(seen.service, seen.events):
        said = f"{event.get('reason', '')}: {event.get('message', '')}"
        is_new = seconds(event) >= _changed(seen.service)
        if event.get("type") == "Warning" and is_new and _counts(seen, said):
            yield _of(Where.SERVICE, "", said)
            break
    yield from _revision(seen)
    model = (seen.service.get("status") or {}).get("modelStatus") or {}
    # lastFailureInfo is never cleared, so it only counts beside a state of failure, and a
    # failed load only if no pod is left to tell more.
    broken = model.get("transitionStatus")
    if broken == "InvalidSpec" or (broken == "BlockedByFailedLoad" and not seen.pods):
        info = model.get("lastFailureInfo") or {}
        said = f"{info.get('reason', broken)}: {info.get('message', 'no message')}"
        yield _of(Where.SERVICE, "", said)


def _revision(seen: Observation) -> Iterator[Signal]:
    """Yield that Knative gave a revision up: nothing else tells it, for it takes the pods away."""
    if condition(seen.service, "PredictorReady") == "False":
        words = (condition(seen.service, "PredictorReady", part) for part in ("reason", "message"))
        said = ": ".join(words)
        if cause_of(Where.SERVICE, said, (REVISION,)):
            yield _of(Where.SERVICE, "", said)


def _counts(seen: Observation, said: str) -> bool:
    """Return whether KServe's words are a cause.

    A conflict of two writers is tried again at once, and an error of making something is past
    when its pods are on their way: the event stays.
    """
    found = cause_of(Where.SERVICE, said)
    is_moving = any(not is_ready(pod) and not is_over(pod) for pod in seen.current)
    if found is None or _CONFLICT in said:
        return False
    return not (is_moving and found.name == _ANY_ERROR)


def _changed(service: Object) -> float:
    """Return when carferry last changed an object; 0 if it does not say."""
    fields = service["metadata"].get("managedFields") or []
    times = [moment(str(f.get("time", ""))) for f in fields if f.get("manager") == _FIELD_MANAGER]
    return max(times, default=0.0)


def _of(where: Where, what: str, said: str) -> Signal:
    found = cause_of(where, said) or _UNKNOWN
    return Signal(
        found.state, f"{what}: {found.means}" if what else found.means, found.name,
        quoted(said), found.advice(said), found.grace_s, is_planned=found.is_planned,
    )  # fmt: skip
