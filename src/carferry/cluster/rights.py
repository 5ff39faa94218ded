"""Which permissions a run needs, by what it will do, and which of them a login lacks.

One table for everybody: what preflight asks, what the first step of a pipeline checks, what
``manifests/`` grants and what the documentation lists.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from carferry.cluster.kinds import JOBS, KINDS, LIMITS, NODES, PROFILES, QUOTAS, Kind, Rule

DEPLOYED = ("Secret", "ServingRuntime", "InferenceService")
"""Kinds that every deployment is made of."""
GUARDED = ("ServiceAccount", "Role", "RoleBinding", "Secret")
"""Kinds that a deployment with ``auth`` has besides."""

_WRITE = ("get", "create", "patch")  # a server-side apply is a patch that may create
_PODS = (("list", "Pod", ""), ("get", "Pod", "log"), ("list", "Event", ""))
_WATCHED = (*_PODS, ("get", "Deployment", ""))
_EXPLAIN = {
    "pods/log": "a failure is reported without the last words of its pod",
    "events": "a failure is reported without the cluster's reason",
}


class Asks(Protocol):
    """The part of a connection to an API server that is used here."""

    namespace: str

    def may(self, rule: Rule) -> bool:
        """Ask the server whether this user holds a permission."""


@dataclass(frozen=True, slots=True)
class Need:
    """A permission, and what is lost without it.

    Attributes:
        without: What a run does then; empty where it cannot do without.
    """

    rule: Rule
    without: str = ""


def to_apply(kind: Kind, namespace: str) -> list[Rule]:
    """Return what applying objects of a kind and waiting for what they become takes."""
    watching = [Rule(verb, KINDS[name], namespace, sub) for verb, name, sub in _WATCHED]
    return [*(Rule(verb, kind, namespace) for verb in _WRITE), *watching]


def to_deploy(namespace: str, *, auth: bool = False) -> list[Need]:
    """Return what a deployment takes.

    Args:
        namespace: Where the model will be served.
        auth: The endpoint asks for a token, so the account that holds it is made too.
    """
    names = [*DEPLOYED, *(GUARDED if auth else ())]
    rules = dict.fromkeys(r for name in names for r in to_apply(KINDS[name], namespace))
    return [Need(rule, _EXPLAIN.get(rule.resource, "")) for rule in rules]


def to_build(namespace: str) -> list[Need]:
    """Return what running Buildah in a Job takes, of the account that starts the Job."""
    rules = [Rule(verb, JOBS, namespace) for verb in ("get", "create", "delete")]
    rules += [Rule(verb, KINDS[name], namespace, sub) for verb, name, sub in _PODS]
    left = {"delete": "a Job that is over stays until its own time to live ends"}
    return [Need(r, left.get(r.verb) or _EXPLAIN.get(r.resource, "")) for r in rules]


def to_see_gpus(namespace: str) -> list[Need]:
    """Return what the GPU plan reads of a cluster; it has another way for each.

    Args:
        namespace: Where the model will be served; its quotas and limits count.
    """
    return [
        Need(Rule("list", NODES, ""), "the GPUs are planned from hardware profiles"),
        Need(Rule("list", KINDS["Pod"], ""), "GPUs that others hold are taken for free"),
        Need(Rule("list", QUOTAS, namespace), "the plan does not know the project's quotas"),
        Need(Rule("list", LIMITS, namespace), "the plan does not know the project's limits"),
    ]


def missing(api: Asks, needs: Iterable[Need], *, projects: Iterable[str] = ()) -> list[Need]:
    """Ask the server about every permission and return those that are not held, in order.

    Nodes stop a run only where the plan's other way, the profiles, is closed as well.

    Args:
        api: The connection, as the account in question.
        needs: What a run will need; one request each.
        projects: Where profiles may be looked for, beside the whole cluster.

    Raises:
        ClusterError: The server does not answer the question.
        Unreachable: Nothing answers.
    """
    asked: dict[Rule, Need] = {}
    for need in needs:
        if need.rule not in asked or not need.without:
            asked[need.rule] = need
    lacking = [need for need in asked.values() if not api.may(need.rule)]
    nodes = Rule("list", NODES, "")
    if any(need.rule == nodes for need in lacking) and not _sees_profiles(api, projects):
        return [Need(nodes) if need.rule == nodes else need for need in lacking]
    return lacking


def _sees_profiles(api: Asks, projects: Iterable[str]) -> bool:
    places = ("", *projects)
    return any(api.may(Rule("list", kind, place)) for place in places for kind in PROFILES)
