"""The dashboard's connection: the Secret that holds where the model is.

Source: opendatahub-io/odh-dashboard (connectionTypes/utils.ts; packages/k8s-core of rhoai-3.5).
"""

from __future__ import annotations

import base64
import json

from carferry.cluster.kinds import Object
from carferry.serve.objects.found import Found
from carferry.serve.objects.metadata import metadata, title
from carferry.serve.platforms import Platform
from carferry.serve.settings import Deployment

LOGIN = ".dockerconfigjson"
FROM = "carferry/login-of"
"""Annotation: the Secret whose login this one holds; it is copied where objects are applied."""


def connection_name(deployment: Deployment, platform: Platform, found: Found) -> str:
    """Return the name of the connection: one for each type, as no Secret ever changes its type."""
    return f"{deployment.name}-oci" if has_login(platform, found) else deployment.connection


def has_login(platform: Platform, found: Found) -> bool:
    """Say whether the connection holds the login of a registry."""
    return bool(platform.has_oci and found.pull_secret)


def connection_secret(deployment: Deployment, platform: Platform, found: Found) -> Object:
    """Make the connection: "URI - v1", or "OCI - v1" with the login of a private registry.

    Values go in as ``data``: ``stringData`` "does not work well with server-side apply"
    (Kubernetes documentation, Secrets). The login itself is filled in by ``with_login``.
    """
    is_oci = has_login(platform, found)
    name = connection_name(deployment, platform, found)
    annotations = {
        **title(deployment),
        "openshift.io/description": deployment.description,
        "opendatahub.io/connection-type-ref": "oci-v1" if is_oci else "uri-v1",
        FROM: found.pull_secret if is_oci else "",
    }
    if platform.has_protocol:
        annotations["opendatahub.io/connection-type-protocol"] = "oci" if is_oci else "uri"
    texts = {"URI": deployment.uri}
    if is_oci:
        host = deployment.image.name.partition("/")[0]
        texts = {"OCI_HOST": host, "ACCESS_TYPE": json.dumps(["Pull"])}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(deployment, platform, name, annotations),
        "type": "kubernetes.io/dockerconfigjson" if is_oci else "Opaque",
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()},
    }


def with_login(objects: list[Object], login: str) -> list[Object]:
    """Return objects with a login in the connection that asks for one; never to be shown.

    Args:
        objects: As made.
        login: A Secret's ``.dockerconfigjson``, base64 as the API serves it.
    """
    return [
        each | {"data": each["data"] | {LOGIN: login}}
        if FROM in (each["metadata"].get("annotations") or {})
        else each
        for each in objects
    ]
