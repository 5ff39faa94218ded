"""GPUs that a node only claims to have, labelled and tainted as NVIDIA's operator does it."""

from __future__ import annotations

import json

from cluster.rig.node import Node

# Labels of NVIDIA's GPU feature discovery for an L40S (k8s-device-plugin, docs/gpu-feature-
# discovery/README.md); memory in MiB.
L40S = {
    "nvidia.com/gpu.product": "NVIDIA-L40S",
    "nvidia.com/gpu.memory": "46068",
    "nvidia.com/gpu.family": "ada-lovelace",
    "nvidia.com/gpu.compute.major": "8",
    "nvidia.com/gpu.compute.minor": "9",
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.replicas": "1",
    "nvidia.com/mig.capable": "false",
    "nvidia.com/cuda.driver.major": "550",
}
TAINT = "nvidia.com/gpu=present:NoSchedule"


def claim(node: Node, count: int) -> None:
    """Let the real node say that it has this many L40S; the scheduler counts them."""
    amount = {"nvidia.com/gpu": str(count)}
    status = json.dumps({"status": {"capacity": amount, "allocatable": amount}})
    node.kubectl("patch", "node", "node", "--subresource=status", "--type=merge", "-p", status)
    labels = L40S | {"nvidia.com/gpu.count": str(count)}
    words = [f"{name}={value}" for name, value in labels.items()]
    node.kubectl("label", "--overwrite", "node", "node", *words)
    node.kubectl("taint", "--overwrite", "node", "node", TAINT)
