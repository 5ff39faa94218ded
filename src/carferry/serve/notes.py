"""What is written down beside a deployment once it serves: by which image, and what was asked.

Annotations of its ServingRuntime, each of a field manager of its own, so that no later apply
removes it. Not of the InferenceService: KServe hands its annotations on to the pods, and one more
would start them all anew.

Source: kserve v0.20.0, pkg/controller/v1beta1/inferenceservice/components/predictor.go.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from carferry.cluster.kinds import KINDS, Object, Permission, ResourceKind
from carferry.errors import ClusterError

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster

LAST_GOOD = "carferry/last-good"
"""``oci://host/repository@sha256:...`` that served last."""
ASKED = "carferry/asked"
"""Id of everything that was asked of the deployment."""
HOLDER = "ServingRuntime"
logger = logging.getLogger("carferry")


class Reads(Protocol):
    """The part of a connection to an API server that is used here."""

    def get(self, kind: ResourceKind, namespace: str, name: str) -> Object | None:
        """Return one object, or None if there is none of that name."""


def note(cluster: Cluster, objects: Iterable[Object], **texts: str) -> None:
    """Write notes down; not being allowed to is no failure.

    Args:
        cluster: Where.
        objects: As they were applied; without a ServingRuntime nothing is written.
        **texts: ``last_good`` and ``asked``; an empty one is left as it is.
    """
    names = {"last_good": LAST_GOOD, "asked": ASKED}
    for obj in (each for each in objects if each["kind"] == HOLDER):
        for which, text in texts.items():
            if text:
                _write(cluster, obj, names[which], text)


def noted(api: Reads, namespace: str, name: str, what: str) -> str:
    """Return a note; empty if there is none.

    Args:
        api: The connection.
        namespace: Of the deployment.
        name: Of the deployment.
        what: ``LAST_GOOD`` or ``ASKED``.

    Raises:
        ClusterError: It may not be read, or the server is away.
    """
    held = api.get(KINDS[HOLDER], namespace, name) or {}
    return str(((held.get("metadata") or {}).get("annotations") or {}).get(what, ""))


def _write(cluster: Cluster, holder: Object, what: str, text: str) -> None:
    kind, about = KINDS[HOLDER], holder["metadata"]
    body = {
        "apiVersion": kind.api_version,
        "kind": HOLDER,
        "metadata": {"name": about["name"], "annotations": {what: text}},
    }
    try:
        cluster.api.call(
            Permission("patch", kind, about["namespace"]),
            about["name"],
            method="PATCH",
            query={"fieldManager": what.replace("/", "-"), "force": "true"},
            body=body,
            content_type="application/apply-patch+yaml",
        )
    except ClusterError as error:
        logger.warning("not written down for the next run: %s", error)
