"""What kinds of objects a cluster serves: API discovery, which every login may read.

Source: Kubernetes API concepts, "API discovery" (the unaggregated form, which all versions serve).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from carferry.cluster.kinds import Object
from carferry.errors import ClusterError


class Reads(Protocol):
    """The part of a connection to an API server that is used here."""

    def read(self, path: str) -> Object:
        """Return the JSON object at a path."""


@dataclass(frozen=True, slots=True)
class Served:
    """The API groups of a cluster.

    Attributes:
        groups: Group to its versions, the preferred one first.
    """

    groups: Mapping[str, tuple[str, ...]]

    def has(self, group: str, version: str = "") -> bool:
        """Say whether a group is served, in a version if one is named."""
        versions = self.groups.get(group, ())
        return version in versions if version else bool(versions)


def served(api: Reads) -> Served:
    """Ask for the API groups of a cluster.

    Raises:
        ClusterError: The server refused, or is away.
        Unreachable: No answer.
    """
    found = api.read("/apis").get("groups") or ()
    return Served(
        {
            str(group.get("name")): tuple(
                str(each.get("version")) for each in group.get("versions") or ()
            )
            for group in found
        }
    )


def resources(api: Reads, group: str, version: str) -> frozenset[str]:
    """Return the plurals of a group's version; none if it is not served.

    Raises:
        ClusterError: The server refused, or is away.
        Unreachable: No answer.
    """
    answer = readable(api, f"/apis/{group}/{version}") or {}
    return frozenset(str(each.get("name")) for each in answer.get("resources") or ())


def readable(api: Reads, path: str) -> Object | None:
    """Return the object at a path; None if there is none, or none for this login.

    Raises:
        ClusterError: The server failed in another way.
        Unreachable: No answer.
    """
    try:
        return api.read(path)
    except ClusterError as error:
        if error.status not in (401, 403, 404):
            raise
        return None
