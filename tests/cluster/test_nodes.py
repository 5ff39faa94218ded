"""A model that spans nodes, as the real KServe 0.20.0 admits it, makes its pods, and fails it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.command import carferry
from cluster.pods import ask
from cluster.rig.node import Node, Refused

IMAGE = "quay.io/team/granite@sha256:" + "ab" * 32
TRY = ("apply", "--server-side", "--dry-run=server", "-f", "-")
SLICES = ("--nodes", "2", "--gpu-resource", "nvidia.com/mig-3g.20gb", "--platform", "kserve")
SMALL = ("--cpu", "50m", "--memory", "64Mi", "--shm-size", "16Mi", "--gpu-count", "1")
# The stand-in's node alone has a kubelet; other tests bring some without.
HERE = (
    *("--node-selector", "kubernetes.io/hostname=node"),
    *("--tolerations", '[{"operator": "Exists"}]'),
)


def test_a_kserve_that_deletes_its_workers_is_refused_before_anything_is_written(
    node: Node, namespace: str, tmp_path: Path
) -> None:
    """kserve/kserve#6113: its webhooks take all of it, and no worker lives for a second."""
    done = carferry(
        node, tmp_path, "deploy", IMAGE, "--namespace", namespace, "--nodes", "2", "--wait-s", 0
    )
    assert (done.code, done.out) == (2, "")
    assert "deletes the workers as often as it makes them (kserve/kserve#6113)" in done.err
    assert node.get("-n", namespace, "servingruntimes,inferenceservices")["items"] == []


WRONG = [
    ("oci://", "oci+native://", "Multinode only supports 'pvc' and 'oci'"),
    ("autoscalerClass: none", "autoscalerClass: hpa", "Multinode only supports 'none' autoscaler"),
    ("gpu-resource-types", "gpu-resource-kinds", "[Uu]nknown GPU"),
    ("name: VLLM_HOST_IP", "name: TENSOR_PARALLEL_SIZE", "setting TENSOR_PARALLEL_SIZE"),
]


@pytest.mark.parametrize(("written", "instead", "said"), WRONG)
def test_what_carferry_writes_is_what_admission_asks_for(
    node: Node, namespace: str, tmp_path: Path, written: str, instead: str, said: str
) -> None:
    """Each word is needed: with another, the real webhooks refuse the same objects."""
    made = carferry(node, tmp_path, "render", IMAGE, "--namespace", namespace, *SLICES)
    assert made.code == 0, made.err
    assert node.kubectl(*TRY, stdin=made.out)
    broken = made.out.replace(written, instead)
    assert broken != made.out
    with pytest.raises(Refused, match=said):
        node.kubectl(*TRY, stdin=broken)


def test_going_back_to_one_node_is_refused_in_kserves_words(
    node: Node, namespace: str, tmp_path: Path
) -> None:
    words = ("render", IMAGE, "--namespace", namespace, "--platform", "kserve", "--stopped", "true")
    two, one = (carferry(node, tmp_path, *words, "--nodes", each).out for each in "21")
    node.kubectl("apply", "--server-side", "-f", "-", stdin=two)
    with pytest.raises(Refused, match="removing workerSpec where it already exists"):
        node.kubectl(*TRY, stdin=one)


@pytest.fixture
def mended(node: Node, namespace: str) -> Iterator[str]:
    """A namespace where KServe may not delete workers: all that #5899 mends, seen from outside."""
    rules = [
        {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": [name]}
        for group, name in (("apps", "deployments"), ("", "services"))
    ]
    kept = "['-worker', '-workers-', '-head-'].exists(each, oldObject.metadata.name.contains(each))"
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    policy: dict[str, Any] = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {"resourceRules": rules, "namespaceSelector": here},
            "validations": [{"expression": f"!{kept}"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {"policyName": namespace, "validationActions": ["Deny"]},
    }
    node.apply(policy, binding)
    time.sleep(3)  # until the API server enforces it
    yield namespace
    node.kubectl("delete", "validatingadmissionpolicybinding", namespace)
    node.kubectl("delete", "validatingadmissionpolicy", namespace)


def test_a_head_and_its_workers_find_each_other_and_serve(
    node: Node, mended: str, modelcar: str, vllm: str, tmp_path: Path
) -> None:
    """Three pods of KServe's making, each with the model from the image; the head waits for all."""
    where = ("--name", "wide", "--namespace", mended, "--nodes", "3", "--platform", "kserve")
    words = ("render", modelcar, *where, *SMALL, *HERE, "--runtime-image", vllm)
    made = carferry(node, tmp_path, *words)
    assert made.code == 0, made.err
    node.kubectl("apply", "--server-side", "-f", "-", stdin=made.out)
    head, log = "", ""
    for _ in range(60):
        pods = node.get("-n", mended, "pods")["items"]
        names = [each["metadata"]["name"] for each in pods]
        heads = [each for each in pods if "worker" not in each["metadata"]["name"]]
        conditions = [cond for each in heads for cond in each["status"].get("conditions", ())]
        if {"Ready": "True"}.items() <= {
            each["type"]: each["status"] for each in conditions
        }.items():
            head = heads[0]["metadata"]["name"]
            break
        time.sleep(2)
    assert head, node.kubectl("-n", mended, "get", "pods")
    assert len(names) == 3
    log = node.kubectl("-n", mended, "logs", head, "-c", "kserve-container")
    assert [f"node {rank} of 3 is there" in log for rank in (1, 2)] == [True, True]
    assert ask(node, heads[0], "/v1/models")["data"][0]["id"] == "wide"
