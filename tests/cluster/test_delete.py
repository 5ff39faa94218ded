"""carferry delete removes what carferry made, says so, and names what it leaves."""

from __future__ import annotations

import json
import time

import pytest

from cluster.accounts import everything, small
from cluster.conftest import Carferry
from cluster.rig.node import Node

AI = ("--platform", "openshift-ai-3")


def test_what_somebody_else_made_under_such_a_name_stays_and_is_named(
    node: Node, namespace: str, carferry: Carferry
) -> None:
    node.kubectl("create", "serviceaccount", "tiny-sa", "-n", namespace)
    words = ("-n", namespace, "--verb=get", "--resource=pods")
    node.kubectl("create", "role", "tiny-view-role", *words)
    before = everything(node, namespace)
    done = carferry("delete", "tiny", "--namespace", namespace)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "left    Role tiny-view-role: made by kubectl-create, not by carferry",
        "left    ServiceAccount tiny-sa: made by somebody else, not by carferry",
        f"next    if they are yours: oc delete -n {namespace} "
        "Role/tiny-view-role ServiceAccount/tiny-sa",
    ]
    assert everything(node, namespace) == before


def test_an_edit_in_the_dashboard_makes_an_object_nobody_elses(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry
) -> None:
    assert carferry(*small(modelcar, vllm, namespace, "tiny", "--wait-s", "0")).code == 0
    change = json.dumps({"spec": {"predictor": {"maxReplicas": 2}}})
    words = ("--type=merge", "-p", change, "--field-manager", "odh-dashboard")
    node.kubectl("patch", "inferenceservice", "tiny", "-n", namespace, *words)
    assert carferry("delete", "tiny", "--namespace", namespace).code == 0
    assert everything(node, namespace) == {}


def test_a_connection_that_another_model_uses_stays(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry
) -> None:
    assert carferry(*small(modelcar, vllm, namespace, "tiny", *AI, "--wait-s", "0")).code == 0
    other = node.get("inferenceservice", "tiny", "-n", namespace)
    about = {
        "name": "other",
        "namespace": namespace,
        "annotations": {"opendatahub.io/connections": "tiny-uri"},
    }
    made = {key: other[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": about}
    node.apply(made)
    done = carferry("delete", "tiny", "--namespace", namespace)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "removed InferenceService tiny",
        "left    ServingRuntime tiny: InferenceService other uses it",
        "left    Secret tiny-uri: InferenceService other uses it",
    ]
    node.kubectl("delete", "inferenceservice", "other", "-n", namespace)
    assert carferry("delete", "tiny", "--namespace", namespace).out.splitlines() == [
        "removed ServingRuntime tiny",
        "removed Secret tiny-uri",
    ]


def test_a_connection_gets_a_login_and_loses_it_again(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry
) -> None:
    """No Secret changes its type: the API server refuses that, so each type has its own name."""
    words = ("--docker-server=quay.io", "--docker-username=u", "--docker-password=p")
    node.kubectl("create", "secret", "docker-registry", "quay", "-n", namespace, *words)
    for more, name in (((), "tiny-uri"), (("--pull-secret", "quay"), "tiny-oci"), ((), "tiny-uri")):
        done = carferry(*small(modelcar, vllm, namespace, "tiny", *AI, *more, "--wait-s", "0"))
        assert done.code == 0, done.err
        marks = node.get("inferenceservice", "tiny", "-n", namespace)["metadata"]["annotations"]
        assert marks["opendatahub.io/connections"] == name
    assert carferry("delete", "tiny", "--namespace", namespace).code == 0
    assert [*everything(node, namespace)] == ["Secret quay"]


def test_a_finalizer_that_hangs_is_named_and_a_later_run_goes_on(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry
) -> None:
    assert carferry(*small(modelcar, vllm, namespace, "tiny", *AI, "--wait-s", "0")).code == 0
    hold(node, namespace, ["modelregistry.opendatahub.io/finalizer"])
    began = time.monotonic()
    done = carferry("delete", "tiny", "--namespace", namespace, "--wait-s", "6")
    assert (done.code, done.out) == (1, "")
    assert time.monotonic() - began < 12
    assert done.err.endswith(
        f"carferry: delete {namespace}/tiny: after 6 s InferenceService tiny is still there (held "
        "by the finalizer modelregistry.opendatahub.io/finalizer); then delete it again\n"
    )
    assert "ServingRuntime tiny" in everything(node, namespace)
    hold(node, namespace, [])
    again = carferry("delete", "tiny", "--namespace", namespace)
    assert again.code == 0, again.err
    assert everything(node, namespace) == {}


def test_nothing_is_there_in_a_project_that_is_none(carferry: Carferry) -> None:
    done = carferry("delete", "tiny", "--namespace", "no-such-project")
    assert (done.code, done.out) == (0, "nothing of no-such-project/tiny is there\n")


@pytest.mark.parametrize("name", ["Not_A_Name", "", "n" * 60])
def test_a_name_that_cannot_be_meant_is_refused(carferry: Carferry, name: str) -> None:
    assert carferry("delete", name).code == 2


def hold(node: Node, namespace: str, finalizers: list[str]) -> None:
    """Let finalizers hold the service beside KServe's own, as Model Registry's does."""
    found = node.get("inferenceservice", "tiny", "-n", namespace)["metadata"]
    own = [each for each in found.get("finalizers", ()) if "modelregistry" not in each]
    change = json.dumps({"metadata": {"finalizers": [*own, *finalizers]}})
    words = ("--type=merge", "-p", change)
    node.kubectl("patch", "inferenceservice", "tiny", "-n", namespace, *words)
