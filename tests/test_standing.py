"""An image that is there is told by its manifest alone: the very one that a build would make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ferrying import carferry, manifest, point_to, to_registry
from servers import models
from servers.hub import Hub
from servers.registry import Registry
from servers.tools import need

from carferry.oci.documents import MANIFEST, Document, canonical
from carferry.steps.build import build
from carferry.steps.push import push
from carferry.steps.results import Built

SMALL_REQUESTS = 12
"""Of the hub: revision, listing, and each small file that says what the model needs, twice."""


@pytest.fixture
def hosted(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub.add("team/tiny", models.tiny())
    point_to(hub, monkeypatch)
    return hub


def made(registry: Registry, model: str = "team/tiny", **how: Any) -> Built:
    image = f"docker://{registry.host}/team/tiny:1"
    return build(model, image, **({"base": "scratch"} | how))


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"base": "embedded"},
        {"format": "modelpack"},
        {"base": "embedded", "platforms": ["linux/amd64", "linux/arm64"]},
        {"include": ["*.safetensors", "config.json"]},
    ],
)
def test_an_image_that_a_build_would_make_is_left_as_it_is(
    hosted: Hub, registry: Registry, how: dict[str, Any]
) -> None:
    first = made(registry, **how)
    assert (first.changed, first.previous) == (True, "")
    hosted.clear_log()
    again = made(registry, if_changed=True, **how)
    assert (again.changed, again.previous, again.digest) == (False, first.digest, first.digest)
    assert (again.moved_bytes, again.checked_bytes) == (0, 0)
    assert (again.size_bytes, again.layers) == (first.size_bytes, first.layers)
    assert len(hosted.log) <= SMALL_REQUESTS
    read = [each.path for each in hosted.log if each.method == "GET"]
    assert [path for path in read if "safetensors" in path] == []


@pytest.mark.parametrize(
    "how",
    [
        {"base": "embedded"},
        {"exclude": ["generation_config.json"]},
        {"include": ["*.safetensors", "config.json"]},
        {"format": "modelpack"},
        {"platforms": ["linux/arm64"]},
        {"platforms": ["linux/amd64", "linux/arm64"]},
    ],
)
def test_whatever_makes_another_image_is_built(
    hosted: Hub, registry: Registry, how: dict[str, Any]
) -> None:
    first = made(registry)
    again = made(registry, if_changed=True, **how)
    assert (again.changed, again.previous) == (True, first.digest)
    assert again.digest != first.digest
    assert made(registry, if_changed=True, **how).changed is False


@pytest.mark.parametrize("path", ["model.safetensors", "config.json", "README.md"])
def test_a_revision_that_moved_is_built(hosted: Hub, registry: Registry, path: str) -> None:
    """The README is not in the image; its commit is: what an image says of itself stays true."""
    first = made(registry)
    files = models.tiny(2) if path == "model.safetensors" else dict(models.tiny())
    if path != "model.safetensors":
        files[path] = files.get(path, b"") + b"\n"
    hosted.add("team/tiny", files)
    again = made(registry, if_changed=True)
    assert (again.changed, again.previous, again.commit != first.commit) == (
        True,
        first.digest,
        True,
    )


def test_a_rebuild_without_the_question_says_too_whether_the_tag_was_moved(
    hosted: Hub, registry: Registry
) -> None:
    first = made(registry)
    assert (made(registry).changed, made(registry, exclude=["*.md"]).previous) == (
        False,
        first.digest,
    )


def test_a_copy_says_what_its_tag_named_before(hosted: Hub, registry: Registry) -> None:
    first, other = made(registry), f"docker://{registry.host}/team/copy:1"
    origin = f"docker://{registry.host}/team/tiny:1"
    assert push(origin, other).changed is True
    assert (push(origin, other).changed, push(origin, other).previous) == (False, first.digest)


def test_a_folder_and_a_layout_are_compared_too(tmp_path: Path) -> None:
    folder = models.write(models.tiny(), tmp_path / "model")
    image = f"oci:{tmp_path / 'image'}:1"
    first = build(folder, image, base="scratch")
    again = build(folder, image, base="scratch", if_changed=True)
    assert (again.changed, again.digest) == (False, first.digest)
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes() + b"\n")
    assert build(folder, image, base="scratch", if_changed=True).previous == first.digest


def test_an_image_that_buildah_packed_counts_whatever_engine_is_asked_for(
    tmp_path: Path,
) -> None:
    """Which files are in it counts, not how they were packed."""
    need("buildah")
    folder, image = models.write(models.tiny(), tmp_path / "model"), f"oci:{tmp_path / 'image'}:1"
    first = build(folder, image, base="scratch", engine="buildah")
    for engine in ("buildah", "stream"):
        again = build(folder, image, base="scratch", engine=engine, if_changed=True)
        assert (again.changed, again.digest) == (False, first.digest)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"layers": []},
        {"annotations": {"dev.carferry.engine": "other"}},
    ],
)
def test_a_strangers_manifest_under_the_tag_is_built_over(
    hosted: Hub, registry: Registry, changes: dict[str, Any]
) -> None:
    first, target = made(registry), to_registry(registry, "team/tiny", "1")
    document = manifest(target, "1").json
    notes = document["annotations"] | changes.get("annotations", {}) if changes else {}
    altered = canonical({**document, **changes, "annotations": notes})
    target.put_manifest(Document(MANIFEST, altered), "1")
    again = made(registry, if_changed=True)
    assert (again.changed, again.digest) == (True, first.digest)


def test_the_command_line_says_that_nothing_is_to_be_done(
    hosted: Hub, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    image = f"docker://{registry.host}/team/tiny:1"
    words = ["build", "team/tiny", image, "--base", "scratch", "--if-changed"]
    first = json.loads(carferry(capsys, *words, "--json").out)
    assert (first["changed"], first["previous"]) == (True, "")
    again = carferry(capsys, *words)
    assert again.code == 0
    assert f"nothing to do: {image} names this very image already" in again.out
    assert "before" not in again.out
    shown = json.loads(carferry(capsys, *words, "--json").out)
    assert (shown["changed"], shown["previous"], shown["digest"]) == (
        False,
        first["digest"],
        first["digest"],
    )
    moved = carferry(capsys, *words, "--exclude", "generation_config.json")
    assert f"before  {first['digest']}" in moved.out
    assert "nothing to do" not in moved.out
