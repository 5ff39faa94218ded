"""Each broken deployment ends with its cause, evidence and next step, as soon as that is sure.

All of them start at once, since most of the time nothing is done but waiting.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from carferry.errors import DeadlineExceeded, DeploymentFailed
from cluster.breaking import Seen, start_all
from cluster.broken import BROKEN, Broken
from cluster.command import ANYWHERE
from cluster.conftest import Carferry
from cluster.rig.node import Node

RECORDED = Path(__file__).parents[1] / "data" / "observations"
_HERE = Path(__file__).parent


def _build(node: Node, model: Path, name: str, *words: str) -> str:
    target = f"docker://{node.registry}/broken/{name}:v1"
    command = [sys.executable, "-m", "carferry", "build", str(model), target, *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["reference"])


@pytest.fixture(scope="module")
def images(
    node: Node, modelcar: str, vllm: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """References by the names that the cases use."""
    from servers import models

    model = models.write(models.tiny(), tmp_path_factory.mktemp("model") / "tiny")
    busybox = f"{node.registry}/rig/busybox:1"
    head = node.run("curl", "-sI", "-H", "Accept: application/vnd.oci.image.manifest.v1+json",
                    f"http://{node.registry}/v2/rig/busybox/manifests/1")  # fmt: skip
    digest = head.lower().partition("docker-content-digest: ")[2].split()[0]
    bare = f"{busybox.rpartition(':')[0]}@{digest}"
    foreign = _build(
        node, model, "foreign", "--base", "scratch", "--platform", "linux/arm64,linux/s390x"
    )
    scratch = _build(node, model, "scratch", "--base", "scratch")
    return {"registry": node.registry, "model": modelcar, "vllm": vllm, "arm": foreign,
            "scratch": scratch, "empty": bare, "rooted": bare}  # fmt: skip


@pytest.fixture(scope="module")
def odd_registries(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Registries inside the node: 401, 429, without TLS, with a certificate of their own."""
    folder = tmp_path_factory.mktemp("odd")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = ["-subj", "/CN=odd", "-addext", "subjectAltName=IP:10.99.0.1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *words,
         "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True,
    )  # fmt: skip
    inside = ["nsenter", "--target", (node.folder / "run/init.pid").read_text(), "--net", "--"]
    program = [sys.executable, str(_HERE / "odd_registries.py"), str(certificate), str(key)]
    with subprocess.Popen([*inside, *program], stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            yield
        finally:
            running.kill()


@pytest.fixture(scope="module")
def nodes(node: Node) -> Iterator[None]:
    """Two more nodes: one with a taint of its own, one whose kubelet never speaks."""
    shapes = {
        "diag-tainted": ("tainted", {"key": "dedicated", "value": "ml", "effect": "NoSchedule"}),
        "diag-silent": ("silent", {"key": "diag", "effect": "NoSchedule"}),
    }
    amounts = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": "4"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "is ready"}
    status = {"allocatable": amounts, "capacity": amounts, "conditions": [ready]}
    for name, (label, taint) in shapes.items():
        made = {"apiVersion": "v1", "kind": "Node", "spec": {"taints": [taint]},
                "metadata": {"name": name, "labels": {"diag": label}}}  # fmt: skip
        node.kubectl("delete", "node", name, "--ignore-not-found")
        node.kubectl("create", "-f", "-", stdin=json.dumps(made))
        patch = json.dumps({"status": status})
        node.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", patch)
    yield
    node.kubectl("delete", "node", *shapes, "--wait=false")


@pytest.fixture(scope="module")
def seen(
    request: pytest.FixtureRequest,
    node: Node,
    images: dict[str, str],
    odd_registries: None,
    nodes: None,
) -> Iterator[dict[str, Seen]]:
    """What carferry said of every case that is to be run."""
    asked = {_parameters(item)["case"].name for item in request.session.items
             if isinstance(item, pytest.Function) and "case" in _parameters(item)}  # fmt: skip
    cases = tuple(case for case in BROKEN if case.name in asked)
    space = f"diag-{uuid.uuid4().hex[:6]}"
    node.kubectl("create", "namespace", space)
    try:
        yield start_all(node, cases, images, space)
    finally:
        every = node.kubectl("get", "namespaces", "-o", "name").split()
        mine = [each.rpartition("/")[2] for each in every if space in each]
        node.kubectl("delete", "namespace", *mine, "--wait=false")


def _parameters(item: pytest.Function) -> dict[str, Any]:
    return item.callspec.params if hasattr(item, "callspec") else {}


@pytest.mark.timeout(290)
@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_a_broken_deployment_says_why_and_what_to_do(case: Broken, seen: dict[str, Seen]) -> None:
    found = seen[case.name]
    line = str(found.error)
    if case.cause == "up":
        assert found.error is None, line
        return
    assert found.error is not None, "it came up"
    print(f"{found.seconds:5.0f} s  {line}")
    if case.cause:
        assert isinstance(found.error, DeploymentFailed), line
        assert found.error.cause == case.cause, line
        assert found.error.evidence
        assert found.error.remedy
        assert found.seconds <= case.seconds + SLOW_S
    else:
        assert isinstance(found.error, DeadlineExceeded), line
    assert [word for word in case.words if word not in line] == []
    assert "\n" not in line
    _record(case, found)


SLOW_S = 60.0
"""Seconds by which forty deployments at once are later than one: two cores make all the pods."""


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_a_status_is_told_once_and_then_at_most_every_half_minute(
    case: Broken, seen: dict[str, Seen]
) -> None:
    lines = [line for _, line in seen[case.name].said if not line.startswith("still waiting")]
    assert len(lines) == len(set(lines))
    again = [at for at, line in seen[case.name].said if line.startswith("still waiting")]
    assert all(after - before >= 29 for before, after in itertools.pairwise(again))


_LEFT_OUT = {
    *("env", "volumeMounts", "livenessProbe", "readinessProbe", "startupProbe"),
    *("images", "nodeInfo", "addresses", "hostIPs", "podIPs", "hostIP", "podIP", "imageID"),
    *("resourceVersion", "terminationMessagePath", "terminationMessagePolicy", "fieldsV1"),
    *("ports", "readinessGates", "schedulerName", "dnsPolicy", "qosClass", "preemptionPolicy"),
    *("template", "strategy", "source", "reportingComponent", "reportingInstance", "count"),
    *("lastProbeTime", "lastTransitionTime", "lastHeartbeatTime", "address", "components"),
    *(
        "daemonEndpoints",
        "securityContext",
        "creationTimestamp",
        "firstTimestamp",
        "lastAppliedTime",
    ),
    *("allocatedResources", "containerID", "user", "capacity", "blockOwnerDeletion"),
}


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _kept(part) for key, part in value.items() if key not in _LEFT_OUT}
    return [_kept(part) for part in value] if isinstance(value, list | tuple) else value


def _record(case: Broken, found: Seen) -> None:
    """Keep the last look for the tests that run without a node, if asked to."""
    if not os.environ.get("CARFERRY_RECORD") or found.looked is None:
        return
    RECORDED.mkdir(parents=True, exist_ok=True)
    document = {"cause": case.cause, "words": list(case.words), "seen": _kept(asdict(found.looked))}
    for each in (*document["seen"]["sets"], *document["seen"]["events"]):
        each["metadata"].pop("managedFields", None)
    parts = (f"{json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in document.items())
    (RECORDED / f"{case.name}.json").write_text("{" + ",\n".join(parts) + "}\n")


def test_the_command_prints_one_line_with_the_cause_for_programs(
    node: Node, namespace: str, vllm: str, carferry: Carferry
) -> None:
    """As a person meets it: the log's end, the line, exit 1; with --json the cause by name."""
    image = f"{node.registry}/models/none@sha256:{'0' * 64}"
    small = ["--cpu", "10m", "--memory", "64Mi", "--gpu-count", "0", "--name", "bad", *ANYWHERE]
    done = carferry(
        "deploy", image, "--namespace", namespace, "--runtime-image", vllm, *small, "--json"
    )
    assert done.code == 1
    error = json.loads(done.out)["error"]
    assert error["cause"] == "image-missing"
    assert "not found" in error["evidence"]
    last = done.err.strip().splitlines()[-1]
    assert last.startswith(f"carferry: deploy {namespace}/bad: pod bad-predictor-")
    assert "holds no such image" in last
    assert done.seconds < 40
