"""A front for a registry whose tags are written once, as several products have it."""

from __future__ import annotations

import json
import re

from servers.chaos import Action, Answer
from servers.proxy import Proxy
from servers.registry import Registry

_MANIFEST = re.compile(r"/v2/(.+)/manifests/([^:/?]+)$")


def _oci(status: int, code: str, message: str) -> Answer:
    return Answer(status, {}, json.dumps({"errors": [{"code": code, "message": message}]}).encode())


PRODUCTS = {
    "Harbor": _oci(412, "PRECONDITION", "Failed to process request due to 'x' immutable."),
    "Amazon ECR": _oci(400, "TAG_INVALID", "The image tag cannot be overwritten."),
    "Docker Hub": _oci(403, "DENIED", "denied - cannot be updated due to immutability settings."),
    "Google": _oci(400, "MANIFEST_INVALID", "The repository has enabled tag immutability"),
    "Nexus": _oci(400, "UNKNOWN", "Repository does not allow updating assets: models"),
    "409 alone": Answer(409),
    "405 alone": Answer(405),
    "403 alone": Answer(403),
}
"""What each says; ECR and Harbor say it also to the bytes that the tag names already."""


class Immutable(Proxy):
    """Refuses every second write to a tag, whatever its bytes, and its deletion."""

    def __init__(self, registry: Registry, product: str = "Harbor") -> None:
        super().__init__(registry.url)
        self._registry = registry
        self._answer = PRODUCTS[product]

    def actions(self, method: str, path: str) -> tuple[Action, ...]:
        """Refuse a write to a tag that is there."""
        found = _MANIFEST.fullmatch(path)
        if found and method in {"PUT", "DELETE"} and found[2] in self._registry.tags(found[1]):
            return (self._answer,)
        return super().actions(method, path)

    @property
    def blob_bytes(self) -> int:
        """Bytes of blobs that clients have sent."""
        return sum(each.received for each in self.log if "/blobs/" in each.path)
