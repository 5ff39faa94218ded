"""What is made never becomes part of what it is made of: the next build would differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from ferrying import access, carferry
from servers.images import tar_of, write_layout
from servers.models import tiny, write
from servers.registry import Registry

from carferry.io.net.retry import Retry
from carferry.io.show.progress import Silent
from carferry.refs import ImageRef, LayoutRef
from carferry.registry.copy import copy_image

COMMANDS = (
    ("build",),
    ("build", "--engine", "buildah"),
    ("build", "--format", "modelpack"),
    ("stream", "--worker", "1/1"),
    ("seal",),
    ("plan",),
)
PLACES = {
    "the same": ("m", "m", "in the model's folder"),
    "inside": ("m", "m/out", "in the model's folder"),
    "deep inside": ("m", "m/a/b/out", "in the model's folder"),
    "hidden inside": ("m", "m/.out", "in the model's folder"),
    "inside by way of its parent": ("m", "m/../m/out", "in the model's folder"),
    "inside through a link": ("m", "link/out", "in the model's folder"),
    "a model through a link": ("link", "m/out", "in the model's folder"),
    "around": ("around/m", "around", "lies in it"),
    "far around": ("around/m", ".", "lies in it"),
}


def tree(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("place", PLACES)
def test_a_layout_in_the_models_folder_or_around_it_is_refused(
    place: str, command: tuple[str, ...], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    source, target, says = PLACES[place]
    write(tiny(), tmp_path / "m")
    write(tiny(), tmp_path / "around/m")
    (tmp_path / "link").symlink_to("m")
    before = tree(tmp_path)
    name, *options = command
    done = carferry(capsys, name, f"./{source}", f"oci:{target}:1", "--base=scratch", *options)
    (line,) = done.err.splitlines()
    assert (done.code, done.out, tree(tmp_path)) == (2, "", before)
    assert line.startswith(f"carferry: write oci:{target.removeprefix('./')}:1: ")
    assert says in line


@pytest.mark.parametrize("target", ["model2", "mode", "../out"])
def test_a_layout_beside_the_model_is_taken(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tiny(), tmp_path / "a/model")
    place = f"oci:{tmp_path / 'a' / target}:1"
    done = carferry(capsys, "build", source, place, "--base=scratch", "--progress=none")
    assert done.code == 0, done.err


def test_a_loop_of_links_keeps_its_own_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    done = carferry(capsys, "build", tmp_path / "loop", f"oci:{tmp_path / 'out'}:1")
    assert (done.code, "no such folder" in done.err) == (2, True)


def a_base(folder: Path, tag: str = "1") -> str:
    layer = tar_of({"bin/sh": b"", "bin/python3.12": b""})
    write_layout(folder, [layer], tag, settings={"Env": ["PYTHON_VERSION=3.12"]})
    return f"oci:{folder}:{tag}"


@pytest.mark.parametrize("command", ["build", "stream", "seal", "runtime"])
@pytest.mark.parametrize("kind", ["layout", "layout through a link", "registry"])
def test_an_image_does_not_replace_its_own_base(
    kind: str, command: str, tmp_path: Path,
    registry: Registry, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    base = target = a_base(tmp_path / "base")
    (tmp_path / "link").symlink_to("base")
    if kind == "registry":
        there = access(registry.host).open(ImageRef(registry.host, "a/base", "1"), write=True)
        origin = access().open(LayoutRef.parse(base))
        copy_image(origin, there, parallel=1, retry=Retry(), progress=Silent())
        base = target = f"docker://{registry.host}/a/base:1"
    elif kind.endswith("link"):
        target = f"oci:{tmp_path / 'link'}:1"
    before = tree(tmp_path), registry.tags("a/base")
    source = [] if command == "runtime" else [write(tiny(), tmp_path / "model")]
    worker = ["--worker=1/1"] if command == "stream" else []
    options = ["--base", base, "--plain-http", registry.host, *worker]
    done = carferry(capsys, command, *source, target, *options)
    (line,) = done.err.splitlines()
    assert (done.code, done.out, registry.tags("a/base")) == (2, "", before[1])
    assert [path for path in tree(tmp_path) if "/model" not in path] == before[0]
    assert line.endswith("it is the base itself; choose another tag")


def test_an_image_may_lie_beside_its_base_in_one_layout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, source = a_base(tmp_path / "base"), write(tiny(), tmp_path / "model")
    target = f"oci:{tmp_path / 'base'}:2"
    first, again = (
        carferry(capsys, "build", source, target, "--base", base, "--progress=none")
        for _ in range(2)
    )
    assert (first.code, again.code) == (0, 0), first.err
    assert first.out.splitlines()[:3] == again.out.splitlines()[:3]
