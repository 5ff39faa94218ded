"""The whole work against each kind of registry: build, spread, copy, read, pull.

``test_registry.py`` and others go through the corners with one of them.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from ferrying import (
    access,
    carferry,
    ferry,
    from_folder,
    hashes,
    manifest,
    model_files,
    quick,
    to_layout,
    to_registry,
)
from servers.models import filled, tiny, write
from servers.registry import Registry
from servers.tools import need

from carferry.assembly.build import seal_shares, stream_share
from carferry.assembly.options import Options
from carferry.assembly.results import BuildResult
from carferry.assembly.trust import Reuse
from carferry.image.layers import Format
from carferry.image.source import ImageSource
from carferry.io.show.progress import Silent
from carferry.oci.documents import Platform
from carferry.refs import ImageRef
from carferry.registry.copy import CopyResult, copy_image
from carferry.registry.target import Target

LARGE_BYTES = 50_000
RUN = "3f9c0a6b5d2e4871"
MODEL = {
    "config.json": b'{"architectures": ["TinyForCausalLM"]}',
    "tokenizer.json": b"{}",
    "model-1.safetensors": filled(90_000, 1),
    "model-2.safetensors": filled(60_000, 2),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of two large layers and a small one."""
    return write(MODEL, tmp_path / "model")


def make(folder: Path, target: Target, **options: object) -> BuildResult:
    """Build with one layer for each of the large files."""
    return ferry(from_folder(folder), target, large_bytes=LARGE_BYTES, **options)  # type: ignore[arg-type]


def copy(origin: Target, target: Target) -> CopyResult:
    """Copy with quick retries."""
    return copy_image(origin, target, parallel=3, retry=quick(), progress=Silent())


def run(program: str, *arguments: str) -> str:
    """Run a container tool that must be there and must succeed; return what it prints."""
    done = subprocess.run([need(program), *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def digest(done: BuildResult) -> str:
    """Return what was built."""
    return str(done.document.digest)


@pytest.mark.parametrize("format", list(Format))
def test_a_build_is_the_image_that_a_layout_would_hold(
    any_registry: Registry, folder: Path, tmp_path: Path, format: Format
) -> None:
    target = to_registry(any_registry)
    done = make(folder, target, format=format)
    there = make(folder, to_layout(tmp_path / "layout"), format=format)
    assert any_registry.tags("org/tiny") == {"v1": digest(there)}
    assert digest(done) == digest(there)
    assert manifest(target) == there.document
    assert any_registry.uploads("org/tiny") == []


@pytest.mark.parametrize("reuse", list(Reuse))
def test_a_second_build_moves_nothing_and_a_changed_config_one_layer(
    any_registry: Registry, folder: Path, reuse: Reuse
) -> None:
    first = make(folder, to_registry(any_registry), reuse=reuse)
    again = make(folder, to_registry(any_registry), reuse=reuse)
    assert (digest(again), again.moved_bytes) == (digest(first), 0)
    (folder / "config.json").write_text('{"changed": true}')
    changed = make(folder, to_registry(any_registry, tag="v2"), reuse=reuse)
    assert changed.moved_bytes == changed.document.layers[-1].size_bytes
    assert changed.document.layers[:-1] == first.document.layers[:-1]


@pytest.mark.parametrize("run", ["", RUN])
def test_workers_share_a_build_and_the_seal_removes_their_tags(
    any_registry: Registry, folder: Path, tmp_path: Path, run: str
) -> None:
    given = access(any_registry.host)
    options = Options(base="scratch", large_bytes=LARGE_BYTES, run=run)
    for worker in (2, 3, 1):
        stream_share(
            from_folder(folder), to_registry(any_registry), options, worker, 3, access=given
        )
    assert len(any_registry.tags("org/tiny")) == 3
    done = seal_shares(from_folder(folder), to_registry(any_registry), options, access=given)
    there = make(folder, to_layout(tmp_path / "layout"))
    assert any_registry.tags("org/tiny") == {"v1": digest(there)}
    assert done.moved_bytes == 0
    assert model_files(to_registry(any_registry)) == hashes(MODEL)


def test_layers_of_another_repository_are_mounted(any_registry: Registry, folder: Path) -> None:
    first = make(folder, to_registry(any_registry, "org/first"))
    origins = (ImageRef(any_registry.host, "org/first", "v1"),)
    done = make(folder, to_registry(any_registry, "org/second"), mount_from=origins)
    assert (digest(done), done.moved_bytes) == (digest(first), 0)
    mounts = [asked for asked in any_registry.log if "mount=sha256" in asked.path]
    assert mounts != []
    assert {asked.status for asked in mounts} == {201}


def test_an_image_is_copied_there_across_and_back(
    any_registry: Registry, folder: Path, tmp_path: Path
) -> None:
    built = to_layout(tmp_path / "built")
    make(folder, built)
    there = to_registry(any_registry, "copied/there")
    assert copy(built, there).reused_bytes == 0
    across = copy(there, to_registry(any_registry, "copied/across"))
    assert across.moved_bytes == 0
    back = to_layout(tmp_path / "back")
    copy(to_registry(any_registry, "copied/across"), back)
    assert manifest(back) == manifest(built)
    assert model_files(back) == hashes(MODEL)


def test_an_image_is_copied_by_digest_without_a_tag(
    any_registry: Registry, folder: Path, tmp_path: Path
) -> None:
    built = to_layout(tmp_path / "built")
    wanted = make(folder, built).document.digest
    given = access(any_registry.host)
    target = given.open(ImageRef(any_registry.host, "org/tiny", None, wanted), write=True)
    copy(built, target)
    assert any_registry.tags("org/tiny") == {}
    assert target.tags() == []
    assert manifest(target, str(wanted)) == manifest(built)


def test_platforms_share_an_index(any_registry: Registry, folder: Path, tmp_path: Path) -> None:
    platforms = (Platform("amd64"), Platform("arm64"))
    target = to_registry(any_registry)
    done = make(folder, target, platforms=platforms)
    assert manifest(target) == done.document
    assert len(done.document.manifests) == 2
    copied = copy(target, to_layout(tmp_path / "layout"))
    assert copied.document == done.document


def test_an_image_in_a_registry_is_a_source(
    any_registry: Registry, folder: Path, tmp_path: Path
) -> None:
    make(folder, to_registry(any_registry, "org/packed"), format=Format.MODELPACK)
    source = ImageSource(to_registry(any_registry, "org/packed"))
    done = ferry(source, to_registry(any_registry), large_bytes=LARGE_BYTES)
    assert digest(done) == digest(make(folder, to_layout(tmp_path / "layout")))


def test_the_command_line_plans_builds_and_verifies(
    any_registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("modelcar_base_image", reason="pip install 'carferry[embedded]'")
    model = write(tiny(), tmp_path / "model")
    image, plain = f"docker://{any_registry.host}/org/tiny:v1", ("--plain-http", any_registry.host)
    common = (model, image, "--base", "embedded", *plain)
    planned = carferry(capsys, "plan", *common, "--json")
    assert json.loads(planned.out)["move"]["bytes_to_move"] > 0
    assert carferry(capsys, "build", *common).code == 0
    again = carferry(capsys, "plan", *common, "--json")
    assert json.loads(again.out)["move"]["bytes_to_move"] == 0
    found = carferry(capsys, "inspect", image, *plain, "--verify", "--model", model, "--json")
    assert (found.code, json.loads(found.out)["ok"]) == (0, True)


def test_skopeo_reads_what_was_pushed(any_registry: Registry, folder: Path, tmp_path: Path) -> None:
    done = make(folder, to_registry(any_registry))
    image = f"docker://{any_registry.host}/org/tiny:v1"
    seen = json.loads(run("skopeo", "inspect", "--tls-verify=false", image))
    assert seen["Digest"] == digest(done)
    assert seen["RepoTags"] == ["v1"]


def test_podman_pulls_what_was_pushed(any_registry: Registry, folder: Path) -> None:
    done = make(folder, to_registry(any_registry))
    image = to_registry(any_registry).location(done.document.digest)
    run("podman", "pull", "--quiet", "--tls-verify=false", image)
    try:
        mounted = Path(run("podman", "image", "mount", image).strip())
        files = {path: (mounted / "models" / path).read_bytes() for path in MODEL}
        run("podman", "image", "unmount", image)
    finally:
        run("podman", "rmi", "--force", image)
    assert files == MODEL
