"""What all objects of a deployment bear alike: name, project, labels, titles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carferry.serve.platforms import Platform
from carferry.serve.settings import Deployment
from carferry.shown import one_line, redact

_LONGEST_PLAN = 1000  # characters; all annotations of an object have 256 KiB together
DASHBOARD = {"opendatahub.io/dashboard": "true"}


def metadata(
    deployment: Deployment,
    platform: Platform,
    name: str,
    annotations: Mapping[str, str],
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return an object's metadata: the platform's labels, then the user's; no empty annotation."""
    shown = {**(labels or {}), **dict(deployment.labels)}
    if platform.dashboard:
        shown |= DASHBOARD
    made: dict[str, Any] = {"name": name, **placed(deployment.namespace)}
    if shown:
        made["labels"] = dict(sorted(shown.items()))
    if written := {key: text for key, text in annotations.items() if text}:
        made["annotations"] = dict(sorted(written.items()))
    return made


def placed(namespace: str) -> dict[str, str]:
    """Return the part of an object that says where it is; nothing if its applier decides."""
    return {"namespace": namespace} if namespace else {}


def title(deployment: Deployment) -> dict[str, str]:
    """Return the annotation that holds the name people see."""
    return {"openshift.io/display-name": deployment.title}


def plan_note(deployment: Deployment) -> dict[str, str]:
    """Return the annotation that keeps what the GPU plan said, and what to doubt of it.

    Not for a service whose annotations KServe hands on to pods: a new word would start them anew.
    """
    return {"carferry/gpu-plan": redact(one_line(deployment.gpu_plan[:_LONGEST_PLAN]))}


def scheduling(deployment: Deployment) -> dict[str, Any]:
    """Return the parts of a pod that say where it may run and how its images are pulled."""
    made: dict[str, Any] = {}
    if deployment.node_selector:
        made["nodeSelector"] = dict(deployment.node_selector)
    if deployment.tolerations:
        made["tolerations"] = [each.object for each in deployment.tolerations]
    if deployment.pull_secret:
        made["imagePullSecrets"] = [{"name": deployment.pull_secret}]
    return made


def amounts(deployment: Deployment) -> dict[str, dict[str, str]]:
    """Return what the server asks for, requested and limited alike."""
    wanted = {"cpu": str(deployment.cpu), "memory": str(deployment.memory)}
    if deployment.gpu_count:
        wanted[deployment.gpu_resource] = str(deployment.gpu_count)
    return {"requests": dict(wanted), "limits": dict(wanted)}


def profile(deployment: Deployment, platform: Platform, on: str, version: str) -> dict[str, str]:
    """Return the annotations that name a hardware profile, if this object is the one to.

    Args:
        deployment: Names the profile, if it has one.
        platform: Says which object names it.
        on: Kind of this object.
        version: Of the profile, as the cluster has it; empty: unknown.
    """
    ref = deployment.hardware_profile
    if ref is None or on not in (platform.profile_on, "LLMInferenceService"):
        return {}
    return {
        "opendatahub.io/hardware-profile-name": ref.name,
        # Left out, the webhook looks in the project of the InferenceService.
        "opendatahub.io/hardware-profile-namespace": ref.namespace,
        "opendatahub.io/hardware-profile-resource-version": version,
    }


def security_context(platform: Platform) -> dict[str, Any]:
    """Return what the level ``restricted`` of Pod Security asks of a container.

    Source: Kubernetes documentation, Pod Security Standards.
    """
    made: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return made if platform.uid is None else made | {"runAsUser": platform.uid}
