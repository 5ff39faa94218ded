"""A Job that cannot run or fails is told by the same signs as a deployment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from carferry.cluster.api import connect
from carferry.cluster.jobs import run_job
from carferry.errors import ToolFailed
from cluster.rig.node import Node

_CASES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...], float]] = {
    # container, pod, words, seconds
    "image": ({"image": "{registry}/rig/none:1"}, {}, ("holds no such image", "not found"), 40),
    "fails": (
        {"command": ["sh", "-c", "echo pack; echo 'Error: no space left on device' >&2; exit 125"]},
        {},
        ("container buildah: Error, exit 125: it said: Error: no space left on device",),
        30,
    ),
    "memory": (
        {"command": ["sh", "-c", "exec tail /dev/zero"],
         "resources": {"limits": {"memory": "16Mi"}, "requests": {"cpu": "10m"}}},
        {},
        ("killed for memory (OOMKilled, exit 137): its limit is 16Mi",),
        40,
    ),
    "account": ({}, {"serviceAccountName": "no-such"}, ("ServiceAccount is not there",), 40),
    "node": ({}, {"nodeSelector": {"zone": "mars"}}, ("no node has the labels zone=mars",), 70),
    "volume": (
        {"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
        {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "no-such"}}]},
        ("make PersistentVolumeClaim no-such",),
        40,
    ),
    "root": ({}, {"securityContext": {"runAsNonRoot": True}}, ("may not run as root",), 40),
}  # fmt: skip


@pytest.fixture(scope="module")
def ended(node: Node) -> Iterator[dict[str, tuple[str, float]]]:
    """What each Job ended with, and after how many seconds; all run at once."""
    space = "diag-jobs"
    node.kubectl("create", "namespace", space)
    try:
        with ThreadPoolExecutor(len(_CASES)) as pool:
            running = {name: pool.submit(_run, node, space, name) for name in _CASES}
            yield {name: each.result() for name, each in running.items()}
    finally:
        node.kubectl("delete", "namespace", space, "--wait=false")


def _run(node: Node, space: str, name: str) -> tuple[str, float]:
    container, pod, _, _ = _CASES[name]
    made = {"name": "buildah", "image": f"{node.registry}/rig/busybox:1", "command": ["true"],
            "resources": {"requests": {"cpu": "10m"}}, **container}  # fmt: skip
    made["image"] = made["image"].replace("{registry}", node.registry)
    anywhere = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    spec = {"restartPolicy": "Never", "containers": [made], "tolerations": anywhere, **pod}
    job = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": space},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}},
    }  # fmt: skip
    began = time.monotonic()
    with pytest.raises(ToolFailed) as caught:
        run_job(connect(kubeconfig=node.kubeconfig), job, deadline_s=100)
    return str(caught.value), time.monotonic() - began


@pytest.mark.parametrize("name", _CASES)
def test_a_job_says_why_it_does_not_run(
    name: str, ended: dict[str, tuple[str, float]], node: Node
) -> None:
    line, seconds = ended[name]
    print(f"{seconds:5.0f} s  {line}")
    _, _, words, limit = _CASES[name]
    assert line.startswith(f"run job diag-jobs/{name}: ")
    assert [word for word in words if word not in line] == []
    assert seconds < limit + 20
    left = [job["metadata"]["name"] for job in node.get("jobs", "-n", "diag-jobs")["items"]]
    assert name not in left or any(
        job["metadata"].get("deletionTimestamp")
        for job in node.get("jobs", "-n", "diag-jobs")["items"]
    )
