"""The resource types carferry touches, and the permissions to touch them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from carferry.errors import InputError

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource type: where its objects live in the API."""

    group: str
    version: str
    plural: str

    @classmethod
    def of(cls, obj: Object) -> Kind:
        """Return the kind of an object made by carferry.

        Raises:
            InputError: Not a kind carferry deploys.
        """
        found = KINDS.get(obj["kind"])
        if found is None or found.api_version != obj["apiVersion"]:
            raise InputError("deploy", obj["kind"], f"unknown kind in {obj['apiVersion']}")
        return found

    @property
    def api_version(self) -> str:
        """``group/version``, or the version alone in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str = "") -> str:
        """Return the URL path of the collection, or of one object in it."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" + (f"/{name}" if name else "")


KINDS: Mapping[str, Kind] = {
    "Secret": Kind("", "v1", "secrets"),
    "ServiceAccount": Kind("", "v1", "serviceaccounts"),
    "Pod": Kind("", "v1", "pods"),
    "Event": Kind("", "v1", "events"),
    "Deployment": Kind("apps", "v1", "deployments"),
    "Role": Kind("rbac.authorization.k8s.io", "v1", "roles"),
    "RoleBinding": Kind("rbac.authorization.k8s.io", "v1", "rolebindings"),
    "ServingRuntime": Kind("serving.kserve.io", "v1alpha1", "servingruntimes"),
    "InferenceService": Kind("serving.kserve.io", "v1beta1", "inferenceservices"),
}
JOBS = Kind("batch", "v1", "jobs")
NODES = Kind("", "v1", "nodes")
QUOTAS = Kind("", "v1", "resourcequotas")
LIMITS = Kind("", "v1", "limitranges")
PROFILES = (
    Kind("infrastructure.opendatahub.io", "v1", "hardwareprofiles"),
    Kind("dashboard.opendatahub.io", "v1", "acceleratorprofiles"),
)
REVIEWS = Kind("authorization.k8s.io", "v1", "selfsubjectaccessreviews")
IDENTITY = Kind("authentication.k8s.io", "v1", "selfsubjectreviews")
KSERVE_GROUP = "serving.kserve.io"


@dataclass(frozen=True, slots=True)
class Rule:
    """One permission: what a Role must hold for one request to pass.

    Attributes:
        verb: ``get``, ``list``, ``create``, ``patch`` or ``delete``.
        kind: Of the objects.
        namespace: Where; empty means in the whole cluster, which takes a ClusterRole.
        subresource: As in ``pods/log``.
    """

    verb: str
    kind: Kind
    namespace: str
    subresource: str = ""

    @property
    def resource(self) -> str:
        """``plural`` or ``plural/subresource``."""
        return self.kind.plural + (f"/{self.subresource}" if self.subresource else "")

    def __str__(self) -> str:
        """Return the rule as one line of YAML, fit for a Role's ``rules``."""
        return as_yaml([self])[0]


def as_yaml(rules: Iterable[Rule]) -> list[str]:
    """Return rules as lines of YAML for a Role: one per resource, its verbs together."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for rule in rules:
        verbs.setdefault((rule.kind.group or '""', rule.resource), []).append(rule.verb)
    return [
        f"- {{apiGroups: [{group}], resources: [{resource}], verbs: [{', '.join(each)}]}}"
        for (group, resource), each in verbs.items()
    ]
