"""The plan reads every shape of GPU node from the real API server, and places what fits there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from gpu.samples import LLAMA, llama_file
from servers import models

import carferry
from carferry import DoesNotFit
from carferry.cluster.api import connect
from carferry.gpu.inventory.listing import paged
from carferry.gpu.inventory.nodes import NodeGroup
from carferry.gpu.inventory.read import read_inventory
from cluster import gpu_nodes
from cluster.projects import set_limits, set_quota
from cluster.rig.node import Node

SEEN = {
    "shape-t4": [("T4", "nvidia.com/gpu", 1)],
    "shape-l40s": [("L40S", "nvidia.com/gpu", 1)],
    "shape-a100": [("A100-80GB", "nvidia.com/gpu", 2)],
    "shape-h100": [("H100-80GB", "nvidia.com/gpu", 8)],
    "shape-mig": [
        ("A100-80GB-MIG-1g.10gb", "nvidia.com/mig-1g.10gb", 4),
        ("A100-80GB-MIG-3g.40gb", "nvidia.com/mig-3g.40gb", 2),
    ],
    "shape-mi300x": [("MI300X", "amd.com/gpu", 8)],
}
"""Of each node: product, resource and how many."""
VLLM = "quay.io/me/vllm-rocm:1"
WHOLE = "requests.nvidia.com/gpu"
COUNTED = ("wait", "--for=jsonpath={.status.hard}", "--timeout=30s")


@pytest.fixture(scope="module")
def fleet(node: Node) -> Iterator[dict[str, list[NodeGroup]]]:
    """Every shape of node, and what is read of each."""
    with gpu_nodes.standing(node):
        api = connect(kubeconfig=node.kubeconfig)
        groups = read_inventory(paged(api.read), namespace="default").groups
        yield {name: [each for each in groups if each.example == name] for name in SEEN}


@pytest.fixture
def model(tmp_path: Path, node: Node, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model that fits anywhere; the plan asks the node's API server."""
    monkeypatch.setenv("KUBECONFIG", str(node.kubeconfig))
    files = {"config.json": json.dumps(LLAMA).encode(), "model.safetensors": llama_file(LLAMA)}
    return str(models.write(files, tmp_path / "model"))


@pytest.mark.parametrize("name", SEEN)
def test_a_node_is_read_by_its_labels(fleet: dict[str, list[NodeGroup]], name: str) -> None:
    found = sorted((each.gpu.name, each.resource, each.total) for each in fleet[name])
    assert found == SEEN[name]
    assert {each.free for each in fleet[name]} == {each.total for each in fleet[name]}


def test_a_plan_brings_the_toleration_of_its_node(fleet: dict[str, list[NodeGroup]]) -> None:
    for name, groups in fleet.items():
        keys = {each.key for group in groups for each in group.tolerations}
        assert keys == {"amd.com/gpu" if name == "shape-mi300x" else "nvidia.com/gpu"}


@pytest.mark.usefixtures("fleet")
def test_what_the_plan_chose_is_what_a_deployment_may_ask_for(model: str, namespace: str) -> None:
    """The resource and the tolerations of the plan's choice pass the deployment's own checks."""
    wanted = carferry.fit(model, namespace=namespace).deployment
    image = "quay.io/me/tiny@sha256:" + "0" * 64
    own = {} if wanted["gpu_resource"].startswith("nvidia.com/") else {"runtime_image": VLLM}
    made = carferry.render(image, namespace=namespace, **wanted, **own)
    assert f"{wanted['gpu_resource']}: " in made.manifest.replace('"', "")


@pytest.mark.usefixtures("fleet")
def test_a_quota_bounds_the_plan(node: Node, model: str, namespace: str) -> None:
    none = {WHOLE: "0", "requests.nvidia.com/mig-1g.10gb": "0"}
    none |= {"requests.nvidia.com/mig-3g.40gb": "0", "requests.amd.com/gpu": "0"}
    set_quota(node, namespace, **none)
    node.kubectl(*COUNTED, "-n", namespace, "resourcequota/of-the-tests")
    found = carferry.fit(model, namespace=namespace)
    with pytest.raises(DoesNotFit, match="quota"):
        found.require()


@pytest.mark.usefixtures("fleet")
def test_a_limit_of_one_pod_bounds_the_plan(node: Node, model: str, namespace: str) -> None:
    resources = ("nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb")
    nothing = dict.fromkeys((*resources, "amd.com/gpu"), "0")
    set_limits(node, namespace, max=nothing)
    found = carferry.fit(model, namespace=namespace)
    with pytest.raises(DoesNotFit, match="limit"):
        found.require()
