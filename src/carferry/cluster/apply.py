"""Server-side apply: carferry owns the fields it writes, and takes others only by ``force``."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from carferry.cluster.api import Api
from carferry.cluster.kinds import Object, Permission, ResourceKind, as_yaml
from carferry.cluster.rights import to_apply
from carferry.errors import ClusterError

FIELD_MANAGER = "carferry"

_MANAGERS = re.compile(r'conflicts? with "([^"]+)"')

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
        dry_run: Let the server check and default everything, and keep nothing. Leaves out what
            needs an object that is not there yet: the link to the connection Secret, which
            admission would miss, and RoleBindings, whose Role the server looks up.
        force: Take over conflicting fields.

    Raises:
        ClusterError: The server refused one; those before it are applied.
        Unreachable: No answer.

    Source: Kubernetes documentation, Server-Side Apply.
    """
    chosen = [each for each in objects if not (dry_run and each["kind"] == "RoleBinding")]
    return [_apply(api, each, dry_run=dry_run, force=force) for each in chosen]


def _apply(api: Api, obj: Object, *, dry_run: bool, force: bool) -> Object:
    try:
        applied = _send(api, obj, dry_run=dry_run, force=force)
    except ClusterError as error:
        # What a webhook rewrote in our last request (KServe turns RawDeployment into Standard)
        # is recorded under our name as an update, and conflicts with the same name's apply.
        if error.status != 409 or {*_MANAGERS.findall(error.reason)} != {FIELD_MANAGER}:
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
        body=_unlinked(obj) if dry_run else obj,
        content_type="application/apply-patch+yaml",
    )


def preflight(api: Api, objects: Iterable[Object]) -> list[str]:
    """Return what would stop these objects, one line each; empty if nothing would.

    Asks the server which permissions are missing, then has it check the objects without
    keeping them.
    """
    wanted = [*objects]
    if missing := [each for each in needed(wanted) if not api.may(each)]:
        return as_yaml(missing)
    return [problem for each in wanted if (problem := _dry_run(api, each))]


def needed(objects: Iterable[Object]) -> list[Permission]:
    """Return the permissions to apply objects and to wait for them."""
    return [
        *dict.fromkeys(
            permission for each in objects
            for permission in to_apply(ResourceKind.of(each), each["metadata"]["namespace"])
        )
    ]  # fmt: skip


def _dry_run(api: Api, obj: Object) -> str:
    try:
        apply(api, [obj], dry_run=True)
    except ClusterError as error:
        return str(error)
    return ""


def _unlinked(obj: Object) -> Object:
    metadata = obj["metadata"]
    annotations = dict(metadata.get("annotations", {}))
    annotations.pop("opendatahub.io/connections", None)
    return obj | {"metadata": metadata | {"annotations": annotations}}
