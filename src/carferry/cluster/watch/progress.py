"""What is still missing until a rollout serves, the nearest first: the status while it waits."""

from __future__ import annotations

from carferry.cluster.kinds import Object
from carferry.cluster.kserve import MODELCARS
from carferry.cluster.watch.applied import behind
from carferry.cluster.watch.containers import is_pulling_in_vain
from carferry.cluster.watch.look import (
    condition,
    container,
    events_of,
    image_volumes,
    is_leaving,
    is_over,
    is_ready,
    name_of,
    place,
    quoted,
    seconds,
    statuses,
)
from carferry.cluster.watch.observe import Observation
from carferry.cluster.watch.signal import Signal, waiting
from carferry.io.show.amounts import human_bytes


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
    if left := rollout(seen):
        return waiting(left)
    if condition(seen.service, "Ready") != "True":
        message = condition(seen.service, "Ready", "message")
        return waiting("the InferenceService is not ready", evidence=quoted(message))
    lacks = behind(seen)
    return waiting(lacks) if lacks else None


def rollout(seen: Observation) -> str:
    """Return how far the Deployment is behind what is wanted; empty if it is not."""
    if seen.deployment is None:
        return "" if seen.is_knative else "KServe has not made the Deployment yet"
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
    if wanted and not seen.current:  # the Deployment was read just before its new ReplicaSet
        return "the new revision has no pod yet"
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
    loose = events_of(pod, seen.events, "")
    if image_volumes(pod) and loose and loose[0].get("reason") == "Pulling":
        return _pulling(pod, "", loose[0], size_bytes)
    held = status["state"]["waiting"]
    reason = held.get("reason", "waiting")
    if reason == "PodInitializing":
        return waiting(f"pod {name_of(pod)}: its containers start one after the other")
    words = held.get("message") or next((str(e.get("message", "")) for e in told), "")
    return waiting(f"{where}: {reason}", evidence=quoted(words))


def _pulling(pod: Object, name: str, event: Object, size_bytes: int) -> Signal:
    """Return that an image is pulled: a container's, or without a name that of a volume."""
    where = place(pod, name) if name else f"pod {name_of(pod)}"
    if name and name not in MODELCARS:
        what = f"image {container(pod, name).get('image', '')}"
    else:
        what = f"{human_bytes(size_bytes)} of the model image" if size_bytes else "the model image"
    return waiting(f"{where}: pulling {what}", since=seconds(event))


def _loading(seen: Observation, pod: Object, name: str) -> Signal:
    """Return that the server runs and does not answer yet, with its last words."""
    lines = seen.log(pod, name)
    words = f"it says: {quoted(lines[-1])}" if lines else "it says nothing yet"
    return waiting(f"{place(pod, name)}: it runs, and is not ready yet", evidence=words)
