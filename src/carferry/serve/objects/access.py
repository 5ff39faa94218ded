"""Who may call a deployed model: the token objects the dashboard makes when auth is on.

Source: opendatahub-io/odh-dashboard (token auth of a deployment); the proxy in front of the
model lets a caller in who may ``get`` this one service.
"""

from __future__ import annotations

from carferry.cluster.kinds import Object
from carferry.serve.objects.metadata import DASHBOARD, placed

_RBAC = "rbac.authorization.k8s.io"


def access_objects(name: str, namespace: str, resource: str = "inferenceservices") -> list[Object]:
    """Make ServiceAccount, Role, RoleBinding and token Secret of one service.

    Args:
        name: Of the service.
        namespace: Its project.
        resource: Plural of its kind, as a Role names it.
    """
    account = account_name(name)
    rule = {
        "apiGroups": ["serving.kserve.io"],
        "resources": [resource],
        "resourceNames": [name],
        "verbs": ["get"],
    }
    return [
        _object("v1", "ServiceAccount", account, namespace),
        _object(f"{_RBAC}/v1", "Role", f"{name}-view-role", namespace) | {"rules": [rule]},
        _object(f"{_RBAC}/v1", "RoleBinding", f"{name}-view", namespace)
        | {
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": f"{name}-view-role"},
            "subjects": [{"kind": "ServiceAccount", "name": account, **placed(namespace)}],
        },
        _token(name, namespace),
    ]


def account_name(name: str) -> str:
    """Return the name of the ServiceAccount whose token opens the model."""
    return f"{name}-sa"


def owned_by(obj: Object, owner: Object) -> Object:
    """Return obj owned by owner, so that deleting the deployment deletes it too.

    Args:
        obj: An object as made here.
        owner: The service as the API server returned it, with its uid.
    """
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": False,
    }
    return obj | {"metadata": obj["metadata"] | {"ownerReferences": [reference]}}


def _token(name: str, namespace: str) -> Object:
    account = account_name(name)
    secret = _object("v1", "Secret", f"default-name-{account}", namespace)
    secret["metadata"]["annotations"] = {
        "kubernetes.io/service-account.name": account,
        "openshift.io/display-name": "default-name",
    }
    return secret | {"type": "kubernetes.io/service-account-token"}


def _object(version: str, kind: str, name: str, namespace: str) -> Object:
    metadata = {"name": name, **placed(namespace), "labels": dict(DASHBOARD)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}
