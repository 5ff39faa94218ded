"""Wait until an LLMInferenceService is Ready; its own conditions say all that is known of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from carferry.cluster.kinds import KINDS, Object
from carferry.errors import CarferryError, ClusterError, DeadlineExceeded

if TYPE_CHECKING:
    from carferry.cluster.client import Clock, Cluster

_POLL_S = 5.0
_NOT_YET = "KServe has not looked at it yet"


def wait_for_llm(
    cluster: Cluster,
    applied: Object,
    *,
    deadline_s: float,
    clock: Clock | None,
    report: Callable[[str], None],
) -> Object:
    """Poll until an LLMInferenceService serves what was applied, and return it.

    Args:
        cluster: Where it is.
        applied: As the server returned it.
        deadline_s: Seconds from now.
        clock: Time; the machine's by default.
        report: Called with each new status line.

    Raises:
        ClusterError: It was deleted, or may not be read.
        DeadlineExceeded: Not ready in time; the reason holds the last status.
    """
    from carferry.cluster.client import SystemClock  # costs 0.3 s, and is there by now

    clock = clock or SystemClock()
    metadata, end, said = applied["metadata"], clock.now() + deadline_s, ""
    subject = f"{metadata['namespace']}/{metadata['name']}"
    while True:
        try:
            service = _read(cluster, applied)
            pods = cluster.api.get(KINDS["Deployment"], metadata["namespace"], _pods_of(service))
            status = status_of(service, pods)
        except CarferryError as error:
            if not error.temporary:
                raise
            service, status = applied, str(error)
        if status != said:
            said = status
            report(said)
        if status == "ready":
            return service
        if clock.now() >= end:
            reason = f"not ready after {deadline_s:.0f} s; last status: {status}"
            raise DeadlineExceeded("wait for", subject, reason, "look again, or wait longer")
        clock.sleep(min(_POLL_S, max(0.0, end - clock.now())))


def status_of(service: Object, deployment: Object | None) -> str:
    """Return ``ready``, or what of a service is not, in the cluster's words.

    The controller writes no observedGeneration: whether a Ready is about this image, only the
    Deployment that it makes says.

    Args:
        service: As read.
        deployment: Of its pods; None if there is none.
    """
    conditions = (service.get("status") or {}).get("conditions") or ()
    lacking = [
        f"{each.get('type')}: {each.get('message') or each.get('reason') or each.get('status')}"
        for each in conditions
        if each.get("status") != "True" and each.get("type") != "Ready"
    ]
    is_ready = any(
        each.get("type") == "Ready" and each.get("status") == "True" for each in conditions
    )
    if not is_ready:
        return "; ".join(sorted(lacking)) or _NOT_YET
    return "ready" if _is_current(service, deployment or {}) else "the new pods are not there yet"


def _is_current(service: Object, deployment: Object) -> bool:
    spec, status = deployment.get("spec") or {}, deployment.get("status") or {}
    image = str(service["spec"]["model"]["uri"]).partition("://")[2]
    counts = {status.get("updatedReplicas"), status.get("availableReplicas"), spec.get("replicas")}
    seen = status.get("observedGeneration") == deployment.get("metadata", {}).get("generation")
    return bool(seen and len(counts) == 1 and image in json.dumps(spec.get("template")))


def _pods_of(service: Object) -> str:
    return f"{service['metadata']['name']}-kserve"


def _read(cluster: Cluster, applied: Object) -> Object:
    metadata = applied["metadata"]
    kind = replace(KINDS["LLMInferenceService"], version=applied["apiVersion"].rpartition("/")[2])
    found = cluster.api.get(kind, metadata["namespace"], metadata["name"])
    if found is None:
        subject = f"{metadata['namespace']}/{metadata['name']}"
        raise ClusterError("wait for", subject, "it was deleted", "apply it again")
    return found
