"""A second run of every command changes nothing: no resourceVersion is another."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cluster.accounts import MANIFESTS, account, everything, grant, small
from cluster.conftest import Carferry
from cluster.rig.node import Node

AI = ("--platform", "openshift-ai-3")
DEPLOYMENTS = {
    "plain": (),
    "with auth": (*AI, "--auth", "true"),
    "exposed, with settings": (
        "--external-route",
        "true",
        "--env",
        "A=b",
        "--max-model-len",
        "64",
        "--vllm-args",
        "--seed 1",
    ),
    "stopped": ("--stopped", "true"),
}


@pytest.mark.parametrize("how", DEPLOYMENTS)
def test_a_deployment_is_repeated(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry, how: str
) -> None:
    words = small(modelcar, vllm, namespace, "tiny", *DEPLOYMENTS[how])
    first = carferry(*words, "--wait-s", "0")
    assert first.code == 0, first.err
    before = written(node, namespace)
    again = carferry(*words, "--wait-s", "0")
    assert again.code == 0, again.err
    assert "nothing to change\n" in again.err
    assert carferry(*words, "--dry-run").out == "nothing to change\n"
    assert written(node, namespace) == before


def test_what_was_rendered_and_applied_by_hand_is_taken_over_without_force(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry, tmp_path: Path
) -> None:
    """As the README has it, and then ``deploy``, which on KServe adds the user to run as."""
    words = small(modelcar, vllm, namespace, "tiny")
    file = tmp_path / "tiny.yaml"
    assert carferry("render", *words[1:], "--output", str(file)).code == 0
    node.kubectl("apply", "--server-side", "-f", str(file))
    left = carferry("delete", "tiny", "--namespace", namespace)
    assert left.code == 2
    assert "oc delete -n" in left.out.splitlines()[-1]
    done = carferry(*words, "--wait-s", "0")
    assert done.code == 0, done.err
    assert "securityContext.runAsUser: none -> 1001\n" in done.err
    assert carferry(*words, "--dry-run").out == "nothing to change\n"
    other = carferry(*words, "--wait-s", "0", "--max-replicas", "2")
    assert other.code == 1
    assert "maxReplicas: 1 -> 2 (set by kubectl)" in other.err
    gone = carferry("delete", "tiny", "--namespace", namespace)
    assert (gone.code, gone.out.splitlines()) == (0, [
        "removed InferenceService tiny",
        "removed ServingRuntime tiny",
        "left    Secret tiny-uri: made by kubectl, not by carferry",  # KServe needs none
        f"next    if they are yours: oc delete -n {namespace} Secret/tiny-uri",
    ])  # fmt: skip


def test_a_deployment_that_serves_is_repeated_and_removed(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry
) -> None:
    """Its pods are gone when the removal ends: they held the GPUs."""
    node.kubectl("create", "secret", "generic", "mine", "-n", namespace)
    words = small(modelcar, vllm, namespace, "tiny", *AI, "--auth", "true", "--wait-s", "120")
    first = carferry(*words)
    assert first.code == 0, first.err
    before = settled(node, namespace)
    again = carferry(*words)
    assert (again.code, again.out) == (0, first.out)
    assert again.seconds < 10
    assert everything(node, namespace) == before
    gone = carferry("delete", "tiny", "--namespace", namespace)
    assert gone.code == 0, gone.err
    assert gone.out.splitlines() == [
        "removed InferenceService tiny",
        "removed ServingRuntime tiny",
        "removed Secret tiny-uri",
        "removed RoleBinding tiny-view",
        "removed Role tiny-view-role",
        "removed Secret default-name-tiny-sa",
        "removed ServiceAccount tiny-sa",
    ]
    assert [*everything(node, namespace)] == ["Secret mine"]
    assert node.get("pods", "-n", namespace)["items"] == []
    again = carferry("delete", "tiny", "--namespace", namespace)
    assert (again.code, again.out) == (0, f"nothing of {namespace}/tiny is there\n")


def test_rights_are_asked_and_nothing_is_left_of_it(
    node: Node, namespace: str, carferry: Carferry, tmp_path: Path
) -> None:
    login = account(node, namespace, tmp_path)
    before = everything(node, namespace)
    words = ("rights", "--kubeconfig", login, "--auth", "--delete")
    first, second = carferry(*words), carferry(*words)
    assert first.code == second.code == 2
    assert first.out == second.out
    assert everything(node, namespace) == before
    node.kubectl("apply", "--server-side", "-f", "-", stdin=first.out)
    granted = everything(node, namespace)
    node.kubectl("apply", "--server-side", "-f", "-", stdin=first.out)
    assert everything(node, namespace) == granted


@pytest.mark.parametrize("folder", ["", "auth", "llm", "buildah"])
def test_manifests_are_applied_again(node: Node, namespace: str, folder: str) -> None:
    kinds = "roles,rolebindings,serviceaccounts"
    kinds += ",configmaps" if not folder else ""

    def versions() -> dict[str, str]:
        found = node.get(kinds, "-n", namespace, "-l", "app.kubernetes.io/part-of=carferry")
        return {
            f"{each['kind']} {each['metadata']['name']}": each["metadata"]["resourceVersion"]
            for each in found["items"]
        }

    assert (MANIFESTS / folder / "kustomization.yaml").is_file()
    grant(node, folder, namespace)
    before = versions()
    assert before
    grant(node, folder, namespace)
    assert versions() == before


def written(node: Node, namespace: str) -> dict[str, str]:
    """Return what is there; of the service, whose status its controller writes, what we wrote."""
    found = everything(node, namespace)
    about = node.get("inferenceservice", "tiny", "-n", namespace, "--show-managed-fields")
    ours = [each for each in about["metadata"]["managedFields"] if each["manager"] == "carferry"]
    assert ours
    service = f"{about['metadata']['generation']} {ours}"  # the times of our writes among them
    return found | {"InferenceService tiny": service}


def settled(node: Node, namespace: str) -> dict[str, str]:
    """Return what is there once the service's controller has written no status for a second."""
    seen = everything(node, namespace)
    for _ in range(20):
        time.sleep(1)
        before, seen = seen, everything(node, namespace)
        if seen == before:
            return seen
    raise AssertionError("the service's controller never rests")
