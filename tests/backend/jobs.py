"""The cluster's Job controller and the node under it: each new Job's container runs once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from servers.kube import KubeServer

from backend import container
from backend.container import Ended
from backend.kubelet import empty
from backend.rootfs import Rootfs, Site

Object = Mapping[str, Any]
_EVERY_S = 0.05
# What CRI-O leaves to a container that drops nothing.
_DEFAULT = ("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETPCAP", "KILL")


def follow_jobs(
    kube: KubeServer, claims: Mapping[str, Path], folder: Path, stop: threading.Event
) -> None:
    """Run the Jobs that the API server is given, until stopped.

    Args:
        kube: The API server; it gets each Job's pod, log and end.
        claims: Name to folder.
        folder: For the pods' other volumes.
        stop: Set by who started this.
    """
    seen: set[str] = set()
    while not stop.wait(_EVERY_S):
        for (plural, _, name), job in list(kube.store.objects.items()):
            if plural == "jobs" and name not in seen:
                seen.add(name)
                pod = job["spec"]["template"]["spec"]
                _report(kube, name, _run(name, pod, claims, folder / "jobs" / name))


def _run(name: str, pod: Object, claims: Mapping[str, Path], place: Path) -> Ended:
    """Run a pod that is root with capabilities; one with users of its own only a cluster can."""
    if not pod.get("hostUsers", True):
        return Ended(1, "no user namespaces here; settings: builder_security=setfcap")
    (spec,) = pod["containers"]
    sources = {
        v["name"]: v.get("persistentVolumeClaim", {}).get("claimName") for v in pod["volumes"]
    }
    given = {name: claims[claim] for name, claim in sources.items() if claim}
    given |= {name: empty(place / name) for name, claim in sources.items() if not claim}
    return container.run(
        _buildah_image(place / "root"),
        name,
        spec["command"],
        env={each["name"]: each["value"] for each in spec["env"]},
        writable={each["mountPath"]: given[each["name"]] for each in spec["volumeMounts"]},
        readable={},
        confined=_confined(spec["securityContext"]["capabilities"]),
        network="none",
    )


def _volume(volume: Object, claims: Mapping[str, Path], place: Path) -> Path:
    if "persistentVolumeClaim" in volume:
        return claims[volume["persistentVolumeClaim"]["claimName"]]
    return empty(place / volume["name"])


def _confined(capabilities: Object) -> list[str]:
    added = [*_DEFAULT, *capabilities.get("add", ())]
    unconfined = ["--user", "0:0", "--cap-drop", "ALL", "--security-opt", "seccomp=unconfined"]
    return [*unconfined, *(word for name in added for word in ("--cap-add", name))]


def _buildah_image(folder: Path) -> Rootfs:
    """Stand in for quay.io/buildah/stable: this machine's Buildah and its settings."""
    Site.make(folder)
    binds = {"/usr": "/usr", "/etc/containers": "/etc/containers"}
    return Rootfs(("--rootfs", str(folder)), binds, {"PATH": "/usr/bin:/bin:/usr/sbin"})


def _report(kube: KubeServer, name: str, ended: Ended) -> None:
    """Write what the controllers would have written when the pod is over."""
    kube.logs[name, "buildah", False] = ended.said
    state = {"terminated": {"exitCode": ended.code, "reason": "Error"}}
    metadata = {"name": name, "labels": {"job-name": name}}
    status: Object = {"containerStatuses": [{"name": "buildah", "state": state}]}
    kube.store.put({"kind": "Pod", "metadata": metadata, "spec": {}, "status": status})
    condition = {"type": "Failed" if ended.code else "Complete", "status": "True"}
    status = {"conditions": [condition]}
    kube.store.put({"kind": "Job", "metadata": {"name": name}, "status": status})
