"""An image as the model of every step: opened by one way, and read at one digest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ferrying import access, carferry, ferry, from_folder, hashes, model_files, point_to
from servers import models
from servers.hub import Hub
from servers.models import sharded, tiny, write
from servers.registry import Registry

from carferry.cli import main
from carferry.errors import CarferryError, InputError, SourceNotFound
from carferry.oci.documents import MANIFEST, Document, Platform, canonical
from carferry.pipelines import command
from carferry.refs import LayoutRef, parse_image
from carferry.registry.layout import LayoutTarget
from carferry.run.first import first
from carferry.run.request import Run
from carferry.source.open import open_source
from carferry.steps.build import build
from carferry.steps.download import download
from carferry.steps.fit import fit
from carferry.steps.inspect import inspect
from carferry.steps.plan import plan
from carferry.steps.stream import seal, stream

CONFIG = {"config.json": json.dumps({**models.CONFIG, "vocab_size": 64}).encode()}
OLD, NEW = sharded() | CONFIG, sharded(seed=7) | CONFIG
SHARD = "model-00001-of-00003.safetensors"
PICKLED = b"\x80\x02}q\x00."
MORE = OLD | {
    "notes.xyz": b"read by no server",
    "original/params.json": b"{}",
    "original/consolidated.00.pth": PICKLED,
    "pytorch_model.bin": PICKLED,
    "checkpoint-5/optimizer.pt": PICKLED,
}
NAMED = ["*", "original/*", "pytorch_model.bin", "checkpoint-5/*", "*.pth", "*.pt"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where images are in a test.

    Attributes:
        name: Of an image there, with a tag to follow.
        how: What every step must be told to reach it.
    """

    name: str
    how: dict[str, Any]

    def image(self, tag: str) -> str:
        return f"{self.name}:{tag}"

    def put(self, files: dict[str, bytes], tag: str, folder: Path, **options: Any) -> None:
        """Build an image of these files and give it a tag, whoever had it before."""
        target = access(*self.how.get("plain_http", ()), **self._reach).open(
            parse_image(self.image(tag)), write=True
        )
        ferry(from_folder(write(files, folder / f"{tag}-{len(list(folder.iterdir()))}")), target,
              large_bytes=300, **options)  # fmt: skip

    def files(self, image: str) -> dict[str, str]:
        ref = parse_image(image)
        found = access(*self.how.get("plain_http", ()), **self._reach).open(ref)
        return model_files(found, ref.reference)

    @property
    def _reach(self) -> dict[str, Any]:
        trust = {"ca_file": Path(self.how["ca_file"])} if "ca_file" in self.how else {}
        return {"env": None, **trust}


@pytest.fixture
def plain(registry: Registry) -> Place:
    return Place(f"oci://{registry.host}/org/tiny", {"plain_http": [registry.host]})


@pytest.fixture
def private(registry_basic: Registry, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(registry_basic.auth_file))
    host = registry_basic.host
    return Place(f"oci://{host}/org/tiny", {"plain_http": [host]})


@pytest.fixture
def trusted(registry_tls: Registry) -> Place:
    assert registry_tls.certificates is not None
    return Place(
        f"oci://{registry_tls.host}/org/tiny", {"ca_file": str(registry_tls.certificates.ca)}
    )


@pytest.fixture
def layout(tmp_path: Path) -> Place:
    return Place(f"oci:{tmp_path / 'layout'}", {})


@pytest.fixture(params=["plain", "private", "trusted", "layout"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


Step = Callable[[Place, Path], object]


def _download(place: Place, folder: Path) -> None:
    got = download(place.image("v1"), folder / "got", **place.how)
    assert got.files == len(OLD)
    assert {name: (folder / "got" / name).read_bytes() for name in OLD} == OLD


def _share(place: Place, folder: Path) -> None:
    model, image, how = place.image("v1"), place.image("two"), {"base": "scratch", **place.how}
    for share in ("1/2", "2/2"):
        stream(model, image, share, **how)
    seal(model, image, **how)
    assert place.files(image) == hashes(OLD)


STEPS: dict[str, Step] = {
    "build": lambda place, _: build(
        place.image("v1"), place.image("two"), base="embedded", **place.how
    ),
    "plan": lambda place, _: plan(
        place.image("v1"), place.image("two"), base="scratch", **place.how
    ),
    "stream and seal": _share,
    "download": _download,
    "fit": lambda place, _: fit(place.image("v1"), gpus="L40S", max_model_len=16, **place.how),
    "inspect": lambda place, _: inspect(place.image("v1"), model=place.image("v1"), **place.how),
    "compare a folder's image": lambda place, _: inspect(
        place.image("v1"), model=place.image("same"), **place.how
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_an_image_is_a_model_for_every_step(place: Place, step: str, tmp_path: Path) -> None:
    place.put(OLD, "v1", tmp_path)
    place.put(OLD, "same", tmp_path)
    STEPS[step](place, tmp_path)


COMMANDS = {
    "plan": ["{model}", "{image}", "--base", "scratch"],
    "plan --gpu": ["{model}", "--gpu", "L40S", "--max-model-len", "16"],
    "build": ["{model}", "{image}", "--base", "scratch"],
    "stream": ["{model}", "{image}", "--base", "scratch", "--worker", "1/1"],
    "download": ["{model}", "{folder}"],
    "inspect": ["{model}", "--model", "{model}", "--verify"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_image_is_a_model_for_every_command(
    place: Place, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.put(OLD, "v1", tmp_path, base="embedded")
    words = {"model": place.image("v1"), "image": place.image("new"), "folder": tmp_path / "to"}
    arguments = [name.partition(" ")[0], *(each.format(**words) for each in COMMANDS[name])]
    hosts = [f"--plain-http={host}" for host in place.how.get("plain_http", ())]
    trust = [f"--ca={place.how['ca_file']}"] if "ca_file" in place.how else []
    told = carferry(capsys, *arguments, *hosts, *trust)
    assert (told.code, "carferry:" in told.err) == (0, False), told


def test_all_files_of_an_image_are_taken_by_every_step(layout: Place, tmp_path: Path) -> None:
    """Somebody chose them already, also what none would take by itself."""
    layout.put(MORE, "v1", tmp_path, include=NAMED)
    model = layout.image("v1")
    build(model, layout.image("other"), base="embedded", format="modelpack")
    build(layout.image("other"), layout.image("back"), base="scratch")
    assert layout.files(layout.image("back")) == hashes(MORE)
    assert fit(model, gpus="L40S", max_model_len=16).ok
    assert download(model, tmp_path / "to").files == len(MORE)
    assert plan(model, layout.image("two"), base="scratch").files == len(MORE)
    assert first(Run(model, layout.image("two"), serve="no")).model.startswith("oci:")


def test_a_pipeline_for_another_server_gets_another_base(layout: Place, tmp_path: Path) -> None:
    files = {"model_index.json": b'{"_class_name": "X"}', "unet/w.safetensors": OLD[SHARD]}
    layout.put(files, "v1", tmp_path, include=["model_index.json", "*.safetensors"])
    build(layout.image("v1"), layout.image("two"), base="embedded")
    assert layout.files(layout.image("two")) == hashes(files)


def test_patterns_choose_among_an_images_files(layout: Place, tmp_path: Path) -> None:
    layout.put(MORE, "v1", tmp_path, include=NAMED)
    kept = {path: body for path, body in MORE.items() if not path.startswith("checkpoint-")}
    build(layout.image("v1"), layout.image("less"), base="scratch", exclude=["checkpoint-*"])
    assert layout.files(layout.image("less")) == hashes(kept)


def test_a_credential_stays_out_of_the_next_image_too(layout: Place, tmp_path: Path) -> None:
    layout.put(OLD | {".netrc": b"machine x"}, "v1", tmp_path, include=["*", ".netrc"])
    assert ".netrc" in layout.files(layout.image("v1"))
    made = build(layout.image("v1"), layout.image("two"), base="scratch")
    assert layout.files(layout.image("two")) == hashes(OLD)
    assert any(".netrc" in line for line in made.left_out)


def test_the_first_step_of_a_run_plans_for_an_image(plain: Place, tmp_path: Path) -> None:
    plain.put(OLD, "v1", tmp_path)
    (host,) = plain.how["plain_http"]
    run = Run(
        plain.image("v1"), f"{host}/org/tiny:two", serve="render", gpus="L40S",
        settings={"plain_http": host}, max_model_len=16,
    )  # fmt: skip
    assert first(run).sizing["gpu_count"] == 1


@pytest.mark.parametrize("text", [" {}\n", "docker://{rest}", "OCI://{rest}", "Docker://{rest}"])
def test_a_pasted_name_of_an_image_is_understood(plain: Place, text: str, tmp_path: Path) -> None:
    plain.put(OLD, "v1", tmp_path)
    name = plain.image("v1")
    model = text.format(name, rest=name.removeprefix("oci://"))
    assert plan(model, plain.image("v1"), base="scratch", **plain.how).files == len(OLD)


def test_who_reaches_no_registry_says_so() -> None:
    with pytest.raises(InputError, match="no image is read here; carferry download IMAGE DIR"):
        open_source("oci://quay.io/org/tiny:1")


@pytest.mark.parametrize("engine", ["stream", "buildah"])
def test_each_engine_of_the_pipelines_takes_an_image(
    private: Place,
    engine: str,
    tmp_path: Path,
    tools: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    if engine == "buildah":
        tools("buildah")
    private.put(OLD, "v1", tmp_path)
    (host,) = private.how["plain_http"]
    said = ["settings.base=scratch", f"settings.plain_http={host}", "serve=no", "serve_gpu=none"]
    image = f"image=docker://{host}/org/tiny:run"
    arguments = [f"model={private.image('v1')}", image, *said]
    where = ["--local", "--root", str(tmp_path / "root"), "--engine", engine]
    assert command.main([*where, *arguments]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert steps["fit-model"]["model"].startswith(f"oci://{host}/org/tiny@sha256:")
    digest = steps["seal-image" if engine == "stream" else "push-image"]["digest"]
    report = inspect(private.image("run"), plain_http=[host], verify=True)
    assert (report.digest, report.flaws) == (digest, ())
    assert {path.removeprefix("models/") for path, _ in report.files} == OLD.keys()


Later = Callable[[str, str, dict[str, Any]], object]
LATER: dict[str, Later] = {
    "build": lambda model, image, how: build(model, image, **how),
    "workers and seal": lambda model, image, how: [
        *(stream(model, image, share, **how) for share in ("1/2", "2/2")),
        seal(model, image, **how),
    ],
}
PLATFORMS = [["linux/amd64"], ["linux/amd64", "linux/arm64"]]


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("where", ["plain", "layout"])
@pytest.mark.parametrize("platforms", PLATFORMS)
def test_a_tag_that_moves_after_the_plan_moves_nothing_else(
    where: str, later: str, platforms: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(where)
    how = {"base": "scratch", **place.how}
    place.put(OLD, "v1", tmp_path, platforms=tuple(map(Platform.parse, platforms)))
    planned = plan(place.image("v1"), place.image("out"), workers=2, **how)
    assert planned.model.startswith(f"{place.name}@sha256:")
    place.put(NEW, "v1", tmp_path)
    LATER[later](planned.model, place.image("out"), how)
    assert place.files(place.image("out")) == hashes(OLD)


def test_a_tag_that_moves_between_workers_and_seal_moves_nothing(
    plain: Place, tmp_path: Path
) -> None:
    how = {"base": "scratch", **plain.how}
    plain.put(OLD, "v1", tmp_path)
    model = plan(plain.image("v1"), plain.image("out"), workers=2, **how).model
    stream(model, plain.image("out"), "1/2", **how)
    plain.put(NEW, "v1", tmp_path)
    stream(model, plain.image("out"), "2/2", **how)
    seal(model, plain.image("out"), **how)
    assert plain.files(plain.image("out")) == hashes(OLD)


def test_a_tag_that_moves_after_a_runs_first_step_moves_nothing(
    layout: Place, tmp_path: Path
) -> None:
    layout.put(OLD, "v1", tmp_path)
    model = first(Run(layout.image("v1"), layout.image("out"), serve="no")).model
    layout.put(NEW, "v1", tmp_path)
    assert first(Run(model, layout.image("out"), serve="no")).model == model
    download(model, tmp_path / "to")
    assert {name: (tmp_path / "to" / name).read_bytes() for name in OLD} == OLD


def test_a_pinned_image_that_is_gone_is_one_line(layout: Place, tmp_path: Path) -> None:
    layout.put(OLD, "v1", tmp_path)
    model = plan(layout.image("v1"), layout.image("out"), base="scratch").model
    (tmp_path / "layout/blobs/sha256" / model.rpartition(":")[2]).unlink()
    layout.put(NEW, "v1", tmp_path)
    with pytest.raises(SourceNotFound, match="no such image or tag") as caught:
        build(model, layout.image("out"), base="scratch")
    assert model in str(caught.value)


def test_a_manifest_need_not_say_its_type_to_be_found_by_digest(tmp_path: Path) -> None:
    """OCI leaves its mediaType to whoever names it; once its tag is gone nobody does."""
    target = LayoutTarget(LayoutRef(tmp_path))
    for listing in ("layers", "manifests"):
        document = Document(MANIFEST, canonical({"schemaVersion": 2, listing: []}))
        target.put_manifest(document, str(document.digest))
        found = target.get_manifest(str(document.digest))
        assert found is not None
        assert found.is_index == (listing == "manifests")


def test_no_image_is_pushed_to_a_layouts_digest(
    layout: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tiny(), tmp_path / "model")
    image = f"{layout.name}@sha256:{'0' * 64}"
    assert main(["build", str(folder), image, "--base", "scratch"]) == 2
    assert "a digest cannot be chosen" in (said := capsys.readouterr().err)
    assert said.endswith("write oci:path:tag\n")
    with pytest.raises(CarferryError, match="a digest cannot be chosen"):
        first(Run(str(folder), image, serve="no"))


def test_a_hubs_model_is_compared_by_its_pinned_name(
    hub: Hub, layout: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/tiny", OLD)
    point_to(hub, monkeypatch)
    build("org/tiny", layout.image("v1"), base="embedded")
    layout.put(OLD, "folders", tmp_path)
    for model in ("org/tiny", layout.image("folders")):
        found = inspect(layout.image("v1"), model=model)
        text = next(detail for name, _, detail in found.rules if name == "files")
        assert "org/tiny@" in text or "@sha256:" in text
