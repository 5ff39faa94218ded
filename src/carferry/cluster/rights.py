"""The permissions that a run needs, by what it will do, and which of them a login lacks.

One table serves preflight, the first step of a pipeline, ``carferry rights``, ``manifests/`` and
the documentation. Each row is a request that the code makes; a new request is a new row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from carferry.cluster.kinds import (
    CLUSTERS,
    JOBS,
    KINDS,
    LIMITS,
    NAMESPACES,
    NODES,
    OLD_PROFILES,
    PROFILES,
    QUOTAS,
    REPLICA_SETS,
    ROUTES,
    SERVICES,
    TEMPLATES,
    Permission,
    ResourceKind,
)


class Purpose(StrEnum):
    """What permissions are for, in the words of the documentation."""

    DEPLOY = "deploying"
    SERVICE = "deploying with `kind` isvc"
    LLM = "deploying with `kind` llm"
    CONNECTION = "deploying on OpenShift AI"
    AUTH = "deploying with `auth`"
    OPENSHIFT_AI = "what OpenShift AI offers"
    PROFILE = "deploying with `hardware_profile`"
    ROUTE = "deploying with `external_route` on KServe itself"
    TEST = "asking the model"
    DELETE = "deleting"
    WARM = "warming nodes"
    PLAN = "the GPU plan"
    BUILD = "Buildah in a Job"


@dataclass(frozen=True, slots=True)
class Row:
    """Requests of one kind that the code makes.

    Attributes:
        purpose: What makes them.
        kind: Of the objects.
        verbs: As a Role writes them, between blanks.
        subresource: As in ``pods/log``.
        everywhere: Asked of the whole cluster, not of one project.
        without: What a run does without it; empty if it cannot do without.
    """

    purpose: Purpose
    kind: ResourceKind
    verbs: str
    subresource: str = ""
    everywhere: bool = False
    without: str = ""


# Compared with what is there, then a server-side apply: a patch that may create.
_WRITE = "get create patch"
_LOG = "a failure is reported without the end of its pod's log"
_EVENTS = "a failure is reported without the cluster's reason"
_ASKED = "the model is asked at its address or its route alone"
_OWNED = "the objects of `auth` are left to the cluster, which removes them with their owner"

TABLE = (
    Row(Purpose.CONNECTION, KINDS["Secret"], _WRITE),
    Row(Purpose.SERVICE, KINDS["ServingRuntime"], _WRITE),
    Row(Purpose.SERVICE, KINDS["InferenceService"], _WRITE),
    Row(Purpose.LLM, KINDS["LLMInferenceService"], _WRITE),
    Row(Purpose.DEPLOY, KINDS["Deployment"], "get"),
    Row(Purpose.DEPLOY, KINDS["Pod"], "list"),
    Row(
        Purpose.DEPLOY,
        KINDS["Pod"],
        "create",
        without="what quotas, limits and Pod Security say is known only when the pod is made",
    ),
    Row(
        Purpose.DEPLOY,
        NAMESPACES,
        "get",
        without="that the project's Pod Security admits no pod is told by its pods, not before",
    ),
    Row(
        Purpose.DEPLOY,
        REPLICA_SETS,
        "list",
        without="pods of an older revision are told from the new ones by their image alone",
    ),
    Row(Purpose.DEPLOY, KINDS["Pod"], "get", "log", without=_LOG),
    Row(Purpose.DEPLOY, KINDS["Event"], "list", without=_EVENTS),
    Row(Purpose.AUTH, KINDS["Secret"], _WRITE),
    Row(Purpose.AUTH, KINDS["ServiceAccount"], _WRITE),
    Row(Purpose.AUTH, KINDS["Role"], _WRITE),
    Row(Purpose.AUTH, KINDS["RoleBinding"], _WRITE),
    Row(
        Purpose.OPENSHIFT_AI,
        TEMPLATES,
        "list",
        without="the runtime is carferry's own, from docker.io, and not the cluster's Template",
    ),
    Row(
        Purpose.OPENSHIFT_AI,
        CLUSTERS,
        "list",
        everywhere=True,
        without="the release of OpenShift AI is told by what its API serves",
    ),
    *(
        Row(
            Purpose.PROFILE,
            kind,
            "get",
            without="the deployment is warmed and written without what the profile says",
        )
        for kind in (PROFILES[0], OLD_PROFILES)
    ),
    *(
        Row(Purpose.ROUTE, kind, "get", without="only the address inside the cluster is told")
        for kind in ROUTES
    ),
    *(
        Row(Purpose.TEST, kind, "get create", "proxy", without=_ASKED)
        for kind in (SERVICES, KINDS["Pod"])
    ),
    Row(Purpose.DELETE, KINDS["InferenceService"], "get list delete"),
    Row(
        Purpose.DELETE,
        KINDS["LLMInferenceService"],
        "get list delete",
        without="an LLMInferenceService is left",
    ),
    Row(Purpose.DELETE, KINDS["ServingRuntime"], "get delete"),
    Row(Purpose.DELETE, KINDS["Secret"], "get delete"),
    *(
        Row(Purpose.DELETE, KINDS[name], "get delete", without=_OWNED)
        for name in ("ServiceAccount", "Role", "RoleBinding")
    ),
    Row(Purpose.DELETE, KINDS["Pod"], "list"),
    Row(Purpose.WARM, NODES, "list", everywhere=True),
    Row(Purpose.WARM, KINDS["Pod"], "create get list delete"),
    Row(Purpose.WARM, KINDS["Event"], "list", without=_EVENTS),
    Row(
        Purpose.PLAN,
        NODES,
        "list",
        everywhere=True,
        without="the GPUs are planned from hardware profiles",
    ),
    Row(
        Purpose.PLAN,
        KINDS["Pod"],
        "list",
        everywhere=True,
        without="GPUs that others hold are taken for free",
    ),
    Row(Purpose.PLAN, QUOTAS, "list", without="the plan does not know the project's quotas"),
    Row(Purpose.PLAN, LIMITS, "list", without="the plan does not know the project's limits"),
    Row(Purpose.BUILD, JOBS, "get create"),
    Row(
        Purpose.BUILD,
        JOBS,
        "delete",
        without="a Job that is over stays until its own time to live ends",
    ),
    Row(Purpose.BUILD, KINDS["Pod"], "list"),
    Row(Purpose.BUILD, KINDS["Pod"], "get", "log", without=_LOG),
    Row(Purpose.BUILD, KINDS["Event"], "list", without=_EVENTS),
)
"""Every request of an API server that a Role must allow."""


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


def needed(namespace: str, *purposes: Purpose) -> list[Need]:
    """Return the permissions that purposes take together, each once, in the table's order.

    A permission that one purpose cannot do without is needed, whatever another says.

    Args:
        namespace: The project; of a Job, that in which it runs.
        *purposes: What will be done.
    """
    found: dict[Permission, Need] = {}
    for row in (each for each in TABLE if each.purpose in purposes):
        place = "" if row.everywhere else namespace
        for verb in row.verbs.split():
            permission = Permission(verb, row.kind, place, row.subresource)
            if permission not in found or not row.without:
                found[permission] = Need(permission, row.without)
    return [*found.values()]


def to_deploy(
    namespace: str, *, auth: bool = False, llm: bool = False, connection: bool = True
) -> list[Need]:
    """Return the permissions that a deployment needs.

    Args:
        namespace: Project in which the model will be served.
        auth: The endpoint asks for a token, so the account that holds it is made too.
        llm: It is an LLMInferenceService.
        connection: The platform has OpenShift AI's dashboard, and a Secret is made for that.
    """
    wanted = {
        Purpose.DEPLOY: True,
        Purpose.SERVICE: not llm,
        Purpose.LLM: llm,
        Purpose.CONNECTION: connection,
        Purpose.AUTH: auth,
    }
    return needed(namespace, *(purpose for purpose, is_wanted in wanted.items() if is_wanted))


def to_delete(namespace: str) -> list[Need]:
    """Return the permissions to remove a deployment, and to wait until it is gone."""
    return needed(namespace, Purpose.DELETE)


def to_use_openshift_ai(namespace: str) -> list[Need]:
    """Return the permissions to see what OpenShift AI offers; there is another way for each.

    Args:
        namespace: Of its applications, where the Templates are.
    """
    return needed(namespace, Purpose.OPENSHIFT_AI)


def to_use_profile(namespace: str) -> list[Need]:
    """Return the permissions to read a hardware profile of a project."""
    return needed(namespace, Purpose.PROFILE)


def to_find_route(namespace: str) -> list[Need]:
    """Return the permissions to see what KServe has made for a host outside."""
    return needed(namespace, Purpose.ROUTE)


def to_test(namespace: str) -> list[Need]:
    """Return the permissions to ask a model through the API server's proxy."""
    return needed(namespace, Purpose.TEST)


def to_warm(namespace: str) -> list[Need]:
    """Return the permissions to pull an image on nodes before it is served."""
    return needed(namespace, Purpose.WARM)


def to_build(namespace: str) -> list[Need]:
    """Return the permissions that an account needs to run Buildah in a Job."""
    return needed(namespace, Purpose.BUILD)


def to_see_gpus(namespace: str) -> list[Need]:
    """Return the permissions that the GPU plan needs; it has another way for each.

    Args:
        namespace: Project in which the model will be served; its quotas and limits count.
    """
    return needed(namespace, Purpose.PLAN)


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
