"""Reading Kubernetes objects: conditions, containers, and which event is about which of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from carferry.cluster.kinds import Object

# What stands before the words that say why, and names the image once more each time.
_WRAPPING = re.compile(
    r"rpc error: code = \w+ desc = |Back-off pulling image \"[^\"]+\": (?=ErrImagePull: )|"
    r"ErrImagePull: |failed to pull and unpack image \"[^\"]+\": |failed to resolve image: |"
    r"failed to resolve reference \"[^\"]+\": |failed to do request: |"
    r"\(combined from similar events\): |Error creating: |OCI runtime create failed: |"
    r"failed to create (?:containerd|shim) task: |runc create failed: |"
    r" ?no new claims to deallocate, preemption: .*| ?preemption: .*"
)
_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
_LONGEST = 360


def condition(obj: Object | None, kind: str, field: str = "status") -> str:
    """Return a field of the condition of that type; empty if there is none."""
    for each in ((obj or {}).get("status") or {}).get("conditions") or []:
        if each.get("type") == kind:
            return str(each.get(field, ""))
    return ""


def name_of(obj: Object) -> str:
    """Return an object's name."""
    return str(obj["metadata"]["name"])


def generation(obj: Object | None) -> int:
    """Return how often an object's spec was changed; 0 for none."""
    return int(((obj or {}).get("metadata") or {}).get("generation") or 0)


def marks(obj: Object) -> dict[str, str]:
    """Return an object's annotations."""
    return obj["metadata"].get("annotations") or {}


def statuses(pod: Object) -> list[Object]:
    """Return the statuses of a pod's containers, those that run first before the others."""
    status = pod.get("status") or {}
    return [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]


def container(pod: Object, name: str) -> Object:
    """Return a container as the pod's spec has it; empty if it has none of that name."""
    spec = pod.get("spec") or {}
    every = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    return next((each for each in every if each.get("name") == name), {})


def place(pod: Object, name: str) -> str:
    """Return how a container is named in a message."""
    return f"pod {name_of(pod)}, container {name}"


def image_volumes(pod: Object) -> dict[str, str]:
    """Return the images that a pod mounts as volumes, by the volume's name."""
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    return {each["name"]: str(each["image"].get("reference", "")) for each in volumes
            if each.get("image")}  # fmt: skip


def is_leaving(pod: Object) -> bool:
    """Return whether a pod is being deleted."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_over(pod: Object) -> bool:
    """Return whether a pod has ended for good."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_ready(pod: Object) -> bool:
    """Return whether a pod takes requests."""
    return condition(pod, "Ready") == "True"


def events_of(obj: Object, events: Iterable[Object], container: str | None = None) -> list[Object]:
    """Return the events about an object, the newest first.

    Args:
        obj: By its uid, so that a namesake of yesterday does not count.
        events: Of several objects.
        container: Only those about this container; empty: only those about the pod as a whole.
    """
    found = [each for each in events if _is_about(obj, each.get("involvedObject") or {})]
    if container is not None:
        found = [each for each in found if _container(each) == container]
    # Times are whole seconds; the name ends with the first time in hexadecimal nanoseconds.
    return sorted(found, key=lambda e: (seconds(e), _nanoseconds(e)), reverse=True)


def seconds(event: Object) -> float:
    """Return when an event happened last, in seconds since 1970; 0 if it does not say."""
    series = event.get("series") or {}
    told = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return moment(str(told or event.get("firstTimestamp") or ""))


def created(obj: Object) -> float:
    """Return when an object was made, in seconds since 1970; 0 if it does not say."""
    return moment(str(obj["metadata"].get("creationTimestamp") or ""))


def moment(text: str) -> float:
    """Return an API time in seconds since 1970; 0 for none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def quoted(text: str) -> str:
    """Return a stranger's words for an error's line: without wrapping, not too long."""
    shown = _DIGEST.sub(r"\1...", _WRAPPING.sub("", " ".join(text.split())))
    if len(shown) <= _LONGEST:
        return shown
    half = _LONGEST // 2  # the beginning says what, the end why
    return f"{shown[:half]} ... {shown[-half:]}"


def _nanoseconds(event: Object) -> int:
    ending = str(event["metadata"].get("name", "")).rpartition(".")[2]
    return int(ending, 16) if re.fullmatch("[0-9a-f]{1,16}", ending) else 0


def _is_about(obj: Object, about: Object) -> bool:
    if about.get("name") != name_of(obj):
        return False
    mine, its = obj["metadata"].get("uid"), about.get("uid")
    return not mine or not its or mine == its


def _container(event: Object) -> str:
    path = str((event.get("involvedObject") or {}).get("fieldPath") or "")
    return path.partition("{")[2].rstrip("}")
