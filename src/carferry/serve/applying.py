"""Objects tried on the server, and then applied as far as they differ from what is there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from carferry.cluster.kinds import Object
from carferry.errors import ClusterError
from carferry.serve.objects import SERVICES
from carferry.serve.rehearsal import Rehearsed, own, rehearse
from carferry.serve.trial import refusal

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster

logger = logging.getLogger("carferry")


def tried_on(
    cluster: Cluster, objects: list[Object], *, force: bool = False
) -> list[Rehearsed] | None:
    """Return what the server would make of the objects; None if it cannot try them.

    What it says against the pod that would follow is a warning.

    Raises:
        ClusterError: The server would refuse one.
        Unreachable: No answer.
    """
    try:
        found = rehearse(cluster, objects, force=force)
    except ClusterError as error:
        # An admission webhook may not know dry runs.
        if "dry run" not in error.reason:
            raise
        logger.warning("the deployment was not rehearsed: %s", error)
        return None
    if any(each.lines for each in found) and (said := refusal(cluster, objects)):
        logger.warning("the model's pod would be refused now: %s", said)
    return found


def told(tried: list[Rehearsed] | None, report: Callable[[str], None]) -> tuple[str, ...]:
    """Report what would change, and return it, a line for each field."""
    if tried is None:
        return ()
    lines = tuple(line for each in tried for line in each.lines)
    for line in lines or ("nothing to change",):
        report(line)
    return lines


def apply_what_differs(
    cluster: Cluster, objects: list[Object], tried: list[Rehearsed] | None, *, force: bool
) -> Object:
    """Apply what differs, the access objects as owned by the InferenceService; return that."""
    same = {id(obj): each.live for obj, each in zip(objects, tried or (), strict=False)
            if each.is_same}  # fmt: skip
    service: Object = {}
    for number, obj in enumerate(objects):
        live = same.get(id(obj))
        if live is None:
            (live,) = cluster.apply([own(objects, service or None)[number]], force=force)
        if obj["kind"] in SERVICES:
            service = live
    return service
