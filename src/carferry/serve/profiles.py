"""Hardware profiles as a deployment uses them: their version, and where they lead.

Source: opendatahub-io/odh-dashboard (HardwareProfile: dashboard.opendatahub.io/v1alpha1 up to
OpenShift AI 2.25, infrastructure.opendatahub.io/v1 in 3.x).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from carferry.cluster.discovery import Reads, readable
from carferry.form.readers import read_labels, read_tolerations
from carferry.serve.settings import Deployment

_NEW = "infrastructure.opendatahub.io/v1"
_OLD = "dashboard.opendatahub.io/v1alpha1"


def profile_version(api: Reads, deployment: Deployment) -> str:
    """Return the resourceVersion of a deployment's hardware profile; empty if it is not seen."""
    return str((_profile(api, deployment, _NEW).get("metadata") or {}).get("resourceVersion") or "")


def placed_by_profile(api: Reads, deployment: Deployment) -> Deployment:
    """Return a deployment with its profile's tolerations and nodes, where it says none itself.

    OpenShift AI up to 2.22 writes them into the service; from 2.23 on admission adds them.
    """
    spec = _profile(api, deployment, _OLD).get("spec") or {}
    tolerations = read_tolerations("tolerations", spec.get("tolerations")) or ()
    selector = read_labels("node_selector", spec.get("nodeSelector"))
    return replace(
        deployment,
        tolerations=deployment.tolerations or tolerations,
        node_selector=deployment.node_selector or selector,
    )


def _profile(api: Reads, deployment: Deployment, served: str) -> dict[str, Any]:
    ref = deployment.hardware_profile
    if ref is None:
        return {}
    place = ref.namespace or deployment.namespace
    return readable(api, f"/apis/{served}/namespaces/{place}/hardwareprofiles/{ref.name}") or {}
