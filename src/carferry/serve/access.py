"""Who may call a deployed model: the token objects the dashboard makes when auth is on.

Source: opendatahub-io/odh-dashboard (token auth of a deployment); the proxy in front of the
model lets a caller in who may ``get`` this one InferenceService.
"""

from __future__ import annotations

from carferry.cluster.kinds import Object

_RBAC = "rbac.authorization.k8s.io"
_LABELS = {"opendatahub.io/dashboard": "true"}


def access_objects(name: str, namespace: str) -> list[Object]:
    """Make ServiceAccount, Role, RoleBinding and token Secret of one InferenceService."""
    account = account_name(name)
    return [
        _object("v1", "ServiceAccount", account, namespace),
        _object(f"{_RBAC}/v1", "Role", f"{name}-view-role", namespace)
        | {
            "rules": [
                {
                    "apiGroups": ["serving.kserve.io"],
                    "resources": ["inferenceservices"],
                    "resourceNames": [name],
                    "verbs": ["get"],
                }
            ]
        },
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


def placed(namespace: str) -> dict[str, str]:
    """Return the part of an object that says where it is; nothing if its applier decides."""
    return {"namespace": namespace} if namespace else {}


def owned_by(obj: Object, owner: Object) -> Object:
    """Return obj owned by owner, so that deleting the deployment deletes it too.

    Args:
        obj: An object as made here.
        owner: The InferenceService as the API server returned it, with its uid.
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
    metadata = {"name": name, **placed(namespace), "labels": dict(_LABELS)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}
