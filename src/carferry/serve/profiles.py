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
from carferry.form.readers import read_labels, read_tolerations
from carferry.serve.settings import Deployment

_NEW = PROFILES[0]
_VERSIONS = ("v1", "v1alpha1")
"""Of 3.x, and of 2.23 to 2.25."""


def profile_version(api: Reads, deployment: Deployment) -> str:
    """Return the resourceVersion of a deployment's hardware profile; empty if it is not seen."""
    return str((_profile(api, deployment, _NEW).get("metadata") or {}).get("resourceVersion") or "")


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
