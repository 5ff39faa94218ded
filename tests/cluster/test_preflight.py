"""Before anything is written: rights, a dry run of all objects, and what would change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cluster.accounts import account, everything, grant, live, small
from cluster.conftest import Carferry
from cluster.rig.node import Node

AI = ("--platform", "openshift-ai-3")


@pytest.fixture
def deployed(node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry) -> list[str]:
    """A deployment that nobody waited for; the words that made it."""
    words = small(modelcar, vllm, namespace, "tiny", *AI, "--wait-s", "0")
    done = carferry(*words)
    assert done.code == 0, done.err
    return words


def test_all_that_is_missing_is_said_at_once_and_nothing_is_written(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry, tmp_path: Path
) -> None:
    """The login may deploy, but not with auth: no model stays behind without its access objects."""
    login = account(node, namespace, tmp_path)
    grant(node, "", namespace)
    words = small(modelcar, vllm, namespace, "tiny", *AI, "--auth", "true", "--wait-s", "0")
    words += ["--kubeconfig", str(login)]
    refused = carferry(*words)
    assert refused.code == 2
    assert (
        f"check the rights of {namespace}/pipeline-runner-dspa: 9 of 25 are missing: "
        "serviceaccounts (get, create, patch), roles (get, create, patch), rolebindings (get, "
        f"create, patch) in {namespace}; "
    ) in refused.err
    assert everything(node, namespace) == {
        name: version
        for name, version in everything(node, namespace).items()
        if name in ("Role carferry-runner", "RoleBinding carferry-runner")
    }
    printed = refused.err[refused.err.index("---\n") :].rpartition("carferry: ")[0]
    assert [each["kind"] for each in yaml.safe_load_all(printed)] == ["Role", "RoleBinding"]
    node.kubectl("apply", "--server-side", "-f", "-", stdin=printed)
    allowed = carferry(*words)
    assert allowed.code == 0, allowed.err
    assert "Role tiny-view-role: new" in allowed.err


def test_a_dry_run_lists_what_is_new_and_writes_nothing(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry
) -> None:
    words = small(modelcar, vllm, namespace, "tiny", *AI, "--auth", "true", "--dry-run")
    done = carferry(*words)
    assert (done.code, everything(node, namespace)) == (0, {})
    assert done.out.splitlines() == [
        "Secret tiny-uri: new",
        "ServingRuntime tiny: new",
        "InferenceService tiny: new",
        "ServiceAccount tiny-sa: new",
        "Role tiny-view-role: new",
        "RoleBinding tiny-view: new",
        "Secret default-name-tiny-sa: new",
    ]


def test_what_differs_is_said_field_by_field_and_whose_it_is(
    node: Node, namespace: str, carferry: Carferry, deployed: list[str]
) -> None:
    edit = {"spec": {"predictor": {"maxReplicas": 3}}}
    patch(node, namespace, "inferenceservice", edit, "odh-dashboard")
    before = everything(node, namespace)
    wanted = [*deployed, "--max-model-len", "128", "--cpu", "60m"]
    conflict = carferry(*wanted)
    line = (
        "InferenceService tiny: spec.predictor.maxReplicas: 3 -> 1 (set by odh-dashboard); give "
        "those fields up there, or take them over with --force\n"
    )
    assert conflict.code == 1
    assert conflict.err.endswith(
        f"deploy {namespace}/tiny: somebody else set what would change: {line}"
    )
    dry = carferry(*wanted, "--force", "--dry-run")
    assert dry.out.splitlines() == [
        "InferenceService tiny: spec.predictor.maxReplicas: 3 -> 1 (set by odh-dashboard)",
        "InferenceService tiny: spec.predictor.model.resources.limits.cpu: 50m -> 60m",
        "InferenceService tiny: spec.predictor.model.resources.requests.cpu: 50m -> 60m",
        'InferenceService tiny: spec.predictor.model.args: none -> ["--max-model-len=128"]',
    ]
    assert everything(node, namespace) == before
    assert carferry(*wanted, "--force").code == 0
    predictor = live(node, namespace, "inferenceservice", "tiny")["spec"]["predictor"]
    assert predictor["maxReplicas"] == 1


def test_values_that_may_be_secret_are_not_shown(
    node: Node, namespace: str, carferry: Carferry, deployed: list[str]
) -> None:
    where = {"data": {"URI": "b2NpOi8vc2VjcmV0LmV4YW1wbGU="}}
    patch(node, namespace, "secret", where, "kubectl-edit", "tiny-uri")
    env = [{"name": "HF_TOKEN", "value": "hf_abcdefghijklmnopqrstuvwxyz012345"}]
    variables = {"spec": {"predictor": {"model": {"env": env}}}}
    patch(node, namespace, "inferenceservice", variables, "odh-dashboard")
    done = carferry(*deployed, "--force", "--dry-run", "--env", "A=b")
    assert done.out.splitlines() == [
        "Secret tiny-uri: data.URI: (hidden) -> (hidden) (set by kubectl-edit)",
        'InferenceService tiny: spec.predictor.model.env: [{"name": "HF_TOKEN", "value": '
        '"(hidden)"}] -> [{"name": "HF_TOKEN", "value": "(hidden)"}, {"name": "A", "value": "b"}] '
        "(set by odh-dashboard)",
    ]


LIMITS = {
    "quota": (
        {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"limits.memory": "50Mi"}}},
        "exceeded quota: few, requested: limits.memory=79Mi",
    ),
    "limit range": (
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "spec": {"limits": [{"type": "Container", "min": {"memory": "32Mi"}}]},
        },
        # KServe's own container, of which no object of a deployment speaks
        "minimum memory usage per Container is 32Mi, but request is 15Mi",
    ),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_what_admission_will_say_of_the_pod_is_said_before(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry,
    limit: str, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    made, said = LIMITS[limit]
    node.apply(made | {"metadata": {"name": "few", "namespace": namespace}})
    done = carferry(*small(modelcar, vllm, namespace, "tiny", "--dry-run"))
    assert done.code == 0, done.err
    assert "the model's pod would be refused now: forbidden (403): pods" in caplog.text
    assert said in caplog.text


def test_what_the_server_warns_of_is_passed_on(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    node.kubectl("label", "ns", namespace, "pod-security.kubernetes.io/warn=restricted")
    done = carferry(*small(modelcar, vllm, namespace, "tiny", "--dry-run"))
    assert done.code == 0
    told = [r.getMessage() for r in caplog.records if "the cluster warns" in r.getMessage()]
    assert len(told) == 1
    assert told[0].startswith('the cluster warns: would violate PodSecurity "restricted:latest"')
    assert "modelcar-init" in told[0]


def test_a_cluster_that_refuses_one_object_has_none_of_them(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry
) -> None:
    """A quota on ServingRuntimes lets the Secret before it in; the dry run stops before both."""
    hard = {"count/servingruntimes.serving.kserve.io": "0"}
    about = {"name": "none", "namespace": namespace}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": about}
    node.apply(quota | {"spec": {"hard": hard}})
    done = carferry(*small(modelcar, vllm, namespace, "tiny", *AI, "--wait-s", "0"))
    assert done.code == 1
    assert "exceeded quota: none" in done.err
    assert everything(node, namespace) == {}


def patch(
    node: Node, namespace: str, kind: str, change: object, manager: str, name: str = "tiny"
) -> None:
    """Change an object as another manager does."""
    text = json.dumps(change)
    words = ("--type=merge", "-p", text, "--field-manager", manager)
    node.kubectl("patch", kind, name, "-n", namespace, *words)
