"""Hardware profiles as a deployment uses them: their version, and where they lead.

Source: opendatahub-io/odh-dashboard (HardwareProfile: dashboard.opendatahub.io/v1alpha1 up to
OpenShift AI 2.25, infrastructure.opendatahub.io/v1 in 3.x).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from carferry.cluster.discovery import Reads, readable
from carferry.cluster.kinds import OLD_PROFILES, PROFILES, ResourceKind
from carferry.errors import InputError
from carferry.form.readers import read_labels, read_tolerations
from carferry.serve.settings import Deployment
from carferry.shown import printable

_NEW = PROFILES[0]
_VERSIONS = ("v1", "v1alpha1")
"""Of 3.x, and of 2.23 to 2.25."""


def profile_version(api: Reads, deployment: Deployment) -> str:
    """Return the resourceVersion of a deployment's hardware profile; empty if it is not seen."""
    return str((_profile(api, deployment, _NEW).get("metadata") or {}).get("resourceVersion") or "")


def check_accelerator(api: Reads, deployment: Deployment) -> None:
    """Refuse GPUs that a deployment's hardware profile is not about; one unseen says nothing.

    The profile leads to its nodes, and the resource to others: such a pod stays Pending.

    Raises:
        InputError: Names both resources.
    """
    profile = deployment.hardware_profile
    wanted = deployment.gpu_resource if deployment.gpu_count else ""
    named = _accelerators(api, deployment) if profile else []
    if profile is None or not named or wanted in named:
        return
    known = " and ".join(map(printable, named))
    reason = f"it is about {known}, and the deployment asks for {wanted or 'no GPU'}"
    remedy = f"set gpu_resource to {printable(named[0])}, or name another profile"
    if not wanted:
        remedy = "set gpu_count, or name a profile without a GPU"
    raise InputError("use hardware profile", profile.name, reason, remedy)


def _accelerators(api: Reads, deployment: Deployment) -> list[str]:
    """Return the resources of a profile's accelerators, whatever release wrote it."""
    kinds = (*(replace(_NEW, version=each) for each in _VERSIONS), OLD_PROFILES)
    for kind in kinds:
        spec = _profile(api, deployment, kind).get("spec") or {}
        if found := [str(each.get("identifier") or "") for each in spec.get("identifiers") or ()]:
            return [each for each in found if "/" in each]
    return []


def placed_by_profile(api: Reads, deployment: Deployment) -> Deployment:
    """Return a deployment with its profile's tolerations and nodes, where it says none itself.

    OpenShift AI up to 2.22 writes them into the service; from 2.23 on admission adds them.
    """
    return _placed(deployment, _profile(api, deployment, OLD_PROFILES).get("spec") or {})


def scheduled_by_profile(api: Reads, deployment: Deployment) -> Deployment:
    """Return a deployment as admission will place it from OpenShift AI 2.23 on."""
    for version in _VERSIONS:
        found = _profile(api, deployment, replace(_NEW, version=version))
        scheduling = (found.get("spec") or {}).get("scheduling") or {}
        if node := scheduling.get("node"):
            return _placed(deployment, node)
    return deployment


def _placed(deployment: Deployment, place: Mapping[str, Any]) -> Deployment:
    tolerations = read_tolerations("tolerations", place.get("tolerations")) or ()
    selector = read_labels("node_selector", place.get("nodeSelector"))
    return replace(
        deployment,
        tolerations=deployment.tolerations or tolerations,
        node_selector=deployment.node_selector or selector,
    )


def _profile(api: Reads, deployment: Deployment, kind: ResourceKind) -> dict[str, Any]:
    ref = deployment.hardware_profile
    if ref is None:
        return {}
    place = ref.namespace or deployment.namespace
    return readable(api, kind.path(place, ref.name)) or {}
