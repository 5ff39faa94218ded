"""The permissions that a run needs, by what it will do, and which of them a login lacks.

One table serves preflight, the first step of a pipeline, ``manifests/`` and the documentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from carferry.cluster.kinds import (
    JOBS,
    KINDS,
    LIMITS,
    NODES,
    PROFILES,
    QUOTAS,
    Permission,
    ResourceKind,
)

DEPLOYED = ("Secret", "ServingRuntime", "InferenceService")
"""Kinds that every deployment is made of."""
GUARDED = ("ServiceAccount", "Role", "RoleBinding", "Secret")
"""Kinds that a deployment with ``auth`` has besides."""

_WRITE = ("get", "create", "patch")  # a server-side apply is a patch that may create
_PODS = (("list", "Pod", ""), ("get", "Pod", "log"), ("list", "Event", ""))
_WATCHED = (*_PODS, ("get", "Deployment", ""))
_EXPLAIN = {
    "pods/log": "a failure is reported without the end of its pod's log",
    "events": "a failure is reported without the cluster's reason",
}


class Asks(Protocol):
    """The part of a connection to an API server that is used here."""

    namespace: str

    def may(self, permission: Permission) -> bool:
        """Ask the server whether this user holds a permission."""


@dataclass(frozen=True, slots=True)
class Need:
    """A permission, and what is lost without it.

    Attributes:
        permission: What is needed.
        without: What a run does without it; empty if it cannot do without.
    """

    permission: Permission
    without: str = ""


def to_apply(kind: ResourceKind, namespace: str) -> list[Permission]:
    """Return the permissions to apply objects of a kind and to wait for what they become."""
    watching = [Permission(verb, KINDS[name], namespace, sub) for verb, name, sub in _WATCHED]
    return [*(Permission(verb, kind, namespace) for verb in _WRITE), *watching]


def to_deploy(namespace: str, *, auth: bool = False) -> list[Need]:
    """Return the permissions that a deployment needs.

    Args:
        namespace: Project in which the model will be served.
        auth: The endpoint asks for a token, so the account that holds it is made too.
    """
    names = [*DEPLOYED, *(GUARDED if auth else ())]
    permissions = dict.fromkeys(p for name in names for p in to_apply(KINDS[name], namespace))
    return [Need(each, _EXPLAIN.get(each.resource, "")) for each in permissions]


def to_build(namespace: str) -> list[Need]:
    """Return the permissions that an account needs to run Buildah in a Job."""
    permissions = [Permission(verb, JOBS, namespace) for verb in ("get", "create", "delete")]
    permissions += [Permission(verb, KINDS[name], namespace, sub) for verb, name, sub in _PODS]
    left = {"delete": "a Job that is over stays until its own time to live ends"}
    return [Need(p, left.get(p.verb) or _EXPLAIN.get(p.resource, "")) for p in permissions]


def to_see_gpus(namespace: str) -> list[Need]:
    """Return the permissions that the GPU plan needs; it has another way for each.

    Args:
        namespace: Project in which the model will be served; its quotas and limits count.
    """
    return [
        Need(Permission("list", NODES, ""), "the GPUs are planned from hardware profiles"),
        Need(Permission("list", KINDS["Pod"], ""), "GPUs that others hold are taken for free"),
        Need(Permission("list", QUOTAS, namespace), "the plan does not know the project's quotas"),
        Need(Permission("list", LIMITS, namespace), "the plan does not know the project's limits"),
    ]


def missing(api: Asks, needs: Iterable[Need], *, projects: Iterable[str] = ()) -> list[Need]:
    """Ask the server about every permission and return those that are not held, in order.

    Missing nodes stop a run only if hardware profiles, the plan's other way, are closed too.

    Args:
        api: The connection, as the account in question.
        needs: What a run will need; one request each.
        projects: Where profiles are looked for, beside the whole cluster.

    Raises:
        ClusterError: The server does not answer the question.
        Unreachable: Nothing answers.
    """
    asked: dict[Permission, Need] = {}
    for need in needs:
        if need.permission not in asked or not need.without:
            asked[need.permission] = need
    lacking = [need for need in asked.values() if not api.may(need.permission)]
    nodes = Permission("list", NODES, "")
    if any(need.permission == nodes for need in lacking) and not _sees_profiles(api, projects):
        return [Need(nodes) if need.permission == nodes else need for need in lacking]
    return lacking


def _sees_profiles(api: Asks, projects: Iterable[str]) -> bool:
    places = ("", *projects)
    return any(api.may(Permission("list", kind, place)) for place in places for kind in PROFILES)
