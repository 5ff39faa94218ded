"""Whether the KServe of a cluster serves a model that spans nodes: its release 0.20.0 does not.

Its clean-up after canaries deletes the workers and their Services each time it looks at the service
(kserve/kserve#6113), and makes them anew, without end: the head waits for them. 0.19 knows no
canaries, and #5899 mends it for what follows. No object of KServe says its release for certain;
whether there are canaries is in the schema that every login may read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from carferry.cluster.discovery import Reads, readable
from carferry.cluster.kinds import Object
from carferry.errors import InputError
from carferry.gpu.inventory.listing import SHARED
from carferry.serve.settings import Deployment

_SCHEMA = "/openapi/v3/apis/serving.kserve.io/v1beta1"
_CONFIG = "/api/v1/namespaces/{}/configmaps/inferenceservice-config"
_PLACES = ("kserve", *SHARED)
BROKEN = "0.20.0"
_RELEASE = re.compile(r":v(0\.[0-9]+\.[0-9]+)(?=$|[-+@])")


def check_release(api: Reads, deployment: Deployment) -> None:
    """Refuse several nodes on a KServe that would never bring them up.

    Raises:
        InputError: It is 0.20.0, or one with canaries that does not say its release.
        ClusterError: The server failed in another way than refusing.
        Unreachable: No answer.
    """
    if deployment.nodes < 2 or not _has_canaries(api):
        return
    found = next(_releases(api), "")
    if found not in ("", BROKEN):
        return
    said = f"KServe {found} here" if found else f"KServe {BROKEN}, which this one looks like,"
    remedy = "plan with nodes 1, or take KServe 0.19, or a later one"
    if not found:
        remedy += ", whose ConfigMap inferenceservice-config names it by its images' tags"
    raise InputError(
        "deploy",
        f"{deployment.name} on {deployment.nodes} nodes",
        f"{said} deletes the workers as often as it makes them (kserve/kserve#6113)",
        remedy,
    )


def _has_canaries(api: Reads) -> bool:
    """Say whether an InferenceService has a field ``canary``: from 0.20 on."""
    schemas = ((readable(api, _SCHEMA) or {}).get("components") or {}).get("schemas") or {}
    return any(
        "canary" in _fields(_fields(schema).get("spec") or {})
        for name, schema in schemas.items()
        if name.endswith(".v1beta1.InferenceService")
    )


def _fields(schema: Object) -> Object:
    found: Object = schema.get("properties") or {}
    return found


def _releases(api: Reads) -> Iterator[str]:
    """Yield the releases that KServe's configuration names, where it may be read."""
    for place in _PLACES:
        data = (readable(api, _CONFIG.format(place)) or {}).get("data") or {}
        for image in map(_image, data.values()):
            if match := _RELEASE.search(image):
                yield match[1]


def _image(text: object) -> str:
    try:
        held = json.loads(str(text))
    except ValueError:
        return ""
    return str(held.get("image") or "") if isinstance(held, dict) else ""
