"""The pod that makes a kubelet pull an image, and what the kubelet says of it.

The pod is bound to its node by name: no scheduler has to agree, and no GPU is asked for. It runs
the image's own ``true``; an image without a shell fails at that, after it was pulled.

Source: kubelet, pkg/kubelet/images/image_manager.go (events Pulled, Failed; waiting reasons) and
kuberuntime_container.go (an image is pulled before its container is made).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from carferry.cluster.kinds import Object

LABEL = "carferry/warm"
_ACTIVE_S = 4 * 3600
# A node with GPUs may have given away all of its CPU: its kubelet then admits what asks for none.
_NOTHING = {"cpu": "0", "memory": "0"}
_LITTLE = {"cpu": "100m", "memory": "32Mi"}
_NOT_PULLED = (
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
    "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed",
)  # fmt: skip
_PULLED_AFTER = ("CreateContainerError", "CreateContainerConfigError", "RunContainerError")
# What no second try mends, as containerd, CRI-O and registries write it.
_FINAL = re.compile(
    r"(?i)not found|manifest unknown|unauthorized|denied|forbidden|no such host|invalid reference"
    r"|no match for platform|server gave HTTP response|certificate|name unknown|no space left"
)
_TOOK = re.compile(r"^Successfully pulled image .{0,1000}? in ([0-9hms\u00b5un.]+) ")
_SIZE = re.compile(r"Image size: ([0-9]{1,18}) bytes")
_PART = re.compile(r"([0-9.]+)(h|ms|us|\u00b5s|ns|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of one pull.

    Attributes:
        state: ``waiting``, ``pulled``, ``there`` (it was), ``failing`` or ``failed``.
        reason: The kubelet's words if it fails, else what is going on.
        seconds: The kubelet's own time; None if it does not say.
        size_bytes: Of the image; 0 if it does not say.
    """

    state: str
    reason: str = ""
    seconds: float | None = None
    size_bytes: int = 0


def pod(image: str, node: str, namespace: str, pull_secret: str = "") -> Object:
    """Make the pod for one image on one node; equal arguments give equal names."""
    about = hashlib.sha256(f"{image} {node}".encode()).hexdigest()[:12]
    container: Object = {
        "name": "warm",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "true"],
        "resources": {"requests": dict(_NOTHING), "limits": dict(_LITTLE)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    spec: Object = {
        "nodeName": node,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": _ACTIVE_S,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # The node was chosen by what the deployment tolerates.
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
    }
    if pull_secret:
        spec["imagePullSecrets"] = [{"name": pull_secret}]
    labels = {"app.kubernetes.io/part-of": "carferry", LABEL: "true"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"carferry-warm-{about}", "namespace": namespace, "labels": labels},
        "spec": spec,
    }


def sight(found: Object, events: Iterable[Object]) -> Sight:
    """Return what a pod and its events say of the pull."""
    said = [*events]
    for event in said:
        if event.get("reason") == "Pulled":
            return _of_event(str(event.get("message") or ""))
    status = found.get("status") or {}
    statuses = status.get("containerStatuses") or []
    state = (statuses[0].get("state") or {}) if statuses else {}
    waiting = state.get("waiting") or {}
    reason = waiting.get("reason") or ""
    if state.get("running") or state.get("terminated") or reason in _PULLED_AFTER:
        return Sight("pulled")
    if reason in _NOT_PULLED:
        words = f"{reason}: {_words(waiting, said)}"
        return Sight("failed" if _FINAL.search(words) else "failing", words)
    if status.get("phase") == "Failed":
        return Sight("failed", f"{status.get('reason', 'Failed')}: {status.get('message', '')}")
    return Sight("waiting", "pulling" if _is_pulling(said) else "waiting for its kubelet")


def seconds_of(duration: str) -> float:
    """Return the seconds of a duration as Go writes it: ``1m2.5s``, ``340ms``."""
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(duration))


def _of_event(message: str) -> Sight:
    took, size = _TOOK.search(message), _SIZE.search(message)
    if took is None:
        return Sight("there")
    return Sight("pulled", "", seconds_of(took[1]), int(size[1]) if size else 0)


def _words(waiting: Object, events: list[Object]) -> str:
    """Return the longest of what the kubelet said; a back-off's own message leaves out why."""
    failed = [str(e.get("message") or "") for e in events if e.get("reason") == "Failed"]
    texts = [str(waiting.get("message") or "no message"), *failed]
    return max(texts, key=lambda text: (bool(_FINAL.search(text)), len(text)))


def _is_pulling(events: list[Object]) -> bool:
    return any(event.get("reason") == "Pulling" for event in events)
