"""The node itself: it is what the tests take it for."""

from __future__ import annotations

import json
import time

import pytest

from cluster.rig.node import Node, Refused


def test_a_pod_runs(node: Node, namespace: str) -> None:
    """An image is pulled by the registry's address outside."""
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists"}
    words = ["sh", "-c", "echo hello from $(hostname)"]
    container = {"name": "main", "image": f"{node.registry}/rig/busybox:1", "command": words}
    spec = {"containers": [container], "tolerations": [toleration], "restartPolicy": "Never"}
    about = {"name": "hello", "namespace": namespace}
    node.apply({"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec})
    condition = "--for=jsonpath={.status.phase}=Succeeded"
    node.kubectl("wait", "-n", namespace, "pod/hello", "--timeout=60s", condition)
    assert node.kubectl("logs", "-n", namespace, "hello") == "hello from hello\n"


def test_the_node_claims_eight_gpus(node: Node) -> None:
    """They count for the scheduler; no pod gets there without tolerating NVIDIA's taint."""
    found = node.get("node", "node")
    assert found["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    assert found["metadata"]["labels"]["nvidia.com/gpu.product"] == "NVIDIA-L40S"
    assert [each["key"] for each in found["spec"]["taints"]] == ["nvidia.com/gpu"]


def test_kubectl_names_what_it_was_refused(node: Node) -> None:
    """A failure carries kubectl's own words."""
    with pytest.raises(Refused, match='namespaces "no-such" not found'):
        node.kubectl("get", "namespace", "no-such")


def test_kserve_refuses_what_its_webhooks_refuse(node: Node, namespace: str) -> None:
    """Its manager answers, not only its definitions."""
    model = {"modelFormat": {"name": "vLLM"}, "storageUri": "oci://registry.example/model:v1"}
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "9-begins-with-a-digit", "namespace": namespace},
        "spec": {"predictor": {"model": model}},
    }
    with pytest.raises(Refused, match="denied the request"):
        node.kubectl("apply", "-f", "-", stdin=json.dumps(service))


def test_an_address_of_a_service_answers_inside(node: Node) -> None:
    """kube-proxy works: the API server by its service's address."""
    began = time.monotonic()
    address = "https://10.96.0.1/version"
    said = node.run("busybox", "wget", "-q", "-O-", "--no-check-certificate", address)
    assert json.loads(said)["gitVersion"] == "v1.35.4"
    assert time.monotonic() - began < 5


def test_carferry_pushed_a_modelcar(node: Node, modelcar: str) -> None:
    """It is in the registry that the kubelet pulls from."""
    assert modelcar.startswith(f"{node.registry}/models/tiny@sha256:")
