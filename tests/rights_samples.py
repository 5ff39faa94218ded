"""Accounts, what they may do, and a deployment, for the tests of rights."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from serve_samples import pod, ready_pod, rollout, service, settings
from servers.kube import KubeServer

from carferry.cluster.api import Api, connect
from carferry.cluster.client import Cluster
from carferry.cluster.kinds import Permission
from carferry.cluster.rights import Need
from carferry.serve.step import deploy

RUNNER = "system:serviceaccount:demo:pipeline-runner-dspa"


# What OpenShift AI's own Role gives the runner of what matters here, read in the operator's
# config/internal/apiserver/default/role_pipeline-runner.yaml.tmpl.
_ALL = ["get", "list", "watch", "create", "update", "patch", "delete"]


OWN_ROLES = {
    "rhoai-2.22": [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods", "pods/exec", "pods/log"], "verbs": ["*"]},
        {"apiGroups": ["", "apps"], "resources": ["deployments", "replicasets"], "verbs": ["*"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["*"]},
        {
            "apiGroups": ["serving.kserve.io"],
            "resources": ["inferenceservices"],
            "verbs": ["create", "get", "list", "patch", "delete"],
        },
    ],
    "rhoai-3.4": [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": _ALL},
        {"apiGroups": ["", "apps"], "resources": ["deployments", "replicasets"], "verbs": _ALL},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": _ALL},
        {
            "apiGroups": ["serving.kserve.io"],
            "resources": ["inferenceservices"],
            "verbs": ["create", "get", "list", "patch", "delete"],
        },
    ],
}


Object = dict[str, Any]


class FastClock:
    """Time that passes only in ``sleep``."""

    time = 1000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def reach(server: KubeServer, token: str = "t0ken") -> Callable[[], Api]:
    def open_api() -> Api:
        api = connect(host=server.url, token=token)
        api.namespace = "demo"
        return api

    return open_api


def a_rule(permission: Permission) -> Object:
    group, resource = permission.kind.group, permission.resource
    return {"apiGroups": [group], "resources": [resource], "verbs": [permission.verb]}


def hold(server: KubeServer, needs: list[Need]) -> None:
    """Let the caller have exactly these."""
    server.roles = {}
    for need in needs:
        server.roles.setdefault(need.permission.namespace, []).append(a_rule(need.permission))


def serve_in_time(server: KubeServer, *, namespace: str = "demo", auth: bool = False) -> None:
    """Deploy for real and wait; the pod is not ready at the first look."""
    server.store.script_once_applied(
        [service(), rollout(0), pod()], [service("True", url="http://x"), rollout(1), ready_pod()]
    )
    made = settings(namespace=namespace, auth=str(auth).lower())
    done = deploy(made, Cluster(reach(server)()), wait_s=60, clock=FastClock())
    assert done.ready


def jwt(claims: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{part}.c2lnbmF0dXJl"
