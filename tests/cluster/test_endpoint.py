"""A deployed model is asked on the real node: through the API server, from the node, or not."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.accounts import account, grant, live, small
from cluster.conftest import Carferry
from cluster.rig.node import Node


def test_what_is_ready_is_asked_and_can_be_measured(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry, tmp_path: Path
) -> None:
    words = small(modelcar, vllm, namespace, "tiny", "--wait-s", "90", "--max-model-len", "64")
    words += ["--env", "STANDIN_FIRST_TOKEN_S=0.05\nSTANDIN_TOKENS_PER_S=100"]
    words += ["--cpu", "200m", "--memory", "128Mi"]
    done = carferry(*words)
    assert done.code == 0, done.err
    assert f"{namespace}/tiny answers through the API server's proxy: chat, '" in done.err

    found = carferry("test", "tiny", "--namespace", namespace, "--load", "short", "--json", "-q")
    tested = json.loads(found.out)
    assert (tested["task"], tested["model"], tested["max_model_len"]) == ("chat", "tiny", 64)
    assert tested["kv_tokens"] == 256
    assert all(level["failures"] == 0 for level in tested["levels"]), tested["levels"]
    assert found.code == 0
    assert [level["streams"] for level in tested["levels"]] == [1, 4, 16]
    one = tested["levels"][0]
    assert 0.05 <= one["first"]["median"] < 1
    assert 40 < one["stream_rate"] < 110

    wrong = carferry("test", "tiny", "--namespace", namespace, "--model", "granite")
    assert wrong.code == 1
    assert "no model granite is served, but tiny; pass --model with one of these" in wrong.err
    nobody = carferry("test", "granite", "--namespace", namespace)
    assert f"no InferenceService of that name in {namespace}: there is tiny" in nobody.err
    from_inside(node, namespace)
    by_a_login_of_few_rights(node, namespace, words, carferry, tmp_path)


def from_inside(node: Node, namespace: str) -> None:
    """The service's own address leads there from where pods are."""
    place = "jsonpath={.spec.clusterIP}"
    address = node.kubectl("get", "service", "tiny-predictor", "-n", namespace, "-o", place)
    root = Path(__file__).parents[2]
    said = node.run(str(root / ".venv/bin/carferry"), "test", f"http://{address.strip()}")
    assert "model tiny, up to 64 tokens" in said


def by_a_login_of_few_rights(
    node: Node, namespace: str, words: list[str], carferry: Carferry, folder: Path
) -> None:
    """Whoever may not use the proxy deploys all the same, and is told what was not done."""
    login = account(node, namespace, folder)
    grant(node, "", namespace)
    rules = live(node, namespace, "role", "carferry-runner")["rules"]
    kept = [each for each in rules if not any("proxy" in name for name in each["resources"])]
    narrowed = ("--type=merge", "-p", json.dumps({"rules": kept}))
    node.kubectl("patch", "role", "carferry-runner", "-n", namespace, *narrowed)
    done = carferry(*words, "--kubeconfig", str(login))
    assert done.code == 0, done.err
    assert "Not asked: no way leads there from here (services/proxy" in done.err
    refused = carferry("test", "tiny", "--namespace", namespace, "--kubeconfig", str(login))
    assert refused.code == 1
    assert "resources: [services/proxy], verbs: [get, create]" in refused.err


def test_what_is_not_ready_says_so(
    namespace: str, modelcar: str, vllm: str, carferry: Carferry
) -> None:
    words = small(modelcar, vllm, namespace, "slow", "--wait-s", "0")
    assert carferry(*words, "--env", "STANDIN_FAIL=hang").code == 0
    found = carferry("test", "slow", "--namespace", namespace)
    assert found.code == 1
    assert f"test {namespace}/slow: it is not ready: " in found.err, found.err
