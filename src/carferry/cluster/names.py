"""Names of Kubernetes objects: made from display names, and checked (RFC 1123 labels)."""

from __future__ import annotations

import re

from carferry.errors import InvalidName

_LABEL = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")


def kubernetes_name(title: str, *, limit: int = 53) -> str:
    """Return the Kubernetes name that the dashboard makes of a display name.

    Lower-case, blanks become dashes, anything else outside ``[a-z0-9-]`` goes, runs of
    dashes collapse: ``granite-3.1-2b`` gives ``granite-31-2b``. At most ``limit`` characters
    (RHOAI 3.2 refuses InferenceServices over 53).

    Raises:
        InvalidName: Nothing usable is left.
    """
    name = re.sub(r"[^a-z0-9-]", "", re.sub(r"[\s_/]+", "-", title.strip().lower()))
    name = re.sub(r"-+", "-", name).lstrip("-0123456789")[:limit].strip("-")
    if not name:
        reason = "no letter left for a Kubernetes name"
        raise InvalidName("name", repr(title), reason, "pass --name")
    return name


def check_kubernetes_name(name: str, *, kind: str, limit: int = 53) -> str:
    """Return name if Kubernetes and KServe accept it as the name of a ``kind``.

    Raises:
        InvalidName: Not a DNS-1123 label that starts with a letter, or too long.
    """
    if not _LABEL.fullmatch(name):
        raise InvalidName(
            f"name {kind}", repr(name), "not a-z, 0-9 and '-', starting with a letter (DNS-1123)"
        )
    if len(name) > limit:
        raise InvalidName(f"name {kind}", repr(name), f"{len(name)} characters, at most {limit}")
    return name
