"""A model that spans nodes: the plan's pipeline reaches a deployment as KServe and vLLM want it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gpu.api import node, serving
from serve_samples import settings
from test_fit import BIG, cluster, folder_of
from test_serve_discovery import Answers

from carferry.cluster.kinds import Object
from carferry.errors import InputError
from carferry.run.first import first
from carferry.run.request import Run
from carferry.run.sizing import Sizing, size
from carferry.serve.form import make_deployment
from carferry.serve.objects import make_objects
from carferry.serve.platforms import PLATFORMS
from carferry.serve.prepare import prepare
from carferry.steps.fit import fit

GPUS = {"gpu_count": "8", "nodes": "2"}


def made(platform: str = "kserve", **values: str) -> dict[str, Object]:
    objects = make_objects(settings(**{**GPUS, **values}), PLATFORMS[platform])
    return {each["kind"]: each for each in objects}


def containers(objects: dict[str, Object]) -> tuple[Object, Object]:
    """Return head and worker as the runtime has them."""
    spec = objects["ServingRuntime"]["spec"]
    (head,), (worker,) = spec["containers"], spec["workerSpec"]["containers"]
    return head, worker


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("nodes", ["2", "5"])
def test_the_objects_are_those_of_kserves_multi_node(platform: str, nodes: str) -> None:
    objects = made(platform, nodes=nodes)
    runtime, service = objects["ServingRuntime"]["spec"], objects["InferenceService"]
    predictor = service["spec"]["predictor"]
    # inference_service_validation.go: nothing but this autoscaler, and these two numbers.
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "none"
    for spec in (runtime["workerSpec"], predictor["workerSpec"]):
        assert (spec["pipelineParallelSize"], spec["tensorParallelSize"]) == (int(nodes), 8)
    assert runtime["annotations"]["multinode/executor-backend"] == "mp"
    (worker,) = predictor["workerSpec"]["containers"]
    assert worker["name"] == "worker-container"
    assert worker["resources"] == predictor["model"]["resources"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert worker["args"] == predictor["model"]["args"]
    assert worker["args"] == ["--tensor-parallel-size=8", f"--pipeline-parallel-size={nodes}"]


def test_head_and_workers_are_told_their_places_and_share_what_a_server_needs() -> None:
    head, worker = containers(made())
    assert head["args"][-3:] == ["--nnodes=2", "--node-rank=0", "--master-addr=$(VLLM_HOST_IP)"]
    assert worker["args"] == ["2", "/mnt/models"]
    for each in (head, worker):
        (address,) = [var for var in each["env"] if var["name"] == "VLLM_HOST_IP"]
        assert address["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
        assert {"name": "HF_HUB_OFFLINE", "value": "1"} in each["env"]
        assert each["volumeMounts"] == [{"name": "shm", "mountPath": "/dev/shm"}]
    spec = made()["ServingRuntime"]["spec"]
    assert spec["volumes"] == spec["workerSpec"]["volumes"]
    assert worker["image"] == head["image"]
    assert worker["securityContext"] == head["securityContext"]


def test_workers_go_where_the_head_may_go() -> None:
    where = {"node_selector": "zone=a", "pull_secret": "quay", "env": "A=b"}
    predictor = made(**where)["InferenceService"]["spec"]["predictor"]
    spec = predictor["workerSpec"]
    for key in ("nodeSelector", "tolerations", "imagePullSecrets"):
        assert spec[key] == predictor[key]
    assert (
        spec["containers"][0]["env"] == predictor["model"]["env"] == [{"name": "A", "value": "b"}]
    )


@pytest.mark.parametrize("resource", ["nvidia.com/mig-3g.20gb", "nvidia.com/gpu.shared"])
def test_a_resource_that_kserve_does_not_know_is_named_to_it(resource: str) -> None:
    """HasUnknownGpuResourceType refuses any other, of the service and of the runtime."""
    objects = made(gpu_resource=resource)
    notes = objects["InferenceService"]["metadata"]["annotations"]
    for each in (notes, objects["ServingRuntime"]["spec"]["annotations"]):
        assert json.loads(each["serving.kserve.io/gpu-resource-types"]) == [resource]
    known = made()["InferenceService"]["metadata"]["annotations"]
    assert "serving.kserve.io/gpu-resource-types" not in known


def test_one_node_is_served_as_before() -> None:
    objects = make_objects(settings(gpu_count="8"), PLATFORMS["kserve"])
    assert "workerSpec" not in json.dumps(objects)
    assert "nnodes" not in json.dumps(objects)
    assert "autoscalerClass" not in json.dumps(objects)


REFUSED = [
    ({"kind": "llm"}, "leave kind at isvc"),
    ({"deployment_mode": "Knative"}, "use deployment_mode Standard"),
    ({"mount": "native"}, "from oci:// and pvc:// alone"),
    ({"max_replicas": "2"}, "min_replicas and max_replicas"),
    ({"gpu_count": "0"}, "how many GPUs each has"),
    ({"runtime_image": "docker.io/vllm/vllm-openai:v0.11.0"}, "from 0.11.1 on; name a newer"),
    ({"vllm_args": "--data-parallel-size=2"}, "within one pod"),
    ({"vllm_args": "-dp 2"}, "within one pod"),
    ({"vllm_args": "--node-rank=1"}, "carferry sets it"),
    ({"vllm_args": "--pipeline-parallel-size=3"}, "no multiple of 2 nodes"),
]


@pytest.mark.parametrize(("values", "words"), REFUSED, ids=str)
def test_what_cannot_span_nodes_is_refused_in_one_line(values: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        make_objects(settings(**{**GPUS, **values}))
    assert "\n" not in str(caught.value)


EARLY = [
    ({"kind": "llm"}, "leave kind at isvc"),
    ({"mount": "native"}, "leave mount at modelcar"),
    ({"max_replicas": 2}, "deploy it twice"),
    ({"deployment_mode": "Knative"}, "use deployment_mode Standard"),
]


@pytest.mark.parametrize("serve", ["deploy", "render"])
@pytest.mark.parametrize(("given", "words"), EARLY, ids=str)
def test_fit_model_refuses_it_before_anything_is_asked(
    serve: str, given: dict[str, Any], words: str
) -> None:
    """No hub is there to be asked, and no cluster."""
    given = {"nodes": 2, "gpu_count": 8, **given}
    with pytest.raises(InputError, match=words):
        first(Run("team/absent", "quay.io/team/m:1", serve=serve, settings=given))


SCHEMA = "/openapi/v3/apis/serving.kserve.io/v1beta1"


def schema(*fields: str) -> Object:
    spec = {"properties": {key: {} for key in ("predictor", *fields)}}
    service = {"properties": {"spec": spec}}
    return {"components": {"schemas": {"io.kserve.serving.v1beta1.InferenceService": service}}}


def config(image: str) -> Object:
    return {
        "data": {"agent": "{", "router": "[]", "storageInitializer": json.dumps({"image": image})}
    }


CONFIG = "/api/v1/namespaces/kserve/configmaps/inferenceservice-config"
RELEASES = [
    ({}, ""),  # nothing may be read: the webhooks have the word
    ({SCHEMA: schema()}, ""),
    ({SCHEMA: schema(), CONFIG: config("kserve/storage-initializer:v0.19.0")}, ""),
    ({SCHEMA: schema("canary"), CONFIG: config("kserve/storage-initializer:v0.21.0")}, ""),
    ({SCHEMA: schema("canary"), CONFIG: config("kserve/storage-initializer:v0.20.1")}, ""),
    ({SCHEMA: schema("canary"), CONFIG: config("kserve/x:v0.20.0")}, "KServe 0.20.0 here deletes"),
    ({SCHEMA: schema("canary"), CONFIG: config("kserve/x:latest")}, "which this one looks like"),
    ({SCHEMA: schema("canary")}, "inferenceservice-config names it"),
]


@pytest.mark.parametrize(("paths", "words"), RELEASES)
def test_a_kserve_that_deletes_its_workers_is_refused(paths: dict[str, Object], words: str) -> None:
    """As kserve/kserve#6113, seen on the real one: it takes all objects, and never serves."""
    api = Answers(paths=paths)
    if not words:
        assert prepare(api, settings(**GPUS))
        return
    with pytest.raises(InputError, match=words):
        prepare(api, settings(**GPUS))
    assert prepare(api, settings())


SERVER = """\
import json, sys
print(json.dumps(sys.argv[1:]))
"""
NAMES = """\
import socket
KNOWN = {"head": ["10.0.0.9"], "workers": ["10.0.0.7", "10.0.0.12", "10.0.0.3"]}
def resolve(name, *more):
    return [(2, 1, 6, "", (each, 0)) for each in KNOWN[name]]
socket.getaddrinfo = resolve
"""


@pytest.fixture
def image(tmp_path: Path) -> dict[str, str]:
    """What a worker's pod has: a server that says how it was called, and names of others."""
    package = tmp_path / "lib" / "vllm" / "entrypoints" / "cli"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    (package / "main.py").write_text(SERVER)
    (tmp_path / "lib" / "sitecustomize.py").write_text(NAMES)
    there = {"HEAD_SVC": "head", "VLLM_HOST_IP": "10.0.0.7"}
    return {**os.environ, **there, "PYTHONPATH": str(tmp_path / "lib")}


def run_worker(nodes: int, folder: Path, image: dict[str, str]) -> subprocess.CompletedProcess[str]:
    _, worker = containers(made(nodes=str(nodes)))
    command = [sys.executable, *worker["command"][1:], str(nodes), str(folder), "--seed=1"]
    return subprocess.run(
        command, env=image, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("nodes", "more", "rank"), [(2, {}, 1), (4, {"WORKER_SVC": "workers"}, 3)])
def test_a_worker_finds_its_place_and_becomes_the_server(
    nodes: int, more: dict[str, str], rank: int, tmp_path: Path, image: dict[str, str]
) -> None:
    done = run_worker(nodes, tmp_path, {**image, **more})
    place = [f"--nnodes={nodes}", f"--node-rank={rank}", "--master-addr=10.0.0.9"]
    assert json.loads(done.stdout) == ["serve", str(tmp_path), "--headless", *place, "--seed=1"]


def test_an_older_kserve_that_names_no_workers_is_said(
    tmp_path: Path, image: dict[str, str]
) -> None:
    done = run_worker(3, tmp_path, image)
    assert (done.returncode, done.stdout) == (1, "")
    assert "more than two nodes take KServe 0.20" in done.stderr


def two_nodes(count: int = 1) -> dict[str, list[dict[str, Any]]]:
    return {"/api/v1/nodes": [node(name, count=count) for name in "ab"], "/api/v1/pods": []}


def test_a_plan_over_two_nodes_is_what_is_deployed(tmp_path: Path) -> None:
    wide = {**BIG, "hidden_size": 4096, "num_hidden_layers": 48, "num_attention_heads": 32}
    model = folder_of(wide, tmp_path / "m")
    with serving(two_nodes()) as url:
        found = fit(model, nodes=2, max_model_len=1024, connect=cluster(url), allow_no_weights=True)
    assert found.ok, found.text
    wanted = found.deployment
    assert (wanted["gpus"], wanted["nodes"]) == (1, 2)
    assert not any("parallel" in each for each in wanted["vllm_args"])
    count = wanted.pop("gpus")
    deployment = make_deployment(settings().image.name + "@" + str(settings().image.digest),
                                 gpu_count=count, **wanted)  # fmt: skip
    service = make_objects(deployment)[-1]
    assert service["spec"]["predictor"]["workerSpec"]["pipelineParallelSize"] == 2
    assert "--pipeline-parallel-size=2" in service["spec"]["predictor"]["model"]["args"]


def test_the_pipeline_spans_nodes_if_it_is_asked_to(tmp_path: Path) -> None:
    wide = {**BIG, "hidden_size": 4096, "num_hidden_layers": 48, "num_attention_heads": 32}
    model = folder_of(wide, tmp_path / "m")
    with serving(two_nodes()) as url:
        made = size(
            model, {"allow_no_weights": True, "namespace": "demo"},
            Sizing(nodes=2, max_model_len=1024), connect=cluster(url),
        )  # fmt: skip
    assert made.as_json()["nodes"] == 2
    assert "nodes" not in Sizing().as_json()


def test_the_pipeline_plans_several_gpus_of_one_node_unasked(tmp_path: Path) -> None:
    """One node is the pipeline's default, which is no wish for one GPU."""
    model = folder_of(BIG, tmp_path / "m")
    made = size(model, {"gpus": "H100 x8", "allow_no_weights": True}, Sizing())
    assert made.gpu_count == 2
