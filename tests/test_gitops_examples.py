"""examples/gitops: the base is what carferry renders, the overlays build, and the tools take it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from gitops_shapes import DEFINITIONS, faults
from test_manifests import COMMAND, kustomize

import carferry

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "gitops"
PAGE = (ROOT / "docs" / "how-to" / "gitops.md").read_text(encoding="ascii")
ENVIRONMENTS = ("dev", "staging", "prod")
TOOLS = [
    each
    for name in ("argocd/applications.yaml", "flux/models.yaml")
    for each in yaml.safe_load_all((EXAMPLE / name).read_text(encoding="ascii"))
]
KINDS = {(each["kind"], each["metadata"]["name"]): each for each in TOOLS}


def built(folder: Path) -> dict[str, Any]:
    done = subprocess.run([*COMMAND, str(folder)], check=True, capture_output=True, text=True)
    return {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}


def image(environment: str) -> str:
    """Return the image that an environment pins; for dev, that of the base."""
    file = EXAMPLE / "overlays" / environment / "image.yaml"
    text = (file if file.exists() else EXAMPLE / "base" / "smollm2.yaml").read_text()
    (found,) = re.findall(r'storageUri: "?(oci://[^\s"]+)', text)
    return str(found)


def rendered(folder: Path, **settings: Any) -> None:
    reference = image("dev").removeprefix("oci://")
    carferry.render(reference, max_model_len=8192, folder=folder, **settings)


def test_the_base_is_what_this_version_renders(tmp_path: Path) -> None:
    rendered(tmp_path, platform="kserve")
    for name in ("smollm2.yaml", "kustomization.yaml"):
        assert (tmp_path / name).read_bytes() == (EXAMPLE / "base" / name).read_bytes()


@kustomize
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_overlay_serves_its_own_digest_in_its_own_project(environment: str) -> None:
    objects = built(EXAMPLE / "overlays" / environment)
    assert [*objects] == ["ServingRuntime", "InferenceService"]
    assert {each["metadata"]["namespace"] for each in objects.values()} == {f"models-{environment}"}
    predictor = objects["InferenceService"]["spec"]["predictor"]
    assert predictor["model"]["storageUri"] == image(environment)
    assert predictor["minReplicas"] == (2 if environment == "prod" else 1)


@kustomize
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_on_openshift_ai_the_connection_names_the_same_image(
    environment: str, tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "models")
    rendered(tmp_path / "models" / "base", platform="openshift-ai-3")
    objects = built(tmp_path / "models" / "overlays" / environment)
    assert objects["Secret"]["stringData"]["URI"] == image(environment)


@kustomize
def test_promoting_is_copying_one_file(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "models")
    overlays = tmp_path / "models" / "overlays"
    assert image("prod") != image("staging")
    shutil.copy(overlays / "staging" / "image.yaml", overlays / "prod" / "image.yaml")
    model = built(overlays / "prod")["InferenceService"]["spec"]["predictor"]["model"]
    assert model["storageUri"] == image("staging")
    assert "cp overlays/staging/image.yaml overlays/prod/image.yaml" in PAGE


@pytest.mark.parametrize("document", TOOLS, ids=lambda each: each["metadata"]["name"])
def test_argo_and_flux_know_every_field(document: Any) -> None:
    assert faults(document) == []


def test_a_field_that_there_is_not_is_found() -> None:
    wrong = {**TOOLS[0], "spec": {**TOOLS[0]["spec"], "syncPolicy": {"automatic": True}}}
    (said,) = faults(wrong)
    assert said.startswith("Application.spec.syncPolicy: ")
    assert "'automatic' was unexpected" in said


def test_a_value_of_another_type_is_found() -> None:
    flux = KINDS["Kustomization", "smollm2-dev"]
    (said,) = faults({**flux, "spec": {**flux["spec"], "prune": "yes"}})
    assert said == "Kustomization.spec.prune: 'yes' is not of type 'boolean'"


def test_every_definition_names_where_it_was_read() -> None:
    for each in DEFINITIONS.values():
        assert re.match(r"https://github\.com/\S+/blob/v\d+\.\d+\.\d+/\S+\.yaml$", each["source"])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_environment_has_both(environment: str) -> None:
    application = KINDS["Application", f"smollm2-{environment}"]["spec"]
    assert (EXAMPLE / application["source"]["path"]).is_dir()
    assert application["destination"]["namespace"] == f"models-{environment}"
    flux = KINDS["Kustomization", f"smollm2-{environment}"]["spec"]
    assert flux["path"] == f"./{application['source']['path']}"
    assert ("GitRepository", flux["sourceRef"]["name"]) in KINDS


def test_what_git_has_argo_does_not_leave_to_others() -> None:
    """An ignored field that an overlay sets would never reach the cluster."""
    for environment in ENVIRONMENTS:
        assert "ignoreDifferences" not in KINDS["Application", f"smollm2-{environment}"]["spec"]


def test_what_argo_leaves_to_others_it_does_not_write_either() -> None:
    """Ignored differences alone would still be overwritten by the next sync."""
    (shown,) = re.findall(r"```yaml\n(ignoreDifferences:.*?)```", PAGE, re.DOTALL)
    more = yaml.safe_load(shown)
    assert "RespectIgnoreDifferences=true" in more["syncPolicy"]["syncOptions"]
    application = KINDS["Application", "smollm2-prod"]
    assert faults({**application, "spec": application["spec"] | more}) == []
    prod = yaml.safe_load((EXAMPLE / "overlays" / "prod" / "size.yaml").read_text())
    fields = {f"/spec/predictor/{name}" for name in prod["spec"]["predictor"]}
    assert fields == {*more["ignoreDifferences"][0]["jsonPointers"]}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_flux_looks_at_what_has_a_generation_of_its_own(environment: str) -> None:
    """KServe writes the Deployment's generation into the InferenceService, which Flux compares."""
    spec = KINDS["Kustomization", f"smollm2-{environment}"]["spec"]
    assert "wait" not in spec
    (looked,) = spec["healthChecks"]
    assert (looked["kind"], looked["name"]) == ("Deployment", "smollm2-predictor")
    assert looked["namespace"] == f"models-{environment}"


def test_the_page_shows_the_files() -> None:
    for name in ("argocd/applications.yaml", "flux/models.yaml", "overlays/prod/image.yaml"):
        assert f"(../../examples/gitops/{name})" in PAGE
