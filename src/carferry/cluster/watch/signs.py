"""The state of a rollout, derived from all of its objects: waiting, ready or failed.

An InferenceService's own Ready is not enough: it stays True while the old pod serves and the
new one cannot start, and it never mentions the modelcar containers. So the Deployment, the
pods and their events are read with it.

Sources: kserve/kserve v0.20 (inference_service_status.go, pkg/utils/storage.go), Kubernetes
pod lifecycle and Deployment status documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from carferry.cluster.kinds import Object

# How long a bad sign must last before it counts. The scheduler's "no node fits" may be
# an autoscaler's cue; the others only need to outlive a stale status.
SETTLE_S = 20.0
AUTOSCALER_S = 300.0

_RESTARTS = 3
_PULL = {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "RegistryUnavailable"}
_PULL_FINAL = re.compile(
    r"(?i)unauthorized|authentication required|denied|forbidden|not found|manifest unknown|"
    r"no space left|no match for platform|no matching manifest|x509|invalid"
)
_CONTRACT = {"CreateContainerError", "CreateContainerConfigError", "RunContainerError"}


class State(Enum):
    """The state of a rollout."""

    WAITING = "waiting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Signal:
    """A state, why, and for a failure how long it must last to count.

    Attributes:
        culprit: Pod and container whose log explains it, if one ran.
    """

    state: State
    reason: str
    grace_s: float = SETTLE_S
    culprit: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at everything that belongs to an InferenceService.

    Attributes:
        service: The InferenceService.
        deployment: Of the predictor; None with Knative, or before KServe made it.
        pods: Of the predictor.
        events: About those pods.
    """

    service: Object
    deployment: Object | None
    pods: tuple[Object, ...]
    events: tuple[Object, ...]


def assess(seen: Observation) -> Signal:
    """Return what one observation says."""
    if condition(seen.service, "Stopped") == "True":
        return _failed("stopped; set annotation serving.kserve.io/stop to false")
    missing = _not_yet(seen)
    if not missing:
        return Signal(State.READY, "ready")
    return next(_bad_signs(seen), Signal(State.WAITING, missing))


def condition(obj: Object | None, kind: str, field: str = "status") -> str:
    """Return a field of the condition of that type; empty if there is none."""
    for each in ((obj or {}).get("status") or {}).get("conditions") or []:
        if each.get("type") == kind:
            return str(each.get(field, ""))
    return ""


def _bad_signs(seen: Observation) -> Iterator[Signal]:
    if condition(seen.deployment, "ReplicaFailure") == "True":
        yield _failed(f"no pod was made: {condition(seen.deployment, 'ReplicaFailure', 'message')}")
    for pod in seen.pods:
        if not _is_leaving(pod):
            yield from _pod_signs(pod, seen.events)
    model = (seen.service.get("status") or {}).get("modelStatus") or {}
    # lastFailureInfo is never cleared, so it only counts beside a state of failure, and a
    # failed load only if no pod is left to tell more.
    broken = model.get("transitionStatus")
    if broken == "InvalidSpec" or (broken == "BlockedByFailedLoad" and not seen.pods):
        info = model.get("lastFailureInfo") or {}
        yield _failed(f"{info.get('reason', broken)}: {info.get('message', 'no message')}")


def _pod_signs(pod: Object, events: tuple[Object, ...]) -> Iterator[Signal]:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    if status.get("reason") == "Evicted":
        yield _failed(f"pod {name} was evicted: {status.get('message', '')}")
    if condition(pod, "PodScheduled") == "False":
        message = condition(pod, "PodScheduled", "message")
        yield Signal(State.FAILED, f"no node fits pod {name}: {message}", AUTOSCALER_S)
    for container in _containers(pod):
        sign = _waiting_sign(pod, container, events) or _exit_sign(pod, container)
        if sign:
            yield sign


def _waiting_sign(pod: Object, container: Object, events: tuple[Object, ...]) -> Signal | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason not in _PULL | _CONTRACT:
        return None
    # The back-off's own message is often just "Back-off pulling image": events say why.
    said = [str(waiting.get("message", "")), *_event_messages(pod, events)]
    sign = f"{_place(pod, container)}: {reason}"
    if reason in _CONTRACT:
        return _failed(f"{sign}: {said[0]} (does the image keep the ModelCar contract?)")
    final = next((text for text in said if _PULL_FINAL.search(text)), "")
    return _failed(f"{sign}: {final}") if final else None


def _exit_sign(pod: Object, container: Object) -> Signal | None:
    state, before = container.get("state") or {}, container.get("lastState") or {}
    ended = state.get("terminated") or before.get("terminated") or {}
    code, name = ended.get("exitCode", 0), container["name"]
    if not code:
        return None
    culprit = (pod["metadata"]["name"], name)
    if name == "modelcar-init":
        reason = f"{_place(pod, container)}: exit {code}: the image holds nothing in /models"
        return Signal(State.FAILED, reason, SETTLE_S, culprit)
    # vLLM may lose the race against the model's link once, and then comes up (modelcar mode).
    if container.get("restartCount", 0) < _RESTARTS and ended.get("reason") != "OOMKilled":
        return None
    restarts = f"{container.get('restartCount', 0)} restarts"
    reason = f"{_place(pod, container)}: {ended.get('reason', 'Error')}, exit {code}, {restarts}"
    return Signal(State.FAILED, reason, SETTLE_S, culprit)


def _not_yet(seen: Observation) -> str:
    """Return what is still missing for ready, the nearest cause first; empty if nothing."""
    for pod in seen.pods:
        if _is_leaving(pod):
            return f"pod {pod['metadata']['name']} is still stopping"
        if (progress := _pod_progress(pod, seen.events)) and not _is_over(pod):
            return progress
    if behind := _rollout(seen):
        return behind
    if condition(seen.service, "Ready") != "True":
        message = condition(seen.service, "Ready", "message")
        return "InferenceService is not ready" + (f": {message}" if message else "")
    return _wrong_args(seen) or _wrong_image(seen)


def _rollout(seen: Observation) -> str:
    deployment = seen.deployment
    if deployment is None:
        annotations = seen.service["metadata"].get("annotations") or {}
        knative = annotations.get("serving.kserve.io/deploymentMode") in ("Serverless", "Knative")
        return "" if knative else "KServe has not made the Deployment yet"
    status, wanted = (
        deployment.get("status") or {},
        (deployment.get("spec") or {}).get("replicas", 1),
    )
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 1):
        return "the Deployment's controller has not seen the change yet"
    have = {name: status.get(name, 0) for name in ("updatedReplicas", "availableReplicas")}
    if any(count < wanted for count in have.values()) or status.get("replicas", 0) > wanted:
        return f"{have['availableReplicas']} of {wanted} replicas available"
    return ""


def _wrong_args(seen: Observation) -> str:
    """Return a text if the Deployment was made before the last change of the vLLM arguments."""
    wanted = {*_model(seen).get("args", [])}
    template = ((seen.deployment or {}).get("spec") or {}).get("template") or {}
    for container in (template.get("spec") or {}).get("containers") or []:
        if container.get("name") == "kserve-container" and wanted - {*container.get("args", [])}:
            return "the Deployment does not have the new arguments yet"
    return ""


def _wrong_image(seen: Observation) -> str:
    uri = _model(seen).get("storageUri", "")
    image = uri.removeprefix("oci://")
    for pod in (each for each in seen.pods if not _is_over(each)):
        for container in (pod.get("spec") or {}).get("containers", []):
            if container.get("name") == "modelcar" and (served := container.get("image")) != image:
                return f"pod {pod['metadata']['name']} still serves {served}"
    return ""


def _model(seen: Observation) -> Object:
    predictor = (seen.service.get("spec") or {}).get("predictor") or {}
    return predictor.get("model") or {}


def _pod_progress(pod: Object, events: tuple[Object, ...]) -> str:
    if condition(pod, "Ready") == "True":
        return ""
    last = next(iter(_event_messages(pod, events)), "")
    for container in _containers(pod):
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            detail = waiting.get("message") or last or "no message"
            return f"{_place(pod, container)}: {waiting.get('reason', 'waiting')}: {detail}"
    phase = (pod.get("status") or {}).get("phase", "Pending")
    return f"pod {pod['metadata']['name']}: {phase}, not ready"


def _event_messages(pod: Object, events: tuple[Object, ...]) -> list[str]:
    name = pod["metadata"]["name"]
    about = [e for e in events if (e.get("involvedObject") or {}).get("name") == name]
    about.sort(key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""), reverse=True)
    return [str(each.get("message", "")) for each in about]


def _containers(pod: Object) -> list[Object]:
    status = pod.get("status") or {}
    return [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]


def _is_leaving(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _is_over(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _place(pod: Object, container: Object) -> str:
    return f"pod {pod['metadata']['name']}, container {container['name']}"


def _failed(reason: str) -> Signal:
    return Signal(State.FAILED, reason)
