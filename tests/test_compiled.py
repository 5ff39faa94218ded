"""The compiled YAML: reproducible, importable, safe to import, and equal to what is committed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import components as kfp_components
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from carferry.bundle.functions import carried
from carferry.cli import main as carferry
from carferry.components import Runtime, deploy_model, fit_model, plan_model
from carferry.errors import InputError
from carferry.lint.targets import TARGETS
from carferry.pipelines import command, compiling
from carferry.pipelines.pods import Site
from carferry.pipelines.staged import buildah
from carferry.pipelines.streamed import stream, stream_claim
from carferry.steps.plan import MAX_WORKERS

ROOT = Path(__file__).parent.parent
NAMES = ["modelcar", "modelcar-buildah", "modelcar-pvc"]
IMAGE = "registry.example/team/carferry@sha256:" + "0" * 64
each = pytest.mark.parametrize("name", NAMES)


def documents(folder: Path, name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((folder / f"{name}.yaml").read_text()))


def executors(folder: Path, name: str) -> dict[str, Any]:
    """Return the containers that run code of ours; claims are made by the driver itself."""
    found = documents(folder, name)[0]["deploymentSpec"]["executors"]
    ours = {label: each["container"] for label, each in found.items()}
    return {label: c for label, c in ours.items() if not c["image"].startswith("argostub/")}


def tasks(folder: Path, name: str) -> dict[str, Any]:
    """Return every task of every graph that runs something."""
    spec = documents(folder, name)[0]
    graphs = [spec["root"], *(c for c in spec["components"].values() if "dag" in c)]
    found = {label: t for graph in graphs for label, t in graph["dag"]["tasks"].items()}
    leaves = {label for label, c in spec["components"].items() if "executorLabel" in c}
    return {label: t for label, t in found.items() if t["componentRef"]["name"] in leaves}


@each
def test_committed_yaml_is_what_the_sources_compile_to(fresh: Path, name: str) -> None:
    committed = ROOT / "compiled" / f"{name}.yaml"
    assert committed.read_bytes() == (fresh / committed.name).read_bytes()


def test_committed_library_is_what_the_sources_pack_to(fresh: Path) -> None:
    for name in ("carferry-library.yaml", "kustomization.yaml"):
        assert (ROOT / "compiled" / name).read_bytes() == (fresh / name).read_bytes()
    assert (fresh / "carferry-library.yaml").read_text() == carried().manifest


@each
def test_yaml_is_small_ascii_and_ends_in_a_newline(fresh: Path, name: str) -> None:
    data = (fresh / f"{name}.yaml").read_bytes()
    assert len(data) < 120_000
    assert data.isascii()
    assert data.endswith(b"\n")


@each
def test_yaml_parses_strictly_as_pipeline_and_platform_spec(fresh: Path, name: str) -> None:
    spec, platform = documents(fresh, name)
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        wanted = kubernetes_executor_config_pb2.KubernetesExecutorConfig()
        json_format.ParseDict(config, wanted)
    assert spec["schemaVersion"] == "2.1.0"
    assert set(platform["platforms"]["kubernetes"]) == {
        "deploymentSpec"
    }  # nothing old drivers drop


@each
def test_yaml_loads_with_kfp(fresh: Path, name: str) -> None:
    loaded = kfp_components.load_component_from_text((fresh / f"{name}.yaml").read_text())
    assert loaded.name == name


@each
def test_every_executor_says_image_cpu_and_memory(fresh: Path, name: str) -> None:
    wanted = {f"resource{what}{how}" for what in ("Cpu", "Memory") for how in ("Request", "Limit")}
    for label, container in executors(fresh, name).items():
        assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"]), label
        assert wanted <= container["resources"].keys(), label


@each
def test_no_task_takes_its_result_from_a_cache(fresh: Path, name: str) -> None:
    """All of them act outside the run; a cached download would meet an empty volume."""
    cached = [label for label, t in tasks(fresh, name).items() if t["cachingOptions"] != {}]
    assert cached == []


@each
def test_yaml_holds_no_moving_tag_no_secret_and_no_path_of_a_machine(
    fresh: Path, name: str
) -> None:
    text = (fresh / f"{name}.yaml").read_text()
    forbidden = r":latest\b|\bhf_[A-Za-z0-9]{20,}|PRIVATE KEY|Bearer [A-Za-z0-9]|/home/|/root/"
    assert re.findall(forbidden, text) == []
    assert str(ROOT) not in text


@each
def test_every_parameter_is_described_and_only_the_necessary_are_required(
    fresh: Path, name: str
) -> None:
    declared = documents(fresh, name)[0]["root"]["inputDefinitions"]["parameters"]
    assert [label for label, about in declared.items() if not about.get("description")] == []
    required = {label for label, about in declared.items() if not about.get("isOptional")}
    assert required - {"model_storage_class", "model_claim"} == {"model", "image"}
    assert ("model_claim" in required) == (name == "modelcar-pvc")


@each
def test_the_alphabet_of_the_form_is_its_order(fresh: Path, name: str) -> None:
    """Dashboards sort by name: what must be given comes first, then content, then serving."""
    declared = documents(fresh, name)[0]["root"]["inputDefinitions"]["parameters"]
    labels = sorted(declared)
    required = [label for label in labels if not declared[label].get("isOptional")]
    assert labels[: len(required)] == required
    meant = [made for build in command.ENGINES.values() if (made := build(Site())).name == name]
    assert [labels] == [[*each.component_spec.inputs] for each in meant]
    assert labels[-1] == "settings"
    assert len(labels) <= 14


@each
def test_every_empty_default_says_what_empty_does(fresh: Path, name: str) -> None:
    declared = documents(fresh, name)[0]["root"]["inputDefinitions"]["parameters"]
    silent = [
        label
        for label, about in declared.items()
        if about.get("defaultValue", "x") in ("", {}) and "Empty:" not in about["description"]
    ]
    assert silent == []


@each
def test_only_the_forms_parameters_are_described(fresh: Path, name: str) -> None:
    """Argo keeps a copy of every component's text for each of its pods."""
    parts = documents(fresh, name)[0]["components"]
    assert "description" not in str(parts)


def test_the_two_engines_ask_for_the_same_in_the_same_words(fresh: Path) -> None:
    one, two, _ = (
        documents(fresh, name)[0]["root"]["inputDefinitions"]["parameters"] for name in NAMES
    )
    shared = one.keys() & two.keys()
    assert {label: one[label] for label in shared} == {label: two[label] for label in shared}
    spread, volume = {"pack_workers"}, {"model_storage_class", "model_storage_size"}
    assert one.keys() ^ two.keys() == spread | volume


def test_the_default_path_needs_nothing_a_backend_may_lack(fresh: Path) -> None:
    text = (fresh / "modelcar.yaml").read_text()
    assert "collected" not in text.lower()
    assert {"comp-plan-model", "comp-stream-layers", "comp-seal-image"} <= set(
        documents(fresh, "modelcar")[0]["components"]
    )


@each
def test_secrets_are_files_by_name_and_may_be_missing(fresh: Path, name: str) -> None:
    platform = documents(fresh, name)[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounts = [mount for config in platform.values() for mount in config.get("secretAsVolume", [])]
    hub = set() if name == "modelcar-pvc" else {"/etc/carferry/hf"}  # a folder needs no token
    assert {mount["mountPath"] for mount in mounts} == {"/etc/carferry/registry", *hub}
    assert all(mount["optional"] for mount in mounts)
    assert not any("secretAsEnv" in config for config in platform.values())


def test_the_volume_is_removed_after_a_failure_too(fresh: Path) -> None:
    root = documents(fresh, "modelcar-buildah")[0]["root"]["dag"]["tasks"]
    removal = root["deletepvc"]
    assert removal["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    name = removal["inputs"]["parameters"]["pvc_name"]["runtimeValue"]["constant"]
    assert name == "{{$.pipeline_job_resource_name}}"


def test_buildah_runs_in_a_job_that_sees_the_volume_as_its_step_does(fresh: Path) -> None:
    """A step has no capability left (KFP 2.16), so Buildah cannot run in it."""
    platform = documents(fresh, "modelcar-buildah")[1]
    given = tasks(fresh, "modelcar-buildah")["build-image"]["inputs"]["parameters"]
    constants = {name: each.get("runtimeValue", {}).get("constant") for name, each in given.items()}
    assert constants["builder"] == "job"
    configs = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    (mount,) = configs["exec-build-image"]["pvcMount"]
    assert mount["mountPath"] == constants["builder_folder"]
    claim = mount["pvcNameParameter"]["componentInputParameter"]  # it is made before the condition
    assert given["builder_claim"]["componentInputParameter"] == claim
    assert constants["image"].startswith(f"oci:{mount['mountPath']}/")


@pytest.mark.parametrize("build", [stream, buildah, stream_claim])
def test_on_a_runtime_image_nothing_travels_in_the_yaml(build: Any) -> None:
    pipeline = build(Site(Runtime.choose(IMAGE)))
    text = compiling.compiled(pipeline)
    assert "pip install" not in text
    assert "carferry-library" not in text


def test_yaml_beyond_the_dashboards_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "MAX_YAML", 1000)
    with pytest.raises(InputError, match="at most 1000"):
        compiling.compiled(stream(Site(Runtime.choose(IMAGE))))


NAMED = {"runtime_image": "serve_image", "gpus": "serve_gpu", "vllm_args": "serve_args"}


@pytest.mark.parametrize("build", [stream, buildah])
def test_a_pipelines_defaults_are_its_components(build: Any) -> None:
    pipeline = build(Site(Runtime.choose(IMAGE))).component_spec.inputs
    compared = []
    for made in (fit_model, plan_model, deploy_model):
        for name, about in made.component_spec.inputs.items():
            known = (NAMED.get(name, name), f"serve_{name}", f"pack_{name}")
            asked = next((pipeline[label] for label in known if label in pipeline), None)
            if asked is not None and about.optional and asked.optional:
                compared.append(name)
                assert (name, asked.default) == (name, about.default)
    assert {"serve", "gpus", "runtime_image", "vllm_args", "include", "settings"} <= set(compared)


@each
def test_every_step_mounts_the_library_and_the_environment_if_they_are_there(
    fresh: Path, name: str
) -> None:
    configs = documents(fresh, name)[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    wanted = {
        (carried().name, "/etc/carferry/library", True),
        ("carferry-environment", "/etc/carferry/environment", True),
    }
    for label in executors(fresh, name):
        mounts = configs[label]["configMapAsVolume"]
        assert {(m["configMapName"], m["mountPath"], m["optional"]) for m in mounts} == wanted


@each
def test_only_steps_that_move_bytes_are_started_again_and_for_as_long_as_it_takes(
    fresh: Path, name: str
) -> None:
    """Argo cannot tell a wrong name from a lost connection; a step can, and tries by itself."""
    moving = {"stream-layers", "download-model", "build-image", "push-image"}
    for label, task in tasks(fresh, name).items():
        policy = task.get("retryPolicy")
        assert bool(policy) == (label in moving), label
        if policy:
            assert policy["backoffMaxDuration"] == "2592000s"
            assert policy["maxRetryCount"] == 3


@each
def test_no_step_asks_for_a_whole_cpu(fresh: Path, name: str) -> None:
    asked = {
        label: c["resources"]["resourceCpuRequest"] for label, c in executors(fresh, name).items()
    }
    assert set(asked.values()) == {"250m"}


@pytest.mark.parametrize("image", ["", IMAGE], ids=["mounted library", "own image"])
@pytest.mark.parametrize("workers", [1, 8, 16, MAX_WORKERS])
def test_every_backend_can_hold_a_run_of_it(
    tmp_path: Path, image: str, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--compile", "--output", str(tmp_path), "--image", image]) == 0
    capsys.readouterr()
    files = [str(tmp_path / f"{name}.yaml") for name in NAMES]
    asked = ["--target", "all", "--workers", str(workers), "--json"]
    assert carferry(["lint", *files, *asked]) == 0
    reports = json.loads(capsys.readouterr().out)
    linted = [target for report in reports for target in report["targets"]]
    assert len(linted) == len(NAMES) * len(TARGETS)
    # At the very most workers the streamed ones are close to the limit.
    found = [report["file"] for report in reports for t in report["targets"] if t["findings"]]
    assert not found or (workers == MAX_WORKERS and {*found} <= {files[0], files[2]})
    assert max(target["sizes"]["unpacked_bytes"] for target in linted) < 2**20
    assert max(target["sizes"]["packed_bytes"] for target in linted) < 900_000
    assert max(target["sizes"]["environment_bytes"] for target in linted) < 60_000
