"""A model on a claim: read where a pipeline mounts it, refused where nothing is mounted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ferrying import carferry, hashes, manifest, model_files, to_layout
from servers.models import tiny, write

import carferry as api
from carferry.cluster.pod import MOUNTED, POD, Places, enter
from carferry.errors import InputError, InvalidReference, SourceNotFound
from carferry.pipelines import command, pods
from carferry.pipelines.arguments import form
from carferry.pipelines.streamed import stream, stream_claim
from carferry.run.request import Run
from carferry.source.claim import FOLDER, ClaimRef
from carferry.source.open import check_model, claim_of, open_source, pinned

SITE = pods.Site(pods.HERE, folder=".")


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A claim with a model, as a step of the pipeline sees it."""
    folder = tmp_path / "etc" / "claim"
    write(tiny(), folder / "models" / "granite")
    environ = {POD: "pod"}
    enter(environ, places=Places(mounted=folder.parent, account=tmp_path, termination=tmp_path))
    assert environ[FOLDER] == str(folder)
    monkeypatch.setenv(FOLDER, environ[FOLDER])
    return folder


def test_a_folder_of_the_claim_becomes_an_image(mounted: Path, tmp_path: Path) -> None:
    api.build("pvc://models/models/granite", f"oci:{tmp_path / 'out'}:v1", base="scratch")
    target = to_layout(tmp_path / "out")
    assert model_files(target) == hashes(tiny())
    facts = manifest(target).annotations
    assert facts["dev.carferry.source"] == "pvc://models/models/granite"
    assert pinned("pvc://models/x", "") == "pvc://models/x"


def test_the_folder_that_would_be_right_is_named_as_a_run_names_it(
    mounted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = carferry(capsys, "build", "pvc://models/models", f"oci:{tmp_path / 'out'}:v1")
    assert done.code == 2
    assert "package pvc://models/models: " in done.err
    assert "package pvc://models/models/granite" in done.err


@pytest.mark.parametrize("model", ["PVC://models/models/granite", " pvc://models/models/granite"])
def test_an_address_is_understood_as_it_was_pasted(mounted: Path, model: str) -> None:
    assert {file.path for file in open_source(model).listing().files} == set(tiny())
    assert claim_of(model) == "models"


@pytest.mark.parametrize("path", ["", "/", "/models/granite/", "/models//granite"])
def test_slashes_at_the_ends_mean_nothing(mounted: Path, path: str) -> None:
    if "//" in path:
        with pytest.raises(InvalidReference, match="an empty part in the path"):
            check_model(f"pvc://models{path}")
    else:
        assert open_source(f"pvc://models{path}").listing().files


def test_what_is_not_there_is_said_with_what_is(mounted: Path) -> None:
    with pytest.raises(SourceNotFound, match="no such folder in the claim; there are: granite"):
        open_source("pvc://models/models/granit")
    with pytest.raises(SourceNotFound, match="no such folder in the claim; there are: models"):
        open_source("pvc://models/a/b")


def test_a_link_out_of_the_claim_is_not_followed(mounted: Path, tmp_path: Path) -> None:
    (mounted / "out").symlink_to(tmp_path)
    with pytest.raises(InputError, match="a link that leaves the claim"):
        open_source("pvc://models/out")


@pytest.mark.parametrize(
    "model", ["pvc://", "pvc:///x", "pvc://Models/x", "pvc://a/../b", "pvc://a/."]
)
def test_what_names_no_folder_of_a_claim_is_refused(model: str) -> None:
    with pytest.raises(InvalidReference, match="pvc://claim/path"):
        check_model(model)


def test_on_a_laptop_it_says_where_it_works(capsys: pytest.CaptureFixture[str]) -> None:
    done = carferry(capsys, "build", "pvc://models/granite", "oci:out:1")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "carferry: read pvc://models/granite: a claim is mounted in a pipeline's pods only; run "
        "the pipeline modelcar-pvc, or name the folder it is mounted at here\n"
    )


@pytest.mark.parametrize(
    ("model", "claim", "reason"),
    [
        (
            "pvc://models/granite",
            "",
            "this pipeline mounts no claim; use the pipeline modelcar-pvc",
        ),
        ("pvc://models/granite", "other", "this run mounts the claim other"),
        (
            "org/name",
            "models",
            "this run mounts the claim models; write model as pvc://models/path",
        ),
        ("pvc://models/granite", "models", ""),
    ],
)
def test_a_run_mounts_the_claim_that_its_model_names(model: str, claim: str, reason: str) -> None:
    run = Run(model, "docker://quay.io/me/m:1", serve="no", claim=claim)
    if not reason:
        run.check()
        return
    with pytest.raises(InputError, match=reason):
        run.check()


GIVEN = ["image=docker://quay.io/me/m:1", "model=pvc://models/granite", "serve=no"]


def test_the_command_line_chooses_the_pipeline_and_names_its_claim() -> None:
    options = command._parser().parse_args(["--submit", *GIVEN])
    assert command._engine(options) == "pvc"
    known = form.fields(stream_claim(SITE))
    assert form.arguments(known, options.parameters, {})["model_claim"] == "models"
    plain = command._parser().parse_args(["--submit", "model=org/name"])
    assert (command._engine(plain), plain.parameters) == ("stream", ["model=org/name"])


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["model_claim="], "model_claim: missing"),
        (["model_claim=other"], "this run mounts the claim other"),
        (["model_claim=models", "secret_registry=models"], "the same name twice"),
    ],
)
def test_a_form_that_no_pod_could_start_with_is_refused(more: list[str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        form.arguments(form.fields(stream_claim(SITE)), [*GIVEN, *more], {})


def test_a_claim_with_dots_cannot_be_a_volume() -> None:
    given = [GIVEN[0], "model=pvc://a.b/granite", "model_claim=a.b", "serve=no"]
    with pytest.raises(InputError, match="a claim's name becomes a volume's"):
        form.arguments(form.fields(stream_claim(SITE)), given, {})


def test_the_other_pipelines_and_local_runs_refuse_it() -> None:
    with pytest.raises(InputError, match="this pipeline mounts no claim"):
        form.arguments(form.fields(stream(SITE)), GIVEN, {})
    with pytest.raises(InputError, match="a claim is mounted in pods only; name a folder"):
        given = [*GIVEN, "model_claim=models"]
        form.arguments(form.fields(stream_claim(SITE)), given, {}, remote=False)


def test_each_step_that_reads_the_model_mounts_the_claim_by_the_forms_name(fresh: Path) -> None:
    spec, platform = yaml.safe_load_all((fresh / "modelcar-pvc.yaml").read_text())
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    assert list(inputs)[:3] == ["image", "model", "model_claim"]
    assert "secret_hub" not in inputs
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    claims = {
        name.removeprefix("exec-"): [_claim(each) for each in found.get("pvcMount", ())]
        for name, found in executors.items()
    }
    where = [(f"{MOUNTED}/claim", "model_claim")]
    assert {name for name, found in claims.items() if found} == {
        "fit-model", "plan-model", "stream-layers", "seal-image",
    }  # fmt: skip
    assert all(found in ([], where) for found in claims.values())


def _claim(mount: dict[str, Any]) -> tuple[str, str]:
    name = mount["pvcNameParameter"]["componentInputParameter"].removeprefix("pipelinechannel--")
    return mount["mountPath"], name


def test_a_parsed_claim_reads_as_it_was_written() -> None:
    assert str(ClaimRef.parse("pvc://models/a/b/")) == "pvc://models/a/b"
