"""A new image that does not come up: seen although the old one serves, and taken back if asked."""

from __future__ import annotations

import json

from carferry.cluster.client import Cluster
from carferry.cluster.watch.observe import Watched, observe
from carferry.errors import DeploymentFailed
from carferry.serve.form import make_deployment
from carferry.serve.prepare import prepare
from cluster.broken import NO_SUCH, SMALL
from cluster.command import ANYWHERE
from cluster.conftest import Carferry
from cluster.rig.node import Node

_SMALL = ["--cpu", "100m", "--memory", "64Mi", "--gpu-count", "0", "--name", "m", *ANYWHERE]
_ISVC = "inferenceservices.serving.kserve.io"


def test_a_failed_image_is_taken_back_if_asked(
    node: Node, namespace: str, modelcar: str, vllm: str, carferry: Carferry
) -> None:
    """The old one serves again with its own arguments; the failure remains, exit 1."""
    small = [*_SMALL, "--namespace", namespace, "--runtime-image", vllm]
    first = carferry("deploy", modelcar, *small, "--max-model-len", "64")
    assert first.code == 0, first.err
    good = node.get(_ISVC, "m", "-n", namespace)
    uri = good["spec"]["predictor"]["model"]["storageUri"]
    runtime = node.get("servingruntime", "m", "-n", namespace)
    assert runtime["metadata"]["annotations"]["carferry/last-good"] == uri
    pods = _pods(node, namespace)

    again = carferry("deploy", modelcar, *small, "--max-model-len", "64")
    assert again.code == 0, again.err
    for kind, before in ((_ISVC, good), ("servingruntime", runtime)):
        held = node.get(kind, before["metadata"]["name"], "-n", namespace)
        assert held["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert _pods(node, namespace) == pods

    bad = f"{node.registry}/models/none@{NO_SUCH}"
    done = carferry("deploy", bad, *small, "--max-model-len", "32", "--rollback", "--json")
    assert done.code == 1
    error = json.loads(done.out)["error"]
    assert error["cause"] == "image-missing"
    assert f"rolled back to {uri}, which serves again" in error["reason"]
    back = node.get(_ISVC, "m", "-n", namespace)
    assert back["spec"]["predictor"] == good["spec"]["predictor"]
    ready = [c["status"] for c in back["status"]["conditions"] if c["type"] == "Ready"]
    assert ready == ["True"]

    # A process that starts anew finds a broken deployment, and what served in its annotation.
    carferry("deploy", bad, *small, "--wait-s", "0")
    done = carferry("deploy", bad, *small, "--max-model-len", "16", "--rollback")
    assert done.code == 1
    assert f"rolled back to {uri}, which serves again" in done.err
    last = node.get(_ISVC, "m", "-n", namespace)["spec"]["predictor"]["model"]
    assert last["storageUri"] == uri
    assert last["args"] == ["--max-model-len=16"]


def _pods(node: Node, namespace: str) -> list[str]:
    return [each["metadata"]["uid"] for each in node.get("pods", "-n", namespace)["items"]]


def test_a_stuck_new_revision_is_seen_although_the_old_one_serves(
    node: Node, namespace: str, modelcar: str, vllm: str
) -> None:
    """The InferenceService stays Ready the whole time."""
    cluster = Cluster.connect(kubeconfig=node.kubeconfig)
    form = {**SMALL, "cpu": "100m", "runtime_image": vllm, "name": "m", "namespace": namespace}

    def roll(image: str) -> None:
        objects = prepare(cluster.api, make_deployment(**{**form, "image": image})).objects
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        objects[-1]["spec"]["predictor"]["deploymentStrategy"] = rolling
        cluster.apply(objects)

    roll(modelcar)
    cluster.wait("m", namespace, deadline_s=90)
    roll(f"{node.registry}/models/none@{NO_SUCH}")
    try:
        cluster.wait("m", namespace, deadline_s=90)
    except DeploymentFailed as error:
        assert error.cause == "image-missing"
    else:
        raise AssertionError("the stuck revision was taken for ready")
    seen = observe(cluster.api, Watched.of("m", namespace))
    states = {c["type"]: c["status"] for c in seen.service["status"]["conditions"]}
    assert states["Ready"] == "True"
    assert len(seen.pods) == 2
    assert len(seen.current) == 1
