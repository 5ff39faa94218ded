"""What carferry render writes is taken by kustomize, and by the API server in any order."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from cluster.accounts import everything, small
from cluster.conftest import Carferry
from cluster.rig.node import Node

PLATFORMS = ("auto", "kserve", "openshift-ai-2.22", "openshift-ai-2.25", "openshift-ai-3")


def render(image: str, vllm: str, *more: str, namespace: str = "") -> list[str]:
    _, *words = small(image, vllm, namespace, "tiny", *more)
    return ["render", *words]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_folder_is_built_by_kustomize_and_taken_by_the_server(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry, tmp_path: Path,
    platform: str,
) -> None:  # fmt: skip
    """Without a project in it; both ways to apply are strict about fields they do not know."""
    folder = tmp_path / "gitops"
    more = ("--auth", "true", "--platform", platform, "--folder", str(folder))
    assert carferry(*render(modelcar, vllm, *more)).code == 0
    built = [*yaml.safe_load_all(node.kubectl("kustomize", str(folder)))]
    written = [*yaml.safe_load_all((folder / "tiny.yaml").read_text())]
    assert sorted(each["kind"] for each in built) == sorted(each["kind"] for each in written)
    strict = ("--dry-run=server", "--validate=strict", "-n", namespace)
    node.kubectl("apply", *strict, "-f", str(folder / "tiny.yaml"))
    node.kubectl("apply", "--server-side", *strict, "-k", str(folder))
    assert everything(node, namespace) == {}


def test_kustomize_puts_everything_into_its_project(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry, tmp_path: Path
) -> None:
    folder = tmp_path / "gitops"
    more = ("--auth", "true", "--platform", "openshift-ai-3", "--folder", str(folder))
    assert carferry(*render(modelcar, vllm, *more)).code == 0
    kustomization = folder / "kustomization.yaml"
    mine = kustomization.read_text().replace("# namespace: PROJECT", f"namespace: {namespace}")
    kustomization.write_text(mine)
    node.kubectl("apply", "--server-side", "-k", str(folder))
    first = everything(node, namespace)
    assert [*first] == [
        "Secret default-name-tiny-sa", "Secret tiny-uri", "ServingRuntime tiny",
        "InferenceService tiny", "ServiceAccount tiny-sa", "Role tiny-view-role",
        "RoleBinding tiny-view",
    ]  # fmt: skip
    account = f"system:serviceaccount:{namespace}:tiny-sa"
    asked = ("auth", "can-i", "get", "inferenceservices/tiny", "-n", namespace, "--as", account)
    assert node.kubectl(*asked) == "yes\n"
    # Rendered again: the user's kustomization stays, and the server sees no difference.
    assert carferry(*render(modelcar, vllm, *more)).code == 0
    assert kustomization.read_text() == mine
    node.kubectl("apply", "--server-side", "-k", str(folder))
    again = everything(node, namespace)
    del first["InferenceService tiny"], again["InferenceService tiny"]  # its status goes on
    assert again == first


def test_a_service_that_comes_before_its_runtime_finds_it(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry, tmp_path: Path
) -> None:
    """Argo CD applies both at once, in no order: KServe asks again, so no sync wave is needed."""
    file = tmp_path / "tiny.yaml"
    words = render(modelcar, vllm, "--platform", "kserve", "--output", str(file))
    assert carferry(*words).code == 0
    runtime, service = yaml.safe_load_all(file.read_text())
    for each in (service, runtime):
        node.kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(each))
        time.sleep(1)
    found = ("get", "deployment", "-n", namespace, "-o", "name")
    deadline = time.monotonic() + 60
    while not (made := node.kubectl(*found)) and time.monotonic() < deadline:
        time.sleep(1)
    assert made == "deployment.apps/tiny-predictor\n"


def test_what_was_rendered_and_applied_can_be_deployed(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry, tmp_path: Path
) -> None:
    """Carferry then owns its fields beside kubectl, and the model is not touched."""
    file = tmp_path / "tiny.yaml"
    more = ("--platform", "kserve", "--output", str(file))
    assert carferry(*render(modelcar, vllm, *more, namespace=namespace)).code == 0
    node.kubectl("apply", "-f", str(file))
    generation = ("get", "isvc", "tiny", "-n", namespace, "-o", "jsonpath={.metadata.generation}")
    before = node.kubectl(*generation)
    done = carferry(*small(modelcar, vllm, namespace, "tiny", "--wait-s", "0"))
    assert done.code == 0, done.err
    assert "InferenceService tiny: same fields, from now on carferry's own\n" in done.err
    assert node.kubectl(*generation) == before
