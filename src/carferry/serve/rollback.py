"""Back to the last image that served, if the new one does not.

What served is written down by digest, in an annotation that no later apply removes: it belongs to a
field manager of its own. It stands on the first object of the deployment, the connection Secret or
the ServingRuntime, and not on the InferenceService: KServe copies that one's annotations to the
pods, and one more would start them all anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from carferry.cluster.kinds import Object, Permission, ResourceKind
from carferry.cluster.owned import owned
from carferry.cluster.owners import FIELD_MANAGER
from carferry.errors import CarferryError, ClusterError
from carferry.refs import ImageRef
from carferry.serve.objects import SERVICES
from carferry.serve.prepare import Prepared, prepare
from carferry.serve.rehearsal import Rehearsed
from carferry.serve.settings import Deployment

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster

logger = logging.getLogger("carferry")

LAST_GOOD = "carferry/last-good"
"""Annotation: ``oci://host/repository@sha256:...`` that served last."""
_MANAGER = "carferry-last-good"


@dataclass(frozen=True, slots=True)
class Before:
    """What served before.

    Attributes:
        image: By digest.
        objects: To apply again.
    """

    image: str
    objects: tuple[Object, ...]


def before(cluster: Cluster, settings: Deployment, tried: Sequence[Rehearsed]) -> Before | None:
    """Return what to go back to if a deployment fails; None if nothing else has served there.

    Whole objects, arguments included, if they are what served; else the settings at hand with the
    last image that did. Access objects are the same for any image.

    Args:
        cluster: Where.
        settings: What is to be deployed.
        tried: Its objects, and what is there of them.
    """
    held = [each.live for each in tried[: _about([each.obj for each in tried])]]
    service = held[-1] if held else None
    if not service or not (image := _good(held[0], service)):
        return None
    if _image(service) == image and all(held):
        kept = tuple(owned(each, FIELD_MANAGER) for each in held if each)
        return None if all(each.is_same for each in tried) else Before(image, kept)
    if image == settings.uri:
        return None
    old = replace(settings, image=ImageRef.parse(image.partition("://")[2]))
    objects = prepare(cluster.api, old).objects
    return Before(image, tuple(objects[: _about(objects)]))


def remember(cluster: Cluster, made: Prepared) -> None:
    """Write down that an image serves; not being allowed to is no failure."""
    holder = made.objects[0]
    if holder["kind"] in SERVICES:
        return
    kind, place = ResourceKind.of(holder), made.deployment.namespace
    name = holder["metadata"]["name"]
    note = {"name": name, "annotations": {LAST_GOOD: made.deployment.uri}}
    body = {"apiVersion": kind.api_version, "kind": holder["kind"], "metadata": note}
    try:
        cluster.api.call(
            Permission("patch", kind, place), name, method="PATCH",
            query={"fieldManager": _MANAGER, "force": "true"}, body=body,
            content_type="application/apply-patch+yaml",
        )  # fmt: skip
    except ClusterError as error:
        logger.debug("%s", error)


def roll_back(
    cluster: Cluster, last: Before, error: CarferryError, wait: Callable[[], Object]
) -> None:
    """Apply what served before, wait for it, and add that to the error, which remains.

    Args:
        cluster: Where.
        last: What served.
        error: Why the new one does not.
        wait: Waits for the InferenceService.
    """
    logger.warning("%s", error)
    logger.warning("rolling back to %s", last.image)
    try:
        cluster.apply(last.objects, force=True)
        wait()
        outcome = "which serves again"
    except CarferryError as second:
        outcome = f"which does not come up either ({second.reason})"
    error.reason = f"{error.reason}; rolled back to {last.image}, {outcome}"


def _about(objects: Sequence[Object]) -> int:
    """Return how many objects there are up to the InferenceService."""
    return next((n for n, each in enumerate(objects, 1) if each["kind"] in SERVICES), 0)


def _good(holder: Object | None, service: Object) -> str:
    marks = ((holder or {}).get("metadata") or {}).get("annotations") or {}
    noted = str(marks.get(LAST_GOOD, ""))
    conditions = (service.get("status") or {}).get("conditions") or []
    is_ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return noted or (_image(service) if is_ready else "")


def _image(service: Object) -> str:
    """Return the image that a service names, by digest; empty if it names none."""
    spec = service.get("spec") or {}
    model = (spec.get("predictor") or spec).get("model") or {}
    image = str(model.get("storageUri") or model.get("uri") or "")
    return image if image.startswith("oci") and "@sha256:" in image else ""
