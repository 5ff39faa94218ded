"""A profile's tolerations reach the pod as they are, by every way that leads there.

What the API server makes of them is held in tests/cluster; here every station between is real:
the profile's list over HTTP, the plan, its JSON as a pipeline carries it, the form, the objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from gpu.api import node, serving
from gpu.samples import LLAMA, llama_file

import carferry
from carferry.cluster.api import connect
from carferry.form.readers import read_tolerations
from carferry.run.settings import deploy_keywords, warm_keywords
from carferry.run.sizing import Sizing, size
from carferry.serve.settings import VLLM_IMAGE
from carferry.steps.deploy import deploy_or_render
from carferry.steps.fit import Lists
from carferry.steps.rights import Rights

IMAGE = "quay.io/me/tiny@sha256:" + "0" * 64
NEW = "/apis/infrastructure.opendatahub.io/{}/hardwareprofiles"
OLD = "/apis/dashboard.opendatahub.io/v1alpha1/hardwareprofiles"
ACCELERATOR = "/apis/dashboard.opendatahub.io/v1/acceleratorprofiles"
RULES = [
    {"key": "pool", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    {"operator": "Exists"},
    {"operator": "Exists", "effect": "NoSchedule"},
    {"key": "gpu", "operator": "Equal", "value": "a100", "effect": "NoSchedule"},
    {"key": "soon", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
]
WRITTEN = [*RULES, {"key": "team", "value": "ml"}, {"key": "empty", "operator": ""}]
KEPT = [*RULES, {"key": "team", "operator": "Equal", "value": "ml"},
        {"key": "empty", "operator": "Equal"}]  # fmt: skip


def profiles() -> dict[str, dict[str, Any]]:
    """Return one profile of each schema, by where it is served."""
    wanted = [{"identifier": "nvidia.com/gpu", "displayName": "G", "minCount": 1}]
    product = {"nvidia.com/gpu.product": "NVIDIA-L40S"}
    place = {"nodeSelector": product, "tolerations": WRITTEN}
    new = {"identifiers": wanted, "scheduling": {"type": "Node", "node": place}}
    old = {"identifiers": wanted, "enabled": True, "displayName": "L40S", **place}
    oldest = {"identifier": "nvidia.com/gpu", "displayName": "L40S", "tolerations": WRITTEN}
    specs = {NEW.format("v1"): new, NEW.format("v1alpha1"): new, OLD: old, ACCELERATOR: oldest}
    return {path: {"metadata": {"name": "gpu"}, "spec": spec} for path, spec in specs.items()}


def cluster(url: str) -> Callable[[], Lists]:
    return lambda: connect(host=url, token="t")


def granted(*_: object, **__: object) -> Rights:
    """Stand for an account that may do everything but list nodes."""
    return Rights()


def as_a_pipeline(value: Any) -> Any:
    """Carry a value as the backend does: JSON whose numbers are all doubles."""
    return json.loads(json.dumps(value), parse_int=float)


def pod_of(manifest: str) -> list[dict[str, Any]]:
    """Return the tolerations of the one object that has a pod."""
    objects = list(yaml.safe_load_all(manifest))
    (service,) = [each for each in objects if each["kind"] == "InferenceService"]
    made: list[dict[str, Any]] = service["spec"]["predictor"]["tolerations"]
    return made


@pytest.fixture
def model(tmp_path: Path) -> str:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    (folder / "model.safetensors").write_bytes(llama_file(LLAMA))
    return str(folder)


@pytest.mark.parametrize("path", profiles())
def test_from_a_profile_to_the_pod_in_python(path: str, model: str) -> None:
    with serving({path: [profiles()[path]]}, forbidden=("/api/v1/nodes",)) as url:
        found = carferry.fit(model, namespace="demo", connect=cluster(url))
    made = carferry.render(IMAGE, namespace="demo", **found.deployment)
    assert pod_of(made.manifest) == KEPT
    assert found.as_json()["tolerations"] == KEPT


@pytest.mark.parametrize("path", profiles())
def test_from_a_profile_to_the_pod_in_a_pipeline(path: str, model: str) -> None:
    with serving({path: [profiles()[path]]}, forbidden=("/api/v1/nodes",)) as url:
        sized = size(model, {"namespace": "demo"}, Sizing(), connect=cluster(url), rights=granted)
    carried = as_a_pipeline(sized.as_json())
    more = {"name": "tiny", "runtime_image": VLLM_IMAGE, "model_size_bytes": 0}
    made = deploy_or_render("render", IMAGE, **deploy_keywords({}, carried, **more))
    assert pod_of(made.manifest) == KEPT
    warmed = read_tolerations("tolerations", warm_keywords({}, carried)["tolerations"])
    assert [each.object for each in warmed or ()] == KEPT


@pytest.mark.parametrize("written", [WRITTEN, json.dumps(WRITTEN)], ids=["list", "text"])
def test_from_a_pipelines_parameter_to_the_pod(written: Any) -> None:
    settings = as_a_pipeline({"tolerations": written})
    more = {"name": "tiny", "runtime_image": VLLM_IMAGE, "model_size_bytes": 0}
    made = deploy_or_render("render", IMAGE, **deploy_keywords(settings, {}, **more))
    assert pod_of(made.manifest) == KEPT


def test_a_nodes_taint_is_tolerated_by_its_value(model: str) -> None:
    taints = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    with serving({"/api/v1/nodes": [node("a", taints=taints)], "/api/v1/pods": []}) as url:
        found = carferry.fit(model, namespace="demo", connect=cluster(url))
    made = carferry.render(IMAGE, namespace="demo", **found.deployment)
    assert pod_of(made.manifest) == [taints[0] | {"operator": "Equal"}]
