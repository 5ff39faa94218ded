"""The step: settings in, a served model (or the YAML to serve it) out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from carferry.cluster.kinds import Object
from carferry.errors import InputError
from carferry.serve.addresses import endpoint, has_route
from carferry.serve.applying import apply_what_differs, told, tried_on
from carferry.serve.deadline import deadline_s
from carferry.serve.llm_wait import wait_for_llm
from carferry.serve.prepare import Prepared, prepare, rendered
from carferry.serve.render import render
from carferry.serve.settings import Deployment, Kind

if TYPE_CHECKING:
    from carferry.cluster.client import Clock, Cluster

logger = logging.getLogger("carferry")


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
        changes: What was changed in the cluster, or would be, a line each.
        answer: What it answered when it was asked once; empty: it was not asked.
    """

    name: str
    namespace: str
    url: str
    ready: bool
    applied: bool
    image: str
    manifest: str
    changes: tuple[str, ...] = ()
    answer: str = ""

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
    dry_run: bool = False,
    clock: Clock | None = None,
    report: Callable[[str], None] = logger.info,
) -> Deployed:
    """Try a deployment on the server, apply what differs, and wait until the model serves.

    Args:
        settings: What to deploy.
        cluster: Where; None only renders.
        wait_s: Seconds to wait; 0 does not wait; None takes what the image's size asks for.
        force: Take over fields that somebody else set; see ``Cluster.apply``.
        dry_run: Say what would change, and end there.
        clock: Time; the machine's by default.
        report: Called with each change, and each new status line.

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
    made = rendered(settings) if cluster is None else prepare(cluster.api, settings)
    for note in made.notes:
        report(note)
    waits = cluster is not None and wait_s != 0 and not (settings.stopped or dry_run)
    service: Object = {}
    lines: tuple[str, ...] = ()
    if cluster is not None:
        tried = tried_on(cluster, made.objects, force=force)
        lines = told(tried, report)
        if not dry_run:
            service = apply_what_differs(cluster, made.objects, tried, force=force)
        if waits:
            limit = deadline_s(settings.model_size_bytes) if wait_s is None else wait_s
            service = _wait(settings, cluster, service, limit, clock, report)
    return Deployed(
        name=settings.name,
        namespace=settings.namespace,
        url=address(made, cluster, service, report),
        ready=waits,
        applied=cluster is not None and not dry_run,
        image=settings.uri,
        manifest=render(made.shown),
        changes=lines,
    )


def address(
    made: Prepared, cluster: Cluster | None, service: Object, report: Callable[[str], None]
) -> str:
    """Return where a service answers; reports it if what was asked for outside serves nothing."""
    if cluster is None or made.deployment.stopped or not service:
        return ""
    routed = has_route(cluster.api, made.deployment, made.platform)
    if made.deployment.external_route and not routed and service.get("status"):
        report("KServe has made no route that this login can see: it answers inside the cluster")
    return endpoint(service, exposed=routed)


def _wait(
    settings: Deployment,
    cluster: Cluster,
    service: Object,
    limit_s: float,
    clock: Clock | None,
    report: Callable[[str], None],
) -> Object:
    if settings.kind is Kind.ISVC:
        name, place = settings.name, settings.namespace
        return cluster.wait(name, place, deadline_s=limit_s, clock=clock, report=report)
    return wait_for_llm(cluster, service, deadline_s=limit_s, clock=clock, report=report)
