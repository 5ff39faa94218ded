"""A run that recurs ends in its first step only if what it would deploy serves already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ferrying import point_to
from servers import models
from servers.busybox import busybox_base
from servers.hub import Hub

from carferry.run.first import Found, first
from carferry.run.request import Run
from carferry.run.served import deploy_asked
from carferry.run.settings import deploy_keywords, question_of
from carferry.steps.build import build
from cluster.rig.node import Node

TAINTED = [{"key": "nvidia.com/gpu", "operator": "Exists"}]


def once(run: Run) -> Found:
    """Do what a pipeline's steps do, one after the other."""
    found = first(run)
    if found.due == "yes":
        built = build(found.model, run.image, **run.build)
        fixed = {"name": run.name, "runtime_image": run.runtime_image}
        form = deploy_keywords(run.settings, found.sizing, **fixed)
        deploy_asked(run.serve, built.reference, found.asked, question_of(run.settings), **form)
    return found


def versions(node: Node, namespace: str) -> dict[str, str]:
    kinds = "inferenceservices,servingruntimes,secrets,deployments,pods"
    listed = node.get("--namespace", namespace, kinds)["items"]
    return {
        f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"]
        for each in listed
    }


@pytest.fixture
def run(
    node: Node,
    namespace: str,
    vllm: str,
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    monkeypatch.setenv("KUBECONFIG", str(node.kubeconfig))
    hub.add("team/tiny", models.tiny())
    point_to(hub, monkeypatch)
    settings = {
        "base": busybox_base(tmp_path / "base"),
        "namespace": namespace,
        "tolerations": TAINTED,
        "wait_s": 90,
        "if_changed": True,
        **{"cpu": "10m", "memory": "128Mi", "shm_size": "16Mi"},
    }
    image = f"docker://{node.registry}/{namespace}/tiny:1"
    return Run("team/tiny", image, name="tiny", runtime_image=vllm, gpus="none", settings=settings)


def test_a_run_goes_on_until_what_was_asked_for_serves(
    run: Run, node: Node, namespace: str, hub: Hub
) -> None:
    assert once(run).due == "yes"
    before = versions(node, namespace)
    hub.clear_log()
    ended = once(run)
    assert (ended.due, ended.sizing) == ("no", {})
    assert ended.reference.startswith(f"{node.registry}/{namespace}/tiny@sha256:")
    assert [each for each in hub.log if "safetensors" in each.path and each.method == "GET"] == []
    assert versions(node, namespace) == before
    (deployment,) = node.get("--namespace", namespace, "deployments")["items"]
    assert deployment["metadata"]["generation"] == 1  # what was kept restarted nothing

    assert first(replace(run, max_model_len=64)).due == "yes"
    assert first(replace(run, settings={**run.settings, "cpu": "11m"})).due == "yes"
    assert first(replace(run, name="other")).due == "yes"
    hub.add("team/tiny", models.tiny(1))
    assert first(run).due == "yes"
    build("team/tiny", run.image, **run.build)  # there now, but the old one is served
    assert first(run).due == "yes"
    assert once(run).due == "yes"
    assert once(run).due == "no"
    node.kubectl("--namespace", namespace, "delete", "inferenceservice", "tiny")
    assert first(run).due == "yes"
