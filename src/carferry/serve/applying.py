"""Objects tried on the server, and then applied as far as they differ from what is there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carferry.cluster.kinds import KINDS, Object, ResourceKind
from carferry.cluster.kserve import made_of
from carferry.cluster.watch.look import generation
from carferry.errors import ClusterError
from carferry.serve.objects import SERVICES
from carferry.serve.prepare import Prepared
from carferry.serve.rehearsal import Rehearsed, own, rehearse
from carferry.serve.trial import refusal

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster

logger = logging.getLogger("carferry")


@dataclass(frozen=True, slots=True)
class Tried:
    """A deployment that the server has checked.

    Attributes:
        made: The objects.
        rehearsed: What it would make of each; None if it cannot try them.
        replaced: Generation of the Deployment that stands, 0 for none; None: nothing would change.
    """

    made: Prepared
    rehearsed: list[Rehearsed] | None
    replaced: int | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """What would change, a line for each field."""
        return tuple(line for each in self.rehearsed or () for line in each.lines)

    @property
    def said(self) -> tuple[str, ...]:
        """The same in words that are never none, after what differs from what was wanted."""
        same = () if self.rehearsed is None else ("nothing to change",)
        return (*self.made.notes, *(self.lines or same))


def try_all(cluster: Cluster, made: Prepared, *, force: bool = False) -> Tried:
    """Let the server check a deployment, and see what stands there.

    Raises:
        ClusterError: The server would refuse one object, or the Deployment may not be read.
        Unreachable: No answer.
    """
    found = tried_on(cluster, made.objects, force=force)
    if found is not None and all(each.is_same for each in found):
        return Tried(made, found)
    service = next(each for each in made.objects if each["kind"] in SERVICES)
    name, place = service["metadata"]["name"], made.deployment.namespace
    deployment = made_of(ResourceKind.of(service), name).deployment
    return Tried(made, found, generation(cluster.api.get(KINDS["Deployment"], place, deployment)))


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


def apply_what_differs(
    cluster: Cluster,
    objects: list[Object],
    tried: list[Rehearsed] | None = None,
    *,
    force: bool = False,
) -> Object:
    """Apply what differs, the access objects as owned by the InferenceService; return that."""
    known = {id(obj): each for obj, each in zip(objects, tried or (), strict=False)}
    service: Object = {}
    for number, obj in enumerate(objects):
        found = known.get(id(obj))
        live = found.live if found and found.is_same else None
        if live is None:
            wanted = own(objects, service or None)[number]
            if found and found.takes:
                (live,) = cluster.apply([_as_seen(wanted, found)], force=True)
            else:
                (live,) = cluster.apply([wanted], force=force)
        if obj["kind"] in SERVICES:
            service = live
    return service


def _as_seen(obj: Object, seen: Rehearsed) -> Object:
    """Return an object that the server refuses (409) if what is there is another than was seen."""
    version = (seen.live or {}).get("metadata", {}).get("resourceVersion")
    return obj | {"metadata": obj["metadata"] | ({"resourceVersion": version} if version else {})}
