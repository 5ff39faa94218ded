"""From YAML to a pushed image: both pipelines, both modes, as a cluster's pods would run them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ferrying import carferry, hashes, model_files, to_layout
from servers.hub import Hub
from servers.models import sharded, write
from servers.registry import Registry
from servers.tools import need

from backend.conftest import FILES, TOKEN
from backend.graph import Pipeline
from backend.metadata import CONTAINER, DAG
from backend.steps import Run
from backend.walk import Backend
from carferry.steps.build import build

SHARES = ["1/3", "2/3", "3/3"]
ENDS = {"fit-model": 1, "deploy-model": 1}
STREAMED = ENDS | {"plan-model": 1, "stream-layers": 3, "seal-image": 1}
VOLUME = {"createpvc": 1, "deletepvc": 1}
STAGED = ENDS | VOLUME | {"download-model": 1, "build-image": 1, "push-image": 1}


def test_three_workers_push_a_gated_model_to_a_registry_with_a_login(
    backend: Backend,
    compiled: Path,
    values: dict[str, Any],
    quay: Registry,
    tmp_path: Path,
) -> None:
    backend.instead["plan-model"] = {"shares": SHARES}  # as of a model of some 6 GiB
    pipeline = Pipeline.read(compiled / "modelcar.yaml")
    run = backend.run(pipeline, **values, serve="deploy")
    assert not run.failed, run.problems()
    digest = quay.tags("org/model")["v1"]
    sealed = published(backend, run, "seal-image")
    assert (sealed["digest"], sealed["previous"]) == (digest, "")
    assert sealed["reference"] == f"{quay.host}/org/model@{digest}"
    assert pushed_files(quay, tmp_path) == hashes(FILES)
    served = [key for key in backend.cluster.kube.store.objects if key[0] == "inferenceservices"]
    assert [namespace for _, namespace, _ in served] == ["demo"]
    is_recorded(backend, run, STREAMED)
    keeps_secrets(run, quay)
    is_stored(backend, run, "seal-image", f"oci://{quay.host}/org/model@{digest}")


def test_buildah_packs_in_a_job_over_a_volume_that_is_gone_afterwards(
    backend: Backend,
    compiled: Path,
    staged: dict[str, Any],
    quay: Registry,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    need("buildah")
    cluster = backend.cluster  # trust by the project's own bundle here, not by the service CA
    cluster.config_maps["carferry-environment"] |= {"ca-bundle.crt": cluster.service_ca}
    cluster.service_ca = b""
    pipeline = Pipeline.read(compiled / "modelcar-buildah.yaml")
    run = backend.run(pipeline, **staged, serve="render")
    assert not run.failed, run.problems()
    assert pushed_files(quay, tmp_path) == hashes(FILES)
    assert backend.cluster.claims == {}
    jobs = [r for r in backend.cluster.kube.requests if r.path.endswith("/jobs")]
    assert [each.method for each in jobs] == ["POST"]
    is_recorded(backend, run, STAGED)
    keeps_secrets(run, quay)
    assert run.steps[-1].name == "deletepvc"
    digest = quay.tags("org/model")["v1"]
    assert rendered(backend, run) == f"oci://{quay.host}/org/model@{digest}"
    monkeypatch.setenv("DOCKER_CONFIG", str(quay.auth_file.parent))
    assert quay.certificates is not None
    seen = carferry(capsys, "inspect", "--ca", quay.certificates.ca, staged["image"])
    assert (seen.code, digest in seen.out) == (0, True), seen.err


@pytest.mark.parametrize("name", ["modelcar", "modelcar-buildah"])
def test_a_model_in_a_registry_with_a_login_is_read_by_every_step(
    backend: Backend,
    compiled: Path,
    staged: dict[str, Any],
    values: dict[str, Any],
    quay: Registry,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if name == "modelcar-buildah":
        need("buildah")
    assert quay.certificates is not None
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(quay.auth_file))
    old = f"oci://{quay.host}/org/old"
    folder = write(FILES, tmp_path / "model")
    built = build(folder, f"{old}:v1", base="scratch", ca_file=quay.certificates.ca)
    form = values if name == "modelcar" else staged
    pipeline = Pipeline.read(compiled / f"{name}.yaml")
    run = backend.run(pipeline, **form | {"model": f"{old}:v1"}, serve="no")
    assert not run.failed, run.problems()
    assert pushed_files(quay, tmp_path) == hashes(FILES)
    (execution,) = by_task(backend, run, "fit-model")
    assert backend.metadata.outputs(int(execution["id"]))["model"] == f"{old}@{built.digest}"
    keeps_secrets(run, quay)


@pytest.mark.parametrize(
    ("name", "around", "last"),
    [("modelcar", {}, "seal-image"), ("modelcar-buildah", VOLUME, "push-image")],
)
def test_a_run_of_what_is_there_ends_in_its_first_step_until_the_hub_moves(
    backend: Backend,
    installed: Path,
    staged: dict[str, Any],
    values: dict[str, Any],
    quay: Registry,
    mirror: Hub,
    name: str,
    around: dict[str, int],
    last: str,
) -> None:
    """Before there was the question, a run of what is there started as many pods as any."""
    if name == "modelcar-buildah":
        need("buildah")
    form = values if name == "modelcar" else staged
    again = form | {"serve": "no", "settings": form["settings"] | {"if_changed": True}}
    pipeline = Pipeline.read(installed / f"{name}.yaml")
    digests = []
    for seed, goes_on in ((0, True), (0, False), (1, True)):
        mirror.add("org/model", sharded(3, seed), gated=True, token=TOKEN)
        mirror.clear_log()
        run = backend.run(pipeline, **again)
        assert not run.failed, run.problems()
        digests.append(quay.tags("org/model")["v1"])
        if goes_on:
            sealed = published(backend, run, last)
            assert sealed["digest"] == digests[-1]
            assert sealed["previous"] == (digests[0] if seed else "")
            continue
        started = [step.name for step in run.steps if step.state == "COMPLETE"]
        assert sorted(started) == sorted({**around, "fit-model": 1})
        found = published(backend, run, "fit-model")
        assert (found["due"], found["reference"].rpartition("@")[2]) == ("no", digests[0])
        assert mirror.body_bytes() < 20_000
    assert digests[0] == digests[1] != digests[2]


def published(backend: Backend, run: Run, task: str) -> dict[str, Any]:
    """Return the parameters that a step handed on."""
    (execution,) = by_task(backend, run, task)
    return dict(backend.metadata.outputs(int(execution["id"])))


def pushed_files(registry: Registry, folder: Path) -> dict[str, str]:
    """Copy the image with skopeo and return its model's files with their hashes."""
    assert registry.certificates is not None
    trust = ["--src-cert-dir", str(registry.certificates.folder)]
    login = ["--src-authfile", str(registry.auth_file)]
    image = f"docker://{registry.host}/org/model:v1"
    how = ["--insecure-policy", "copy", "--quiet", "--preserve-digests"]
    copy = [need("skopeo"), *how, *trust, *login, image, f"oci:{folder}/copy:v1"]
    done = subprocess.run(copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return model_files(to_layout(folder / "copy"))


def keeps_secrets(run: Run, registry: Registry) -> None:
    """Check that no step says the hub's token or the registry's password."""
    said = "".join(step.said for step in run.steps)
    assert said
    login = json.loads(registry.auth_file.read_text())["auths"][registry.host]["auth"]
    assert [secret for secret in (TOKEN, registry.login.password, login) if secret in said] == []


def is_recorded(backend: Backend, run: Run, wanted: dict[str, int]) -> None:
    """Check that ML Metadata holds each execution, and that all are complete."""
    found = backend.metadata.executions(run.id)
    containers = [e for e in found if e["type"] == CONTAINER]
    names = [e["custom_properties"]["task_name"]["string_value"] for e in containers]
    assert {name: names.count(name) for name in names} == wanted
    assert {e["last_known_state"] for e in containers} == {"COMPLETE"}
    assert {e["last_known_state"] for e in found if e["type"] == DAG} <= {"COMPLETE", "RUNNING"}


def is_stored(backend: Backend, run: Run, task: str, image: str) -> None:
    """Check that a step's artifacts are where ML Metadata says, and the image is only named."""
    (execution,) = by_task(backend, run, task)
    artifacts = backend.metadata.artifacts(int(execution["id"]))
    assert artifacts["modelcar"]["uri"] == image
    assert "model.safetensors" in backend.objects.read(artifacts["report"]["uri"]).decode()
    (step,) = run.named(task)
    assert backend.objects.read(artifacts["executor-logs"]["uri"]).decode() == step.said
    published = backend.metadata.outputs(int(execution["id"]))
    assert published["reference"] == image.removeprefix("oci://")


def rendered(backend: Backend, run: Run) -> str:
    """Return what the rendered objects would serve."""
    (execution,) = by_task(backend, run, "deploy-model")
    uri = backend.metadata.artifacts(int(execution["id"]))["manifests"]["uri"]
    objects = list(yaml.safe_load_all(backend.objects.read(uri)))
    (service,) = [each for each in objects if each["kind"] == "InferenceService"]
    return str(service["spec"]["predictor"]["model"]["storageUri"])


def by_task(backend: Backend, run: Run, task: str) -> list[dict[str, Any]]:
    """Return the executions of a task."""
    found = backend.metadata.executions(run.id)
    return [e for e in found if e["custom_properties"]["task_name"]["string_value"] == task]
