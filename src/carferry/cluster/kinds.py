"""The resource types carferry touches, and the permissions to touch them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from carferry.errors import InputError

Object = dict[str, Any]
"""A Kubernetes object as JSON."""


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """A resource type and the URL paths of its objects.

    Attributes:
        group: API group; empty for the core group.
        version: Of the group, as in ``v1beta1``.
        plural: Name of the resource in URL paths and in Roles.
    """

    group: str
    version: str
    plural: str

    @classmethod
    def of(cls, obj: Object) -> ResourceKind:
        """Return the resource type of an object that carferry deploys.

        Raises:
            InputError: Not a kind carferry deploys.
        """
        found = KINDS.get(obj["kind"])
        group, _, version = obj["apiVersion"].rpartition("/")
        if found is None or found.group != group:
            raise InputError("deploy", obj["kind"], f"unknown kind in {obj['apiVersion']}")
        return replace(found, version=version)

    @property
    def api_version(self) -> str:
        """``group/version``, or the version alone in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str = "") -> str:
        """Return the URL path of the collection, or of one object in it."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" + (f"/{name}" if name else "")


KINDS: Mapping[str, ResourceKind] = {
    "Secret": ResourceKind("", "v1", "secrets"),
    "ServiceAccount": ResourceKind("", "v1", "serviceaccounts"),
    "Pod": ResourceKind("", "v1", "pods"),
    "Event": ResourceKind("", "v1", "events"),
    "Deployment": ResourceKind("apps", "v1", "deployments"),
    "Role": ResourceKind("rbac.authorization.k8s.io", "v1", "roles"),
    "RoleBinding": ResourceKind("rbac.authorization.k8s.io", "v1", "rolebindings"),
    "ServingRuntime": ResourceKind("serving.kserve.io", "v1alpha1", "servingruntimes"),
    "InferenceService": ResourceKind("serving.kserve.io", "v1beta1", "inferenceservices"),
    "LLMInferenceService": ResourceKind("serving.kserve.io", "v1alpha2", "llminferenceservices"),
}
NAMESPACES = ResourceKind("", "v1", "namespaces")
REPLICA_SETS = ResourceKind("apps", "v1", "replicasets")
JOBS = ResourceKind("batch", "v1", "jobs")
NODES = ResourceKind("", "v1", "nodes")
QUOTAS = ResourceKind("", "v1", "resourcequotas")
LIMITS = ResourceKind("", "v1", "limitranges")
OLD_PROFILES = ResourceKind("dashboard.opendatahub.io", "v1alpha1", "hardwareprofiles")
"""Of OpenShift AI up to 2.22."""
PROFILES = (
    ResourceKind("infrastructure.opendatahub.io", "v1", "hardwareprofiles"),
    ResourceKind("dashboard.opendatahub.io", "v1", "acceleratorprofiles"),
    OLD_PROFILES,
)
TEMPLATES = ResourceKind("template.openshift.io", "v1", "templates")
CLUSTERS = ResourceKind("datasciencecluster.opendatahub.io", "v1", "datascienceclusters")
SERVICES = ResourceKind("", "v1", "services")
ROUTES = (
    ResourceKind("networking.k8s.io", "v1", "ingresses"),
    ResourceKind("gateway.networking.k8s.io", "v1", "httproutes"),
    ResourceKind("networking.istio.io", "v1beta1", "virtualservices"),
)
"""What KServe makes of a service's name for a host outside, each if it is told to."""
REVIEWS = ResourceKind("authorization.k8s.io", "v1", "selfsubjectaccessreviews")
IDENTITY = ResourceKind("authentication.k8s.io", "v1", "selfsubjectreviews")
KSERVE_GROUP = "serving.kserve.io"


@dataclass(frozen=True, slots=True)
class Permission:
    """What a Role must grant for one request to pass.

    Attributes:
        verb: ``get``, ``list``, ``create``, ``patch`` or ``delete``.
        kind: Of the objects.
        namespace: Of the objects; empty means the whole cluster, which takes a ClusterRole.
        subresource: As in ``pods/log``.
    """

    verb: str
    kind: ResourceKind
    namespace: str
    subresource: str = ""

    @property
    def resource(self) -> str:
        """``plural`` or ``plural/subresource``."""
        return self.kind.plural + (f"/{self.subresource}" if self.subresource else "")

    def __str__(self) -> str:
        """Return the permission as a Role's rule, one line of YAML."""
        return as_yaml([self])[0]


def as_yaml(permissions: Iterable[Permission]) -> list[str]:
    """Return permissions as rules of a Role, lines of YAML: one per resource, verbs together."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for each in permissions:
        verbs.setdefault((each.kind.group or '""', each.resource), []).append(each.verb)
    return [
        f"- {{apiGroups: [{group}], resources: [{resource}], verbs: [{', '.join(each)}]}}"
        for (group, resource), each in verbs.items()
    ]
