"""Back to the last image that served, if the new one does not.

What served is written down by digest, in an annotation of the ServingRuntime that no later apply
removes: it belongs to a field manager of its own. Not of the InferenceService: KServe copies its
annotations to the pods, and one more would start them all anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from carferry.cluster.kinds import KINDS, Object, Permission
from carferry.cluster.owned import owned
from carferry.cluster.owners import FIELD_MANAGER
from carferry.errors import CarferryError, ClusterError
from carferry.refs import ImageRef
from carferry.serve.objects import SERVICES
from carferry.serve.prepare import prepare
from carferry.serve.settings import Deployment

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster

logger = logging.getLogger("carferry")

LAST_GOOD = "carferry/last-good"
"""Annotation: ``oci://host/repository@sha256:...`` that served last."""
_MANAGER = "carferry-last-good"
_RUNTIME = "ServingRuntime"


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

    Whole objects, arguments included, if what is there now served; else the settings at hand with
    the last image that did.

    Args:
        cluster: Where.
        settings: What is wanted.
        objects: As they will be applied.
    """
    wanted = [each for each in objects if each["kind"] in (_RUNTIME, *SERVICES)]
    held = {each["kind"]: found for each in wanted if (found := cluster.get(each))}
    service = next((held[kind] for kind in SERVICES if kind in held), None)
    image = _good(held.get(_RUNTIME), service) if service else ""
    if not service or not image:
        return None
    kept = [owned(each, FIELD_MANAGER) for each in held.values()]
    if served(service) != image:
        kept = []
    is_same = kept[-1].get("spec") == wanted[-1].get("spec") if kept else image == settings.uri
    return None if is_same else Before(image, lambda: _again(cluster, settings, image, kept))


def remember(cluster: Cluster, objects: Sequence[Object], image: str) -> None:
    """Write down that an image serves; not being allowed to is no failure.

    Args:
        cluster: Where.
        objects: As they were applied; without a ServingRuntime nothing is written.
        image: ``oci://host/repository@sha256:...``.
    """
    for obj in (each for each in objects if each["kind"] == _RUNTIME):
        kind, name = KINDS[_RUNTIME], obj["metadata"]["name"]
        note = {"name": name, "annotations": {LAST_GOOD: image}}
        body = {"apiVersion": kind.api_version, "kind": _RUNTIME, "metadata": note}
        try:
            cluster.api.call(
                Permission("patch", kind, obj["metadata"]["namespace"]), name, method="PATCH",
                query={"fieldManager": _MANAGER, "force": "true"}, body=body,
                content_type="application/apply-patch+yaml",
            )  # fmt: skip
        except ClusterError as error:
            logger.debug("%s", error)


def roll_back(
    image: str, error: CarferryError, apply: Callable[[], object], wait: Callable[[], object]
) -> None:
    """Apply what served before, wait for it, and add that to the error, which remains.

    Args:
        image: That served.
        error: Why the new one does not.
        apply: Applies what served.
        wait: Waits for it.
    """
    logger.warning("%s", error)
    logger.warning("rolling back to %s", image)
    try:
        apply()
        wait()
        outcome = "which serves again"
    except CarferryError as second:
        outcome = f"which does not come up either ({second.reason})"
    error.reason = f"{error.reason}; rolled back to {image}, {outcome}"


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
    name = settings.connection
    return [*(each for each in made.objects if each["metadata"]["name"] == name
              and each["kind"] == "Secret"), *kept]  # fmt: skip


def _good(runtime: Object | None, service: Object) -> str:
    marks = ((runtime or {}).get("metadata") or {}).get("annotations") or {}
    conditions = (service.get("status") or {}).get("conditions") or []
    is_ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return str(marks.get(LAST_GOOD) or (served(service) if is_ready else ""))
