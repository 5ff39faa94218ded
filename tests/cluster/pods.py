"""The pods of a deployment on a node, and what they answer."""

from __future__ import annotations

import json
from typing import Any

from cluster.rig.node import Node

PORT = 8080


def pod_of(node: Node, namespace: str, name: str) -> Any:
    """Return the one pod that serves an InferenceService."""
    label = f"serving.kserve.io/inferenceservice={name}"
    found = node.get("-n", namespace, "pods", "-l", label)["items"]
    (pod,) = [each for each in found if "deletionTimestamp" not in each["metadata"]]
    return pod


def ask(node: Node, pod: Any, path: str) -> Any:
    """Return the document that the server in a pod answers with."""
    address = f"http://{pod['status']['podIP']}:{PORT}{path}"
    return json.loads(node.run("busybox", "wget", "-q", "-O-", address))
