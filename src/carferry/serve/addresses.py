"""Where a service answers, as its status says it.

Source: kserve/kserve v0.20 (ingress reconcilers): ``status.url`` is the host of a route, written
also where nothing serves that host; ``status.address.url`` is the Service inside the cluster, with
its port where it is headless.
"""

from __future__ import annotations

from carferry.cluster.kinds import Object


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
