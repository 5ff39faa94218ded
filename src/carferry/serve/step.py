"""The step: settings in, a served model (or the YAML to serve it) out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from carferry.cluster.kinds import Object, ResourceKind
from carferry.errors import DeadlineExceeded, DeploymentFailed, EndpointFailed, InputError
from carferry.io.net.retry import Retry
from carferry.serve.addresses import endpoint, has_route
from carferry.serve.applying import Tried, apply_what_differs, try_all
from carferry.serve.deadline import deadline_s
from carferry.serve.deployed import Deployed
from carferry.serve.interrupted import saying_what_stays
from carferry.serve.notes import note
from carferry.serve.prepare import Prepared, prepare, rendered
from carferry.serve.render import render
from carferry.serve.rollback import before, roll_back
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
    question: Callable[[Deployed], str] | None = None,
    asked: str = "",
    retry: Retry | None = None,
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
        question: Asks what is ready, and returns the answer in a line; what does not answer has not
            come up.
        asked: Id of all that was asked for; written down once it serves.
        retry: How often what is away for the moment is asked again; by default once. The wait bears
            with it anyway.
        clock: Time; the machine's by default.
        report: Called with each change, and each new status line.

    Raises:
        ClusterError: The API refused; DeploymentFailed if the model will not come up.
        DeadlineExceeded: Not ready in time.
        EndpointFailed: It is ready, and does not answer as a model does.
        Unreachable: The cluster does not answer.
        InputError: ``wait_s`` is negative, or a cluster is given and no namespace.
    """
    _check(settings, cluster, wait_s)
    if cluster is None:
        return _result(rendered(settings))
    waits = wait_s != 0 and not settings.stopped
    steady = partial((retry or Retry(attempts=1)).call, first=lambda: True)
    tried = steady(partial(_tried, cluster, settings, force=force))
    for line in tried.said:
        report(line)
    made, rehearsed = tried.made, tried.rehearsed
    if dry_run:
        return _result(made, changes=tried.lines)
    last = steady(partial(before, cluster, settings, made.objects)) if rollback and waits else None
    wait = partial(_wait, cluster, settings, tried.replaced, wait_s, clock, report)
    live = _result(made, is_ready=waits, is_applied=True, changes=tried.lines)
    with saying_what_stays(settings, made.objects):
        service = steady(partial(apply_what_differs, cluster, made.objects, rehearsed, force=force))
        try:
            service = wait(service) if waits else service
            live = replace(live, url=address(made, cluster, service, report))
            if waits and question:
                live = replace(live, answer=question(live))
        except (DeploymentFailed, DeadlineExceeded, EndpointFailed) as error:
            if last:
                roll_back(last, error, partial(apply_what_differs, cluster, force=True), wait)
            raise
        if waits:
            note(cluster, made.objects, last_good=settings.uri, asked=asked)
    return live


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


def _tried(cluster: Cluster, settings: Deployment, *, force: bool) -> Tried:
    return try_all(cluster, prepare(cluster.api, settings), force=force)


def _wait(
    cluster: Cluster,
    settings: Deployment,
    replaced: int | None,
    wait_s: float | None,
    clock: Clock | None,
    report: Callable[[str], None],
    service: Object,
) -> Object:
    limit = deadline_s(settings.model_size_bytes) if wait_s is None else wait_s
    return cluster.wait(
        settings.name, settings.namespace, deadline_s=limit, kind=ResourceKind.of(service),
        is_fixed=wait_s is not None, size_bytes=settings.model_size_bytes,
        planned=settings.gpu_plan, replaced=replaced, clock=clock, report=report,
    )  # fmt: skip


def _result(
    made: Prepared,
    *,
    is_ready: bool = False,
    is_applied: bool = False,
    changes: Sequence[str] = (),
) -> Deployed:
    settings = made.deployment
    return Deployed(
        name=settings.name,
        namespace=settings.namespace,
        url="",
        ready=is_ready,
        applied=is_applied,
        image=settings.uri,
        manifest=render(made.shown),
        changes=tuple(changes),
    )
