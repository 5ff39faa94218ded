"""manifests/ on a real API server: it grants what the code needs, and no verb more."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from carferry.bundle.library import MAX_BYTES, Library
from carferry.cluster.api import Api, connect
from carferry.cluster.client import Cluster
from carferry.cluster.kinds import Permission
from carferry.cluster.rights import Need, to_deploy
from carferry.errors import CarferryError, ClusterError
from carferry.serve.form import make_deployment
from carferry.serve.settings import Deployment
from carferry.serve.step import deploy
from cluster.accounts import MANIFESTS, RUNNER, account, everything, grant, small
from cluster.conftest import Carferry
from cluster.rig.node import Node, Refused

NEEDS = to_deploy("demo", auth=True)
ROLES = {"carferry-runner": "", "carferry-auth": "auth"}


@dataclass(frozen=True)
class Project:
    """A project set up as the page says, and its pipeline account."""

    node: Node
    name: str
    login: Path

    def api(self) -> Api:
        return connect(kubeconfig=self.login)

    @contextmanager
    def without(self, permission: Permission) -> Iterator[None]:
        """Take one verb out of the Roles for a while."""
        taken = []
        for role in ROLES:
            found = self.node.get("role", role, "-n", self.name)
            rules = [_less(each, permission) for each in found["rules"]]
            if rules != found["rules"]:
                taken.append((role, found["rules"]))
                self._set(role, rules)
        assert taken, f"no Role grants {permission}"
        self._until(lambda: not self.api().may(permission))
        try:
            yield
        finally:
            for role, rules in taken:
                self._set(role, rules)
            self._until(lambda: self.api().may(permission))

    def _set(self, role: str, rules: list[Any]) -> None:
        change = json.dumps([{"op": "replace", "path": "/rules", "value": rules}])
        self.node.kubectl("patch", "role", role, "-n", self.name, "--type=json", "-p", change)

    def _until(self, is_so: Callable[[], bool]) -> None:
        """The API server's own view of Roles follows within moments."""
        end = time.monotonic() + 10
        while not is_so():
            assert time.monotonic() < end
            time.sleep(0.05)


def _less(rule: dict[str, Any], permission: Permission) -> dict[str, Any]:
    fits = permission.kind.group in rule["apiGroups"] and permission.resource in rule["resources"]
    if not fits or permission.verb not in rule["verbs"]:
        return rule
    left = [verb for verb in rule["verbs"] if verb != permission.verb]
    # A rule needs a verb; this one nobody asks for.
    return rule | {"verbs": left or ["deletecollection"]}


@pytest.fixture(scope="module")
def project(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    name = "manifests-" + str(time.time_ns())[-9:]
    node.kubectl("create", "namespace", name)
    for folder in ROLES.values():
        grant(node, folder, name)
    yield Project(node, name, account(node, name, tmp_path_factory.mktemp("login")))
    node.kubectl("delete", "namespace", name, "--wait=false")


def settings(project: Project, modelcar: str, vllm: str, name: str) -> Deployment:
    return make_deployment(
        modelcar, namespace=project.name, name=name, runtime_image=vllm, gpu_count=0,
        tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}], cpu="50m", memory="64Mi",
        shm_size="16Mi", platform="openshift-ai-3", auth=True,
    )  # fmt: skip


def test_with_the_roles_a_model_is_served_with_auth(
    project: Project, modelcar: str, vllm: str, carferry: Carferry
) -> None:
    """The whole way as the pipeline's account: sufficient."""
    words = small(modelcar, vllm, project.name, "served", "--auth", "true")
    words += ["--platform", "openshift-ai-3", "--kubeconfig", str(project.login)]
    done = carferry(*words, "--wait-s", "120")
    assert done.code == 0, done.err
    # The route's host leads nowhere here, so the answer came by the last two rights.
    assert "the API server's proxy: chat, " in done.err
    again = carferry(*words, "--wait-s", "120")
    assert "nothing to change\n" in again.err


@pytest.mark.parametrize(
    "need", NEEDS, ids=lambda n: f"{n.permission.verb}-{n.permission.resource}"
)
def test_a_verb_less_is_missed_and_named(
    project: Project, modelcar: str, vllm: str, carferry: Carferry, need: Need
) -> None:
    """Minimal: preflight names the very verb, and a deployment that skips preflight fails at it."""
    lacking = replace(need.permission, namespace=project.name)
    words = ("rights", "--auth", "--gpu", "none", "--platform", "openshift-ai-3", "--json")
    made = settings(project, modelcar, vllm, f"v{time.time_ns() % 10**9}")
    with project.without(lacking):
        done = carferry(*words, "--kubeconfig", project.login)
        (missing,) = json.loads(done.out)["missing"]
        assert (missing["permission"]["verb"], done.code) == (
            need.permission.verb,
            0 if need.without else 2,
        )
        assert missing["permission"]["kind"]["plural"] == need.permission.kind.plural
        if need.without:
            return  # what is lost without it has tests of its own
        with pytest.raises(CarferryError) as refused:
            deploy(made, Cluster(project.api()), wait_s=3)
    assert isinstance(refused.value, ClusterError)
    assert refused.value.status == 403
    assert f'cannot {need.permission.verb} resource "{need.permission.kind.plural}"' in str(
        refused.value
    )


def test_the_library_is_kept_whole_and_a_client_side_apply_could_not(
    node: Node, namespace: str
) -> None:
    """As large as a library may become: random bytes, which nothing shrinks."""
    archive = random.Random(1).randbytes(MAX_BYTES)
    made = Library("print()\n" * 3000, archive)
    with pytest.raises(Refused, match="Too long: may not be more than 262144 bytes"):
        node.kubectl("apply", "-n", namespace, "-f", "-", stdin=made.manifest)
    for _ in range(2):
        node.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", stdin=made.manifest)
    held = node.get("configmap", made.name, "-n", namespace)
    assert held["binaryData"] == yaml.safe_load(made.manifest)["binaryData"]


def test_what_was_applied_on_the_clients_side_is_taken_over(
    node: Node, namespace: str, tmp_path: Path
) -> None:
    """As an older version's page said, with an older version's rules; once by force, for good.

    A kubectl from 1.26 on would even see no conflict: it books the fields anew by itself.
    """
    older = tmp_path / "auth"
    shutil.copytree(MANIFESTS / "auth", older)
    text = (older / "auth.yaml").read_text()
    (older / "auth.yaml").write_text(text.replace("[get, create, patch]", "[create, patch]"))
    node.kubectl("apply", "-n", namespace, "-k", str(older))
    assert role(node, namespace)["rules"] != rules("auth")
    forced = ("apply", "--server-side", "--force-conflicts", "-k", str(MANIFESTS / "auth"))
    node.kubectl(*forced, "-n", namespace)
    taken = role(node, namespace)
    assert taken["rules"] == rules("auth")
    grant(node, "auth", namespace)
    assert role(node, namespace)["metadata"] == taken["metadata"]


def test_another_managers_rules_are_a_conflict_until_it_is_forced(
    node: Node, namespace: str
) -> None:
    """A GitOps controller's, say: kubectl names it, and the page says what to do."""
    other = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "carferry-auth", "namespace": namespace},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    words = ("apply", "--server-side", "--field-manager", "argocd-controller", "-f", "-")
    node.kubectl(*words, stdin=json.dumps(other))
    with pytest.raises(Refused, match=r'conflict with "argocd-controller".*\.rules'):
        grant(node, "auth", namespace)
    forced = ("apply", "--server-side", "--force-conflicts", "-k", str(MANIFESTS / "auth"))
    node.kubectl(*forced, "-n", namespace)
    assert role(node, namespace)["rules"] == rules("auth")


def role(node: Node, namespace: str) -> dict[str, Any]:
    return dict(node.get("role", "carferry-auth", "-n", namespace))


def rules(folder: str) -> list[Any]:
    made = next(yaml.safe_load_all((MANIFESTS / folder / f"{folder}.yaml").read_text()))
    return list(made["rules"])


def test_nodes_are_read_by_the_account_of_one_project(
    node: Node, namespace: str, tmp_path: Path
) -> None:
    """manifests/gpu-inventory as its comment says; cluster-wide, so it goes at the end."""
    login = account(node, namespace, tmp_path)
    text = node.kubectl("kustomize", str(MANIFESTS / "gpu-inventory"))
    text = text.replace("PROJECT", namespace).replace(
        "name: carferry-inventory\n", f"name: carferry-inventory-{namespace}\n"
    )
    node.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    try:
        api = connect(kubeconfig=login)
        for resource in ("nodes", "pods"):
            assert node.kubectl(
                "auth", "can-i", "list", resource, "-A",
                "--as", f"system:serviceaccount:{namespace}:{RUNNER}",
            ).startswith("yes")  # fmt: skip
        assert api.read("/api/v1/nodes")["items"]
    finally:
        node.kubectl("delete", "-f", "-", stdin=text)
    assert everything(node, namespace) == {}
