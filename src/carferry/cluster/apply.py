"""Server-side apply: carferry owns the fields it writes, and takes others only by ``force``."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from carferry.cluster.api import Api
from carferry.cluster.kinds import Object, Permission, ResourceKind
from carferry.cluster.owners import FIELD_MANAGER
from carferry.errors import ClusterError

_MANAGERS = re.compile(r'conflicts? with "([^"]+)"')
CONFLICT = 409

logger = logging.getLogger("carferry")


def apply(
    api: Api, objects: Iterable[Object], *, dry_run: bool = False, force: bool = False
) -> list[Object]:
    """Apply objects in the order given and return them as the server holds them now.

    A second run of the same objects changes nothing. Fields that another manager set to
    another value (an edit of the deployment in the dashboard) are a conflict and stay theirs
    unless ``force`` is given: whoever runs a pipeline has not seen that edit.

    Args:
        api: The connection.
        objects: Connection Secret first: admission refuses an InferenceService without it.
        dry_run: Let the server check and default everything, and keep nothing.
        force: Take over conflicting fields.

    Raises:
        ClusterError: The server refused one; those before it are applied.
        Unreachable: No answer.

    Source: Kubernetes documentation, Server-Side Apply.
    """
    return [_apply(api, each, dry_run=dry_run, force=force) for each in objects]


def _apply(api: Api, obj: Object, *, dry_run: bool, force: bool) -> Object:
    try:
        applied = _send(api, obj, dry_run=dry_run, force=force)
    except ClusterError as error:
        # What a webhook rewrote in our last request (KServe turns RawDeployment into Standard)
        # is recorded under our name as an update, and conflicts with the same name's apply.
        if error.status != CONFLICT or {*_MANAGERS.findall(error.reason)} != {FIELD_MANAGER}:
            raise
        applied = _send(api, obj, dry_run=dry_run, force=True)
    name = obj["metadata"]["name"]
    logger.info("%s %s/%s", "checked" if dry_run else "applied", obj["kind"], name)
    return applied


def _send(api: Api, obj: Object, *, dry_run: bool, force: bool) -> Object:
    query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
    if dry_run:
        query["dryRun"] = "All"
    return api.call(
        Permission("patch", ResourceKind.of(obj), obj["metadata"]["namespace"]),
        obj["metadata"]["name"],
        method="PATCH",
        query=query,
        body=obj,
        content_type="application/apply-patch+yaml",
    )
