"""What is still missing until a rollout serves, the nearest first: the status while it waits."""

from __future__ import annotations

from carferry.cluster.kinds import Object
from carferry.cluster.watch.containers import is_pulling_in_vain
from carferry.cluster.watch.look import (
    condition,
    container,
    events_of,
    is_leaving,
    is_over,
    is_ready,
    marks,
    name_of,
    place,
    quoted,
    seconds,
    statuses,
)
from carferry.cluster.watch.observe import Observation
from carferry.cluster.watch.signal import Signal, waiting
from carferry.io.show.amounts import human_bytes

_KNATIVE = ("Serverless", "Knative")


def missing(seen: Observation, size_bytes: int = 0) -> Signal | None:
    """Return what is still missing for ready; None if nothing.

    Args:
        seen: One look.
        size_bytes: Of the model image; 0 if unknown.
    """
    for pod in seen.pods:
        if is_leaving(pod):
            return waiting(f"pod {name_of(pod)} is still stopping")
    for pod in seen.current:
        if not is_ready(pod) and not is_over(pod):
            return _pod(seen, pod, size_bytes)
    if behind := rollout(seen):
        return waiting(behind)
    if condition(seen.service, "Ready") != "True":
        message = condition(seen.service, "Ready", "message")
        return waiting("the InferenceService is not ready", evidence=quoted(message))
    behind = _wrong_args(seen) or _wrong_image(seen)
    return waiting(behind) if behind else None


def rollout(seen: Observation) -> str:
    """Return how far the Deployment is behind what is wanted; empty if it is not."""
    if seen.deployment is None:
        mode = marks(seen.service).get("serving.kserve.io/deploymentMode")
        return "" if mode in _KNATIVE else "KServe has not made the Deployment yet"
    status, spec = seen.deployment.get("status") or {}, seen.deployment.get("spec") or {}
    wanted = spec.get("replicas", 1)
    if status.get("observedGeneration", 0) < seen.deployment["metadata"].get("generation", 1):
        return "the Deployment's controller has not seen the change yet"
    new, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    every = status.get("replicas", 0)
    if new < wanted:
        return f"{new} of {wanted} pods of the new revision are made"
    if every > wanted:
        return f"{every - wanted} pods of the revision before have not stopped yet"
    return f"{available} of {wanted} pods are available" if available < wanted else ""


def _pod(seen: Observation, pod: Object, size_bytes: int) -> Signal:
    for status in statuses(pod):
        state, name = status.get("state") or {}, status["name"]
        if "waiting" in state:
            return _container(seen, pod, status, size_bytes)
        if "running" in state and name == seen.server and not status.get("ready"):
            return _loading(seen, pod, name)
    told = events_of(pod, seen.events)
    words = quoted(str(told[0].get("message", ""))) if told else ""
    phase = (pod.get("status") or {}).get("phase", "Pending")
    return waiting(f"pod {name_of(pod)}: {phase}", evidence=words)


def _container(seen: Observation, pod: Object, status: Object, size_bytes: int) -> Signal:
    where, told = place(pod, status["name"]), events_of(pod, seen.events, status["name"])
    if is_pulling_in_vain(status):
        words = next((str(e.get("message")) for e in told if e.get("reason") == "Failed"), "")
        return waiting(f"{where}: its image cannot be pulled yet", evidence=quoted(words))
    if told and told[0].get("reason") == "Pulling":
        return _pulling(pod, status["name"], told[0], size_bytes)
    held = status["state"]["waiting"]
    reason = held.get("reason", "waiting")
    if reason == "PodInitializing":
        return waiting(f"pod {name_of(pod)}: its containers start one after the other")
    words = held.get("message") or next((str(e.get("message", "")) for e in told), "")
    return waiting(f"{where}: {reason}", evidence=quoted(words))


def _pulling(pod: Object, name: str, event: Object, size_bytes: int) -> Signal:
    spec = container(pod, name)
    is_model = name in ("modelcar", "modelcar-init")
    amount = f"{human_bytes(size_bytes)} " if is_model and size_bytes else ""
    what = "the model image" if is_model else f"image {spec.get('image', '')}"
    return waiting(f"{place(pod, name)}: pulling {amount}of {what}" if amount
                   else f"{place(pod, name)}: pulling {what}", since=seconds(event))  # fmt: skip


def _loading(seen: Observation, pod: Object, name: str) -> Signal:
    """Return that the server runs and does not answer yet, with its last words."""
    lines = seen.log(pod, name)
    words = f"it says: {quoted(lines[-1])}" if lines else "it says nothing yet"
    return waiting(f"{place(pod, name)}: it runs, and is not ready yet", evidence=words)


def _wrong_args(seen: Observation) -> str:
    """Return a text if the Deployment was made before the last change of the vLLM arguments."""
    wanted = {*_model(seen).get("args", [])}
    template = ((seen.deployment or {}).get("spec") or {}).get("template") or {}
    for each in (template.get("spec") or {}).get("containers") or []:
        if each.get("name") == seen.server and wanted - {*each.get("args", [])}:
            return "the Deployment does not have the new arguments yet"
    return ""


def _wrong_image(seen: Observation) -> str:
    model = _model(seen)
    image = str(model.get("storageUri") or model.get("uri") or "").partition("://")[2]
    for pod in (each for each in seen.current if not is_over(each)):
        if image and (served := _mounted(pod)) and image not in served:
            return f"pod {name_of(pod)} still serves {served[0]}"
    return ""


def _mounted(pod: Object) -> list[str]:
    """Return the model images of a pod: of KServe's sidecar, or of image volumes."""
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    native = [str((each.get("image") or {}).get("reference", "")) for each in volumes]
    return [each for each in (container(pod, "modelcar").get("image", ""), *native) if each]


def _model(seen: Observation) -> Object:
    spec = seen.service.get("spec") or {}
    model: Object = (spec.get("predictor") or spec).get("model") or {}
    return model
