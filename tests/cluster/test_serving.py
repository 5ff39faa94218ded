"""A model that carferry deploys is served by the real KServe, through its modelcar sidecar."""

from __future__ import annotations

from collections.abc import Callable

from cluster.conftest import Outcome
from cluster.rig.node import Node

Carferry = Callable[..., Outcome]
SMALL = ("--gpu-count", "0", "--cpu", "50m", "--memory", "128Mi", "--shm-size", "16Mi")
TOLERANT = ("--tolerations", '[{"key": "nvidia.com/gpu", "operator": "Exists"}]')


def test_deploy(node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry) -> None:
    words = ("deploy", modelcar, "--name", "tiny", "--namespace", namespace, *SMALL, *TOLERANT)
    done = carferry(*words, "--runtime-image", vllm, "--wait-s", "90")
    assert done.code == 0, done.err
    print(done.out, done.err, done.seconds)
