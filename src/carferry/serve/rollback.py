"""Back to the last image that served, if the new one does not.

What served is written down by digest, in an annotation of the connection Secret that no later
apply removes: it belongs to a field manager of its own. Not of the InferenceService: KServe copies
its annotations to the pods, and one more would start them all anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from carferry.cluster.kinds import KINDS, Object, Permission, ResourceKind
from carferry.cluster.owned import owned
from carferry.errors import CarferryError, ClusterError
from carferry.refs import ImageRef
from carferry.serve.objects import make_objects
from carferry.serve.settings import Deployment

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster

logger = logging.getLogger("carferry")

LAST_GOOD = "carferry/last-good"
"""Annotation: ``oci://host/repository@sha256:...`` that served last."""
_MANAGER, _OWN = "carferry-last-good", "carferry"
_SCHEME = "oci://"
_MADE = 3  # Secret, ServingRuntime and InferenceService; access objects are the same for any image


@dataclass(frozen=True, slots=True)
class Before:
    """What served before.

    Attributes:
        image: By digest.
        objects: To apply again.
    """

    image: str
    objects: tuple[Object, ...]


def before(cluster: Cluster, settings: Deployment) -> Before | None:
    """Return what to go back to if a deployment fails; None if nothing has served there yet.

    Whole objects, arguments included, if they are what served; else the settings at hand with the
    last image that did.
    """
    wanted = make_objects(settings)
    held = [_held(cluster, each) for each in wanted[:_MADE]]
    connection, service = held[0], held[-1]
    if not service or not (image := _good(connection, service)):
        return None
    kept = [owned(each, _OWN) for each in held if each]
    if _served(service) == image and len(kept) == _MADE:
        is_same = _served(wanted[2]) == image and kept[2].get("spec") == wanted[2].get("spec")
        return None if is_same else Before(image, tuple(kept))
    if image == settings.uri:
        return None
    old = replace(settings, image=ImageRef.parse(image.removeprefix(_SCHEME)))
    return Before(image, tuple(make_objects(old)))


def remember(cluster: Cluster, settings: Deployment) -> None:
    """Write down that an image serves; not being allowed to is no failure."""
    kind, name = KINDS["Secret"], settings.connection
    note = {"name": name, "annotations": {LAST_GOOD: settings.uri}}
    body = {"apiVersion": kind.api_version, "kind": "Secret", "metadata": note}
    try:
        cluster.api.call(
            Permission("patch", kind, settings.namespace), name, method="PATCH",
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


def _held(cluster: Cluster, obj: Object) -> Object | None:
    metadata = obj["metadata"]
    return cluster.api.get(ResourceKind.of(obj), metadata["namespace"], metadata["name"])


def _good(connection: Object | None, service: Object) -> str:
    marks = ((connection or {}).get("metadata") or {}).get("annotations") or {}
    noted = str(marks.get(LAST_GOOD, ""))
    conditions = (service.get("status") or {}).get("conditions") or []
    is_ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return noted or (_served(service) if is_ready else "")


def _served(service: Object) -> str:
    predictor = (service.get("spec") or {}).get("predictor") or {}
    image = str((predictor.get("model") or {}).get("storageUri", ""))
    return image if image.startswith(_SCHEME) and "@sha256:" in image else ""
