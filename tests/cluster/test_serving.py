"""A model that carferry deploys is served by the real KServe, in every way that KServe has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from servers import models

from cluster.command import ANYWHERE, SMALL, Outcome, carferry
from cluster.pods import ask, pod_of
from cluster.rig.node import Node

NAME = "tiny"
PROJECTS_USER = 1000660000
HASHES = """
import hashlib, json, pathlib
root = pathlib.Path("/mnt/models")
files = [path for path in root.rglob("*") if path.is_file()]
hashes = {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()) for path in files}
print(json.dumps({path: each.hexdigest() for path, each in hashes.items()}))
"""


@pytest.fixture(scope="module")
def words(shared_namespace: str, modelcar: str, vllm: str) -> tuple[str, ...]:
    """A deployment, as the command line takes it."""
    where = ("--name", NAME, "--namespace", shared_namespace)
    return (modelcar, *where, *SMALL, *ANYWHERE, "--runtime-image", vllm)


@pytest.fixture(scope="module")
def served(node: Node, words: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the first deployment said."""
    return carferry(node, tmp_path_factory.mktemp("home"), "deploy", *words, "--wait-s", 120)


def test_a_deployment_is_served(node: Node, served: Outcome, shared_namespace: str) -> None:
    """The server answers for the model by its name, through its service."""
    assert served.code == 0, served.err
    assert f"{shared_namespace}/{NAME}" in served.out
    pod = pod_of(node, shared_namespace, NAME)
    found = ask(node, pod, "/v1/models")
    assert found["data"][0] | {"id": NAME, "root": "/mnt/models"} == found["data"][0]


@pytest.mark.usefixtures("served")
def test_the_servers_files_are_the_models(node: Node, shared_namespace: str) -> None:
    """Byte for byte, through the link that KServe's sidecar makes."""
    assert _hashes(node, pod_of(node, shared_namespace, NAME)) == _expected()


@pytest.mark.usefixtures("served")
def test_a_second_deployment_changes_nothing(
    node: Node, words: tuple[str, ...], shared_namespace: str, tmp_path: Path
) -> None:
    """No object gets another version, those that KServe makes of ours included."""
    before = _versions(node, shared_namespace)
    again = carferry(node, tmp_path, "deploy", *words, "--wait-s", 60)
    assert again.code == 0, again.err
    assert _versions(node, shared_namespace) == before


def test_one_user_runs_both_where_kserve_names_none(
    node: Node, kserve: Callable[..., None], words: tuple[str, ...], tmp_path: Path
) -> None:
    """Without ``uidModelcar``, as OpenShift AI sets KServe up, where each project has a user.

    The server reaches the model through ``/proc/PID/root``, which the kernel allows the same user.
    """
    kserve(uid_modelcar=None)
    objects = _rendered(node, tmp_path, *words, "--name", "one-user")
    predictor = objects["InferenceService"]["spec"]["predictor"]
    predictor["securityContext"] = {"runAsUser": PROJECTS_USER, "runAsGroup": 0}
    pod = _applied(node, objects)
    users = [each.get("securityContext", {}).get("runAsUser") for each in pod["spec"]["containers"]]
    assert users == [None, None]
    assert _hashes(node, pod) == _expected()


def test_the_kubelet_mounts_the_image_itself(
    node: Node, words: tuple[str, ...], tmp_path: Path
) -> None:
    """As an image volume, with ``oci+native://``: no sidecar, the same files."""
    how = ("--platform", "kserve", "--mount", "native")
    objects = _rendered(node, tmp_path, *words, "--name", "native", *how)
    pod = _applied(node, objects)
    assert [each["name"] for each in pod["spec"]["containers"]] == ["kserve-container"]
    assert [each["image"] for each in pod["spec"]["volumes"] if "image" in each]
    assert _hashes(node, pod) == _expected()


def _rendered(node: Node, home: Path, *words: object) -> dict[str, Any]:
    """Return the objects of a deployment by kind."""
    done = carferry(node, home, "render", *words)
    assert done.code == 0, done.err
    return {each["kind"]: each for each in yaml.safe_load_all(done.out) if each}


def _applied(node: Node, objects: dict[str, Any]) -> Any:
    """Apply a deployment's objects, wait until it serves, and return its pod."""
    node.apply(*objects.values())
    about = objects["InferenceService"]["metadata"]
    name, namespace = about["name"], about["namespace"]
    where = ("-n", namespace, f"inferenceservice/{name}")
    node.kubectl("wait", *where, "--for=condition=Ready", "--timeout=60s")
    return pod_of(node, namespace, name)


def _expected() -> dict[str, str]:
    return {name: hashlib.sha256(body).hexdigest() for name, body in models.tiny().items()}


def _hashes(node: Node, pod: Any) -> dict[str, str]:
    about = pod["metadata"]
    where = ("exec", "-n", about["namespace"], about["name"], "-c", "kserve-container")
    return dict(json.loads(node.kubectl(*where, "--", "python3", "-c", HASHES)))


def _versions(node: Node, namespace: str) -> dict[str, str]:
    kinds = "secrets,servingruntimes,inferenceservices,deployments,services,pods"
    items = node.get("-n", namespace, kinds)["items"]
    return {
        f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"]
        for each in items
        if each["metadata"]["name"].startswith(NAME)
    }
