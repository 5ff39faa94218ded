"""The step: settings in, a served model (or the YAML to serve it) out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from carferry.cluster.kinds import Object, ResourceKind
from carferry.errors import DeadlineExceeded, DeploymentFailed, InputError
from carferry.serve.addresses import endpoint, has_route
from carferry.serve.applying import apply_what_differs, told, tried_on
from carferry.serve.deadline import deadline_s
from carferry.serve.deployed import Deployed
from carferry.serve.prepare import Prepared, prepare, rendered
from carferry.serve.render import render
from carferry.serve.rollback import Before, before, remember, roll_back
from carferry.serve.settings import Deployment

if TYPE_CHECKING:
    from carferry.cluster.client import Clock, Cluster

logger = logging.getLogger("carferry")


def deploy(
    settings: Deployment,
    cluster: Cluster | None,
    *,
    wait_s: float | None = None,
    force: bool = False,
    dry_run: bool = False,
    rollback: bool = False,
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
        rollback: If it does not come up, apply again what served before.
        clock: Time; the machine's by default.
        report: Called with each change, and each new status line.

    Raises:
        ClusterError: The API refused; DeploymentFailed if the model will not come up.
        DeadlineExceeded: Not ready in time.
        Unreachable: The cluster does not answer.
        InputError: ``wait_s`` is negative, or a cluster is given and no namespace.
    """
    _check(settings, cluster, wait_s)
    made = rendered(settings) if cluster is None else prepare(cluster.api, settings)
    for note in made.notes:
        report(note)
    if cluster is None:
        return _result(made)
    tried = tried_on(cluster, made.objects, force=force)
    lines = told(tried, report)
    if dry_run:
        return _result(made, changes=lines)
    waits = wait_s != 0 and not settings.stopped
    last = before(cluster, settings, made.objects) if rollback and waits else None
    service = apply_what_differs(cluster, made.objects, tried, force=force)
    if waits:
        kind = ResourceKind.of(service)
        wait = partial(_wait, cluster, settings, kind, wait_s, clock, report)
        service = _served(cluster, wait, last)
        remember(cluster, made.objects, settings.uri)
    url = address(made, cluster, service, report)
    return _result(made, url, is_ready=waits, is_applied=True, changes=lines)


def address(
    made: Prepared, cluster: Cluster, service: Object, report: Callable[[str], None]
) -> str:
    """Return where a service answers; reports it if what was asked for outside serves nothing."""
    if made.deployment.stopped or not service:
        return ""
    routed = has_route(cluster.api, made.deployment, made.platform)
    if made.deployment.external_route and not routed and service.get("status"):
        report("KServe has made no route that this login can see: it answers inside the cluster")
    return endpoint(service, exposed=routed)


def _check(settings: Deployment, cluster: Cluster | None, wait_s: float | None) -> None:
    if cluster is not None and not settings.namespace:
        raise InputError("deploy", settings.name, "no namespace given", "pass --namespace")
    if wait_s is not None and wait_s < 0:
        raise InputError("deploy", settings.name, f"cannot wait {wait_s} s", "0 does not wait")


def _wait(
    cluster: Cluster,
    settings: Deployment,
    kind: ResourceKind,
    wait_s: float | None,
    clock: Clock | None,
    report: Callable[[str], None],
) -> Object:
    limit = deadline_s(settings.model_size_bytes) if wait_s is None else wait_s
    return cluster.wait(
        settings.name, settings.namespace, deadline_s=limit, kind=kind,
        is_fixed=wait_s is not None, size_bytes=settings.model_size_bytes,
        planned=settings.gpu_plan, clock=clock, report=report,
    )  # fmt: skip


def _served(cluster: Cluster, wait: Callable[[], Object], last: Before | None) -> Object:
    try:
        return wait()
    except (DeploymentFailed, DeadlineExceeded) as error:
        if last:
            roll_back(last.image, error, partial(_again, cluster, last), wait)
        raise


def _again(cluster: Cluster, last: Before) -> None:
    apply_what_differs(cluster, last.objects(), None, force=True)


def _result(
    made: Prepared,
    url: str = "",
    *,
    is_ready: bool = False,
    is_applied: bool = False,
    changes: Sequence[str] = (),
) -> Deployed:
    settings = made.deployment
    return Deployed(
        name=settings.name,
        namespace=settings.namespace,
        url=url,
        ready=is_ready,
        applied=is_applied,
        image=settings.uri,
        manifest=render(made.shown),
        changes=tuple(changes),
    )
