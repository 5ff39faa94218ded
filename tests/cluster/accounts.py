"""Logins with few rights, and deployments small enough for the node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cluster.rig.node import Node
from cluster.runner import RUNNER, login

Object = dict[str, Any]
TOLERATED = '[{"key": "nvidia.com/gpu", "operator": "Exists"}]'
"""The node bears NVIDIA's taint."""
MANIFESTS = Path(__file__).parents[2] / "manifests"


def small(image: str, vllm: str, namespace: str, name: str, *more: str) -> list[str]:
    """Return the words of a deployment that the node has room for."""
    return [
        "deploy", image, "--namespace", namespace, "--name", name, "--runtime-image", vllm,
        "--gpu-count", "0", "--tolerations", TOLERATED, "--cpu", "50m", "--memory", "64Mi",
        "--shm-size", "16Mi", *more,
    ]  # fmt: skip


def account(node: Node, namespace: str, folder: Path, name: str = RUNNER) -> Path:
    """Make a ServiceAccount and return the kubeconfig of its token."""
    node.kubectl("create", "serviceaccount", name, "-n", namespace)
    return login(node, namespace, folder / f"{name}.kubeconfig", name)


def grant(node: Node, folder: str, namespace: str) -> None:
    """Do what the page on a project says: apply a folder of manifests/."""
    where = str(MANIFESTS / folder) if folder else str(MANIFESTS)
    node.kubectl("apply", "--server-side", "-k", where, "-n", namespace)


def everything(node: Node, namespace: str) -> dict[str, str]:
    """Return what a deployment makes in a project, by kind and name, with its resourceVersion."""
    kinds = "secrets,servingruntimes,inferenceservices,serviceaccounts,roles,rolebindings"
    found = json.loads(node.kubectl("get", kinds, "-n", namespace, "-o", "json"))["items"]
    own = {"default", RUNNER}
    return {
        f"{each['kind']} {each['metadata']['name']}": each["metadata"]["resourceVersion"]
        for each in found
        if each["metadata"]["name"] not in own
    }


def live(node: Node, namespace: str, kind: str, name: str) -> Object:
    """Return one object as the server holds it."""
    return dict(json.loads(node.kubectl("get", kind, name, "-n", namespace, "-o", "json")))
