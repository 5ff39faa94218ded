"""The step: settings in, a served model (or the YAML to serve it) out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from carferry.cluster.kinds import Object
from carferry.errors import DeadlineExceeded, DeploymentFailed, InputError
from carferry.serve.access import owned_by
from carferry.serve.objects import deadline_s, make_objects
from carferry.serve.render import render
from carferry.serve.rollback import Before, before, remember, roll_back
from carferry.serve.settings import Deployment

if TYPE_CHECKING:
    from carferry.cluster.client import Clock, Cluster

logger = logging.getLogger("carferry")

_OWNED_FROM = 3  # after Secret, ServingRuntime and InferenceService come the access objects


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment, applied or only rendered.

    Attributes:
        name: Of the InferenceService.
        namespace: Its project; empty if its applier decides.
        url: Where the model answers; empty until KServe says.
        ready: It serves; False without a wait, or if nothing was applied.
        applied: The objects are in the cluster.
        image: ``oci://host/repository@sha256:...`` that is served.
        manifest: The objects as YAML.
    """

    name: str
    namespace: str
    url: str
    ready: bool
    applied: bool
    image: str
    manifest: str

    @property
    def markdown(self) -> str:
        """What was deployed, where it answers, and the objects."""
        state = "ready" if self.ready else "applied" if self.applied else "rendered only"
        facts = [f"{self.namespace or 'any project'}: {state}", *([self.url] if self.url else [])]
        lines = "".join(f"- {fact}\n" for fact in facts)
        return f"# {self.name}\n\n{lines}\n```yaml\n{self.manifest}```\n"

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)

    def _repr_markdown_(self) -> str:
        return self.markdown


def deploy(
    settings: Deployment,
    cluster: Cluster | None,
    *,
    wait_s: float | None = None,
    force: bool = False,
    rollback: bool = False,
    clock: Clock | None = None,
    report: Callable[[str], None] = logger.info,
) -> Deployed:
    """Apply the objects of a deployment and wait until the model serves.

    Args:
        settings: What to deploy.
        cluster: Where; None only renders.
        wait_s: Seconds to wait; 0 does not wait; None takes what the image's size asks for.
        force: Take over fields that somebody else set; see ``Cluster.apply``.
        rollback: If it does not come up, apply again what served before.
        clock: Time; the machine's by default.
        report: Called with each new status line.

    Raises:
        ClusterError: The API refused; DeploymentFailed if the model will not come up.
        DeadlineExceeded: Not ready in time.
        Unreachable: The cluster does not answer.
        InputError: ``wait_s`` is negative, or a cluster is given and no namespace.
    """
    if cluster is not None and not settings.namespace:
        raise InputError("deploy", settings.name, "no namespace given", "pass --namespace")
    if wait_s is not None and wait_s < 0:
        raise InputError("deploy", settings.name, f"cannot wait {wait_s} s", "0 does not wait")
    objects = make_objects(settings)
    service: Object = {}
    if cluster is not None:
        last = before(cluster, settings) if rollback and wait_s != 0 else None
        service = _apply(cluster, objects, force=force)
        if wait_s != 0:
            wait = partial(_wait, cluster, settings, wait_s, clock, report)
            service = _served(cluster, wait, last)
            remember(cluster, settings)
    return Deployed(
        name=settings.name,
        namespace=settings.namespace,
        url=endpoint(service),
        ready=cluster is not None and wait_s != 0,
        applied=cluster is not None,
        image=settings.uri,
        manifest=render(objects),
    )


def _wait(
    cluster: Cluster,
    settings: Deployment,
    wait_s: float | None,
    clock: Clock | None,
    report: Callable[[str], None],
) -> Object:
    limit = deadline_s(settings.model_size_bytes) if wait_s is None else wait_s
    return cluster.wait(
        settings.name, settings.namespace, deadline_s=limit, is_fixed=wait_s is not None,
        size_bytes=settings.model_size_bytes, clock=clock, report=report,
    )  # fmt: skip


def _served(cluster: Cluster, wait: Callable[[], Object], last: Before | None) -> Object:
    try:
        return wait()
    except (DeploymentFailed, DeadlineExceeded) as error:
        if last:
            roll_back(cluster, last, error, wait)
        raise


def endpoint(service: Object) -> str:
    """Return where an InferenceService answers: outside if it has a route, else inside.

    Inside, ``status.address.url`` is the one with the port: OpenShift AI's services are
    headless, and ``status.url`` lacks it.
    """
    status = service.get("status") or {}
    outside = str(status.get("url") or "")
    inside = str((status.get("address") or {}).get("url") or "")
    return inside if inside and ".svc.cluster.local" in outside else outside or inside


def _apply(cluster: Cluster, objects: list[Object], *, force: bool) -> Object:
    """Apply everything, the access objects as owned by the InferenceService; return that."""
    service = cluster.apply(objects[:_OWNED_FROM], force=force)[-1]
    cluster.apply([owned_by(each, service) for each in objects[_OWNED_FROM:]], force=force)
    return service
