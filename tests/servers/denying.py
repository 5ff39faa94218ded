"""A front for a registry that allows every pull and refuses every push."""

from __future__ import annotations

from servers.chaos import Answer, Rule
from servers.proxy import Proxy

_DENIED = (
    b'{"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}'
)


def denying(upstream: str) -> Proxy:
    """Return a proxy that refuses every upload with 403 DENIED; use it as a context manager."""
    answer = Answer(403, {"Content-Type": "application/json"}, _DENIED)
    return Proxy(
        upstream,
        [
            Rule(answer, method="POST", path="^/v2/.*/blobs/uploads/", times=None),
            Rule(answer, method="PUT", path="^/v2/.*/manifests/", times=None),
        ],
    )
