"""What a pod's containers say: an image that does not come, a start that fails, a crash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from carferry.cluster.kinds import Object
from carferry.cluster.kserve import MODELCARS
from carferry.cluster.watch.causes import Cause, Where, cause_of
from carferry.cluster.watch.logs import telling
from carferry.cluster.watch.look import (
    container,
    events_of,
    image_volumes,
    name_of,
    place,
    quoted,
    statuses,
)
from carferry.cluster.watch.observe import Observation, crash
from carferry.cluster.watch.server import LOGGED
from carferry.cluster.watch.signal import Signal, State

_PULL = {
    "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "RegistryUnavailable",
    "ErrImageNeverPull", "ImageInspectError", "SignatureValidationFailed",
}  # fmt: skip
_CREATE = {
    "CreateContainerError", "CreateContainerConfigError", "RunContainerError", "StartError",
    "ContainerCannotRun", "PostStartHookError", "PreCreateHookError",
}  # fmt: skip
_RUNS = 3  # ends of the same kind that are no accident; vLLM may lose one race against the link


def container_signs(seen: Observation, pod: Object) -> Iterator[Signal]:
    """Yield what is the matter with each container of a pod."""
    for status in statuses(pod):
        sign = _pull(seen, pod, status) or _start(seen, pod, status) or _exit(seen, pod, status)
        if sign:
            yield sign


def is_pulling_in_vain(status: Object) -> bool:
    """Return whether the last try to pull a container's image failed."""
    return _reason(status) in _PULL


def _pull(seen: Observation, pod: Object, status: Object) -> Signal | None:
    """Return why an image does not come.

    The kubelet turns between ErrImagePull and ImagePullBackOff, whose own message may be without
    the cause: both are one state, and the events about this container add their words. An image
    volume that does not come is told as its container's, with events about the pod alone.
    """
    if not is_pulling_in_vain(status):
        return None
    told = events_of(pod, seen.events, status["name"])
    told += events_of(pod, seen.events, "") if image_volumes(pod) else []
    failed = [str(e.get("message", "")) for e in told if e.get("reason") == "Failed"]
    said = [_message(status), *failed]
    if _reason(status) not in ("ImagePullBackOff", "ErrImagePull"):
        said.insert(0, f"{_reason(status)}: {_message(status)}")
    known = [(row, text) for text in said if (row := cause_of(Where.PULL, text))]
    where, option = _wanted(seen, pod, status)
    if not known:
        words = quoted(next((text for text in said if text), "no message"))
        return Signal(State.WAITING, f"{where}: its image cannot be pulled yet", "pull", words)
    row, text = known[0]
    if row.name == "image-denied" and (missing := _missing_secret(seen, pod)):
        return _denied(where, text, missing)
    return _sign(row, where, text, {"option": option})


def _wanted(seen: Observation, pod: Object, status: Object) -> tuple[str, str]:
    """Return whose image does not come, and where it was named: a container's, or a volume's."""
    own = str(container(pod, status["name"]).get("image", ""))
    for volume, image in image_volumes(pod).items():
        if image != own and image in _message(status):
            return f"pod {name_of(pod)}, image volume {volume}", "the ModelCar's reference"
    return place(pod, status["name"]), _option(seen, status["name"])


def _missing_secret(seen: Observation, pod: Object) -> str:
    """Return what the kubelet said about pull secrets that are not there; empty if nothing."""
    for event in events_of(pod, seen.events):
        if event.get("reason") == "FailedToRetrieveImagePullSecret":
            return str(event.get("message", ""))
    return ""


def _denied(where: str, denied: str, missing: str) -> Signal:
    names = missing.partition("(")[2].partition(")")[0] or "?"
    reason = f"{where}: its pull secret {names} is not there, and the registry lets nobody in"
    words = f"{quoted(missing)} {quoted(denied)}"
    remedy = f"make Secret {names}, or name another: --pull-secret"
    return Signal(State.FAILED, reason, "pull-secret-missing", words, remedy)


def _start(seen: Observation, pod: Object, status: Object) -> Signal | None:
    """Return why a container cannot be made or started."""
    ended = crash(status)
    reason = next((r for r in (_reason(status), ended.get("reason", "")) if r in _CREATE), "")
    if not reason:
        return None
    told = events_of(pod, seen.events, status["name"])
    failed = [str(e.get("message", "")) for e in told if e.get("reason") == "Failed"]
    said = [text for text in (_message(status), str(ended.get("message", "")), *failed) if text]
    where = place(pod, status["name"])
    for text in said:
        if row := cause_of(Where.CREATE, text):
            return _sign(row, where, text, {"option": _option(seen, status["name"])})
    words = quoted(said[0] if said else "no message")
    remedy = "does the image keep the ModelCar contract? `carferry inspect` looks"
    return Signal(State.FAILED, f"{where}: {reason}", "start", words, remedy, 20.0)


def _exit(seen: Observation, pod: Object, status: Object) -> Signal | None:
    """Return why a container ended, as soon as that is no accident."""
    ended, name = crash(status), status["name"]
    if not ended:
        return None
    where, lines = place(pod, name), list(seen.log(pod, name))
    culprit, runs = (name_of(pod), name), _runs(status)
    code = f"exit {ended.get('exitCode', 0)}"
    if ended.get("reason") == "OOMKilled":
        return _out_of_memory(seen, pod, status)
    if name == "modelcar-init":
        words = quoted(telling(lines)) or code
        reason, remedy = f"{where}: the image holds nothing in /models", "build it with carferry"
        return Signal(State.FAILED, reason, "models-empty", words, remedy, culprit=culprit)
    if killed := _killed_by_probe(seen, pod, status):
        return killed
    if found := _logged(lines):
        row, text = found
        if row.state is State.FAILED or runs >= _RUNS:
            return _sign(row, where, text, {}, culprit)
    if runs < _RUNS:
        return None
    words = quoted(telling(lines))
    reason = f"{where}: {ended.get('reason') or 'Error'}, {code}, {runs} times"
    return Signal(State.FAILED, reason, "crash", words, "see its log", 5.0, culprit)


def _logged(lines: list[str]) -> tuple[Cause, str] | None:
    """Return the first known cause that the log proves, with its line; the last such line."""
    for row in LOGGED:
        for line in reversed(lines):
            if row.words.search(line):
                return row, line
    return None


def _out_of_memory(seen: Observation, pod: Object, status: Object) -> Signal:
    name = status["name"]
    limits = (container(pod, name).get("resources") or {}).get("limits") or {}
    limit = str(limits.get("memory", "none"))
    if name in MODELCARS:
        remedy = "raise memoryModelcar in KServe's ConfigMap inferenceservice-config"
    elif name == seen.server:
        remedy = f"pass a larger --memory than {limit}"
    else:
        remedy = "give it more memory"
    reason = f"{place(pod, name)}: killed for memory (OOMKilled, exit {crash(status)['exitCode']})"
    return Signal(
        State.FAILED, reason, "out-of-memory", f"its limit is {limit}", remedy, 5.0,
        (name_of(pod), name), is_planned=True,
    )  # fmt: skip


def _killed_by_probe(seen: Observation, pod: Object, status: Object) -> Signal | None:
    told = events_of(pod, seen.events, status["name"])
    probes = [e for e in told if "probe, will be restarted" in str(e.get("message", ""))]
    if not probes or _runs(status) < 2:
        return None
    unhealthy = [str(e.get("message", "")) for e in told if e.get("reason") == "Unhealthy"]
    words = quoted(unhealthy[0] if unhealthy else str(probes[0].get("message", "")))
    reason = f"{place(pod, status['name'])}: restarted since it does not answer its probe"
    remedy = "see its log for what it does so long"
    culprit = (name_of(pod), status["name"])
    return Signal(State.FAILED, reason, "probe", words, remedy, culprit=culprit)


def _sign(
    row: Cause, where: str, text: str, more: dict[str, str], culprit: tuple[str, str] | None = None
) -> Signal:
    words = quoted(text)
    state = State.FAILED if culprit else row.state
    return Signal(
        state, f"{where}: {row.means}", row.name, words, row.advice(text, more),
        row.grace_s, culprit, is_planned=row.is_planned,
    )  # fmt: skip


def _runs(status: Object) -> int:
    """Return how many runs of a container have ended: a restart counts from its start on."""
    is_running = "running" in (status.get("state") or {})
    return int(status.get("restartCount", 0)) + (not is_running)


def _option(seen: Observation, name: str) -> str:
    if name in MODELCARS:
        return "the ModelCar's reference"
    return "--runtime-image" if name == seen.server else "the image's name"


def _reason(status: Object) -> str:
    return str(((status.get("state") or {}).get("waiting") or {}).get("reason", ""))


def _message(status: Object) -> str:
    return str(((status.get("state") or {}).get("waiting") or {}).get("message", ""))


def ended_badly(seen: Observation, pod: Object) -> Iterator[Signal]:
    """Yield why a pod that is never started again has ended: one bad end counts at once."""
    for status in statuses(pod):
        ended, name = crash(status), status["name"]
        if not ended or ended.get("reason") in _CREATE:
            continue
        where, lines = place(pod, name), list(seen.log(pod, name))
        culprit = (name_of(pod), name)
        if ended.get("reason") == "OOMKilled":
            yield replace(_out_of_memory(seen, pod, status), grace_s=0.0)
            continue
        reason = f"{where}: {ended.get('reason') or 'Error'}, exit {ended['exitCode']}"
        words = f"it said: {quoted(telling(lines))}" if lines else ""
        yield Signal(State.FAILED, reason, "crash", words, grace_s=0.0, culprit=culprit)
