"""Back to the last image that served, if the new one does not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from carferry.cluster.kinds import Object, ResourceKind
from carferry.cluster.owners import FIELD_MANAGER, owned
from carferry.cluster.watch.look import marks
from carferry.cluster.watch.observe import Watched, observe
from carferry.cluster.watch.progress import missing
from carferry.errors import CarferryError
from carferry.refs import ImageRef
from carferry.serve.notes import HOLDER, LAST_GOOD
from carferry.serve.objects import SERVICES
from carferry.serve.prepare import prepare
from carferry.serve.settings import Deployment

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster

logger = logging.getLogger("carferry")


@dataclass(frozen=True, slots=True)
class Before:
    """What served before.

    Attributes:
        image: By digest.
        objects: Makes what is to be applied again.
    """

    image: str
    objects: Callable[[], list[Object]]


def before(cluster: Cluster, settings: Deployment, objects: Sequence[Object]) -> Before | None:
    """Return what to go back to if a deployment fails; None if nothing else has served there.

    Whole objects, arguments included, if they serve now; else the settings at hand with the last
    image that did.

    Args:
        cluster: Where.
        settings: What is wanted.
        objects: As they will be applied.
    """
    wanted = [each for each in objects if each["kind"] in (HOLDER, *SERVICES)]
    held = [found for each in wanted if (found := cluster.get(each))]
    if not held or held[-1]["kind"] not in SERVICES:
        return None
    kept: list[Object] = []
    image = str(marks(held[0]).get(LAST_GOOD, ""))
    if _serves(cluster, held[-1]):
        image = served(held[-1])
        kept = [owned(each, FIELD_MANAGER) for each in held]
    is_same = _specs(kept) == _specs(wanted) if kept else image == settings.uri
    if not image or is_same:
        return None
    return Before(image, lambda: _again(cluster, settings, image, kept))


def roll_back(
    last: Before,
    error: CarferryError,
    apply: Callable[[list[Object]], Object],
    wait: Callable[[Object], Object],
) -> None:
    """Apply what served before, wait for it, and add that to the error, which remains.

    Args:
        last: What served.
        error: Why the new one does not.
        apply: Applies objects and returns the service.
        wait: Waits for that service.
    """
    logger.warning("%s", error)
    logger.warning("rolling back to %s", last.image)
    try:
        service = apply(last.objects())
    except CarferryError as second:
        error.reason += f"; {last.image} served before and cannot be applied again: {second.reason}"
        return
    try:
        wait(service)
        outcome = "which serves again"
    except CarferryError as second:
        outcome = f"which does not come up either ({second.reason})"
    error.reason += f"; rolled back to {last.image}, {outcome}"


def _specs(objects: Sequence[Object]) -> list[Object]:
    return [each.get("spec") or {} for each in objects]


def served(service: Object) -> str:
    """Return the image that a service names by digest; empty if it names none."""
    spec = service.get("spec") or {}
    predictor = (spec.get("predictor") or {}).get("model") or {}
    image = str(predictor.get("storageUri") or (spec.get("model") or {}).get("uri") or "")
    return image if "@sha256:" in image else ""


def _again(cluster: Cluster, settings: Deployment, image: str, kept: list[Object]) -> list[Object]:
    """Return what was kept, with the connection to its image; all made anew if nothing was."""
    made = prepare(cluster.api, replace(settings, image=ImageRef.parse(image.rpartition("://")[2])))
    if not kept:
        return made.objects
    kinds = [each["kind"] for each in made.objects]
    runtime = kinds.index(HOLDER) if HOLDER in kinds else 0
    return [*made.objects[:runtime], *kept]


def _serves(cluster: Cluster, service: Object) -> bool:
    about = service["metadata"]
    watched = Watched.of(about["name"], about["namespace"], ResourceKind.of(service))
    return bool(served(service)) and missing(observe(cluster.api, watched)) is None
