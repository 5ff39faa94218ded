"""What is read before anything moves is shown, by every command that shows progress."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ferrying import carferry, manifest, to_layout
from servers.models import filled, tiny, write

from carferry.io.show.progress import Silent
from carferry.oci.documents import MANIFEST, Document, canonical
from carferry.steps.build import build
from carferry.steps.plan import plan

LARGE = 65 * 1024 * 1024
FILES = {"config.json": tiny()["config.json"], "model.safetensors": filled(LARGE)}
SIZE = sum(map(len, FILES.values()))
COMMANDS = {
    "plan": ["{model}", "{image}", "--base", "scratch"],
    "build": ["{model}", "{image}", "--base", "scratch"],
    "stream": ["{model}", "{image}", "--base", "scratch", "--worker", "1/1"],
    "seal": ["{model}", "{image}", "--base", "scratch", "--parallel", "4"],
    "inspect": ["{image}", "--model", "{model}"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(FILES, tmp_path_factory.mktemp("large"))


class Seen(Silent):
    """Keeps what was begun, and counts what was read of it."""

    def __init__(self) -> None:
        self.expected = 0
        self.sizes: dict[str, int] = {}
        self.read: dict[str, int] = {}
        self.ended: dict[str, str] = {}

    def expect(self, size_bytes: int, items: int = 0) -> None:
        self.expected += size_bytes

    def begin(self, name: str, size_bytes: int) -> None:
        self.sizes[name] = size_bytes

    def advance(self, name: str, size_bytes: int) -> None:
        self.read[name] = self.read.get(name, 0) + size_bytes

    def end(self, name: str, note: str = "") -> None:
        self.ended[name] = note


@pytest.mark.parametrize("style", ["lines", "json", "none"])
@pytest.mark.parametrize("name", COMMANDS)
def test_hashing_a_folder_is_shown(
    name: str, style: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = f"oci:{tmp_path / 'out'}:v1"
    if name in {"inspect", "seal"}:
        before = ["build"] if name == "inspect" else ["stream", "--worker", "1/1"]
        made = carferry(capsys, *before, folder, image, "--base", "embedded")
        assert made.code == 0, made
    arguments = [each.format(model=folder, image=image) for each in COMMANDS[name]]
    told = carferry(capsys, name, *arguments, "--progress", style)
    assert told.code == 0, told
    lines = [line for line in told.err.splitlines() if "ids of 2 files" in line]
    if style == "json":
        read = [json.loads(line) for line in lines]
        assert sum(e["size_bytes"] for e in read if e["event"] == "advance") == SIZE
        assert (read[-1]["event"], read[-1]["how"]) == ("end", "hashed")
    else:
        wanted = ["hashed    65.0 MiB  ids of 2 files"] if style == "lines" else []
        assert lines == wanted


def test_a_plan_shows_it_to_a_programs_own_display(folder: Path, tmp_path: Path) -> None:
    seen = Seen()
    plan(folder, f"oci:{tmp_path / 'out'}:v1", base="scratch", progress=seen)
    name = "ids of 2 files"
    assert (seen.expected, seen.sizes, seen.read) == (SIZE, {name: SIZE}, {name: SIZE})
    assert seen.ended == {name: "hashed"}


def test_reading_an_image_without_ids_is_shown(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    build(folder, f"oci:{old}:v1", base="scratch")
    document = manifest(to_layout(old))
    layers = [{**each, "annotations": {}} for each in document.json["layers"]]
    unnamed = Document(MANIFEST, canonical({**document.json, "layers": layers}))
    to_layout(old).put_manifest(unnamed, "bare")
    for tag, read in {"v1": 0, "bare": SIZE}.items():
        seen = Seen()
        plan(f"oci:{old}:{tag}", f"oci:{tmp_path / 'new'}:v1", base="scratch", progress=seen)
        assert sum(seen.read.values()) == read


def test_what_is_read_at_once_is_not_shown(tmp_path: Path) -> None:
    seen = Seen()
    model = write(tiny(), tmp_path / "model")
    plan(model, f"oci:{tmp_path / 'out'}:v1", base="scratch", progress=seen)
    assert seen.sizes == {}
