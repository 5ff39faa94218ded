"""Start every broken deployment at once, and keep what carferry says of each."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from carferry.cluster.client import Cluster
from carferry.cluster.watch.observe import Observation, Watched, observe
from carferry.errors import CarferryError
from carferry.serve.form import make_deployment
from carferry.serve.objects import make_objects
from carferry.serve.prepare import prepare
from cluster.broken import SMALL, Broken

Object = dict[str, Any]
WAITED = 75.0
"""Seconds that a deployment is watched which carferry must not give up."""


class HasKubectl(Protocol):
    kubeconfig: Path
    registry: str

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """Run kubectl."""


@dataclass
class Seen:
    """What carferry said of one deployment.

    Attributes:
        error: With which the wait ended.
        seconds: From applying until then.
        said: Status lines with the second of each.
        looked: The last look, for the tests that run without a node.
    """

    error: CarferryError | None = None
    seconds: float = 0.0
    said: list[tuple[float, str]] = field(default_factory=list)
    looked: Observation | None = None


def start_all(
    node: HasKubectl, cases: tuple[Broken, ...], images: Mapping[str, str], space: str
) -> dict[str, Seen]:
    """Deploy all cases in parallel and wait for each as the command does."""
    with ThreadPoolExecutor(len(cases)) as pool:
        # Those first that are watched for a fixed time: KServe takes one after the other.
        ordered = sorted(cases, key=lambda each: bool(each.cause))
        running = {each.name: pool.submit(_one, node, each, images, space) for each in ordered}
        return {name: each.result() for name, each in running.items()}


def _one(node: HasKubectl, case: Broken, images: Mapping[str, str], space: str) -> Seen:
    namespace = _namespace(node, case, space)
    cluster = Cluster.connect(kubeconfig=node.kubeconfig)
    given = {key: _filled(value, images) for key, value in {**SMALL, **case.form}.items()}
    name = f"m-{case.name.lower()}"[:40]
    deployment = make_deployment(
        **{"image": images["model"], "runtime_image": images["vllm"], **given},
        name=name,
        namespace=namespace,
    )
    # carferry itself refuses a project that admits no pod; somebody may label it later.
    asked = not case.labels
    objects = prepare(cluster.api, deployment).objects if asked else make_objects(deployment)
    if case.change:
        (service,) = (each for each in objects if each["kind"] == "InferenceService")
        case.change(service)
        objects = [json.loads(_filled(json.dumps(each), images)) for each in objects]
    seen, began = Seen(), time.monotonic()
    limit = WAITED if not case.cause else case.seconds + 90
    try:
        cluster.apply(objects)
        if case.name.endswith("ScaleUp"):
            _autoscale(cluster, name, namespace, case.name)
        cluster.wait(
            name,
            namespace,
            deadline_s=limit,
            report=lambda line: seen.said.append((time.monotonic() - began, line)),
        )
    except CarferryError as error:
        seen.error = error
    seen.seconds = time.monotonic() - began
    if cluster.api.get(Watched.of(name, namespace).kind, namespace, name):
        seen.looked = observe(cluster.api, Watched.of(name, namespace))
    return seen


def _filled(value: Any, images: Mapping[str, str]) -> Any:
    if not isinstance(value, str):
        return value
    for key, text in images.items():
        value = value.replace(f"{{{key}}}", text)
    return value


def _namespace(node: HasKubectl, case: Broken, space: str) -> str:
    if not case.place and not case.labels:
        return space
    own = f"{space}-{case.name}"[:60]
    made = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": own, "labels": dict(case.labels)},
    }
    items = [
        made,
        *(each | {"metadata": each["metadata"] | {"namespace": own}} for each in case.place),
    ]
    node.kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    )
    return own


def _autoscale(cluster: Cluster, name: str, namespace: str, reason: str) -> None:
    """Write what cluster-autoscaler writes about a pod (eventing_scale_up_processor.go)."""
    from carferry.cluster.kinds import KINDS, Permission

    said = {
        "TriggeredScaleUp": "pod triggered scale-up: [{MachineSet/gpu 0->1 (max: 4)}]",
        "NotTriggerScaleUp": "pod didn't trigger scale-up: 2 max node group size reached",
    }[reason]
    while not (
        pods := cluster.api.list(
            KINDS["Pod"], namespace, labelSelector=Watched.of(name, namespace).selector
        )
    ):
        time.sleep(0.5)
    pod = pods[0]["metadata"]
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{pod['name']}.scale", "namespace": namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": pod["name"],
            "namespace": namespace,
            "uid": pod["uid"],
        },
        "reason": reason,
        "message": said,
        "type": "Normal",
        "source": {"component": "cluster-autoscaler"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    cluster.api.call(Permission("create", KINDS["Event"], namespace), method="POST", body=body)
