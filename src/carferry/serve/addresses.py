"""Where a service answers, as its status says it.

Source: kserve/kserve v0.20 (ingress reconcilers): ``status.url`` is the host of a route, written
also where nothing serves that host; ``status.address.url`` is the Service inside the cluster, with
its port where it is headless.
"""

from __future__ import annotations

from carferry.cluster.discovery import Reads, readable
from carferry.cluster.kinds import ROUTES, Object
from carferry.serve.platforms import Platform
from carferry.serve.settings import Deployment, Kind, Mode


def endpoint(service: Object, *, exposed: bool = True) -> str:
    """Return where a service answers: outside if a route was asked for, else inside.

    Args:
        service: As the API server returned it; of either kind.
        exposed: It was asked to be reachable from outside.
    """
    status = service.get("status") or {}
    outside, inside = str(status.get("url") or ""), _inside(status)
    if exposed and outside and ".svc" not in outside:
        return outside
    return inside or outside


def _inside(status: Object) -> str:
    found = [status.get("address") or {}, *(status.get("addresses") or ())]
    return next((str(each["url"]) for each in found if each.get("url")), "")


def has_route(api: Reads, deployment: Deployment, platform: Platform) -> bool:
    """Say whether something serves the host outside that a service's status names.

    OpenShift AI and Knative name the host of a route that is there, and so does the gateway of an
    LLMInferenceService. KServe's Standard mode names one in any case; there its routes are looked
    for, and what may not be read is taken for absent.

    Raises:
        ClusterError: The server failed in another way than refusing.
        Unreachable: No answer.
    """
    if not deployment.external_route:
        return False
    is_standard = deployment.kind is Kind.ISVC and deployment.deployment_mode is Mode.STANDARD
    if platform.dashboard or not is_standard:
        return True
    paths = (each.path(deployment.namespace, deployment.name) for each in ROUTES)
    return any(readable(api, path) for path in paths)
