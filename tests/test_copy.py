"""A finished image moves between layouts and registries byte for byte, the tag last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ferrying import (
    access,
    ferry,
    from_folder,
    left_behind,
    manifest,
    model_files,
    quick,
    to_layout,
    to_registry,
)
from servers.chaos import Answer, DropRequest, FlipByte, ResetUpload, Rule, Truncate
from servers.models import tiny, write
from servers.proxy import Proxy
from servers.registry import Registry

from carferry.errors import CarferryError, ManifestMissing
from carferry.io.show.progress import Silent
from carferry.oci.documents import Platform, image_size
from carferry.refs import ImageRef
from carferry.registry.copy import CopyResult, copy_image
from carferry.registry.target import Target


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry; every test uses a repository of its own."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """An image in a layout."""
    folder = write(tiny(), tmp_path_factory.mktemp("model"))
    target = to_layout(tmp_path_factory.mktemp("built") / "layout")
    ferry(from_folder(folder), target)
    return target


def copy(origin: Target, target: Target, *, attempts: int = 6) -> CopyResult:
    """Copy with quick retries."""
    return copy_image(origin, target, parallel=3, retry=quick(attempts=attempts), progress=Silent())


def test_there_and_back_again_is_the_same_image(
    built: Target, shared: Registry, tmp_path: Path
) -> None:
    there = to_registry(shared, "copied/back")
    copy(built, there)
    copy(there, to_layout(tmp_path / "back"))
    assert manifest(to_layout(tmp_path / "back")) == manifest(built)
    assert model_files(to_layout(tmp_path / "back")) == model_files(built)


def test_the_sums_add_up(built: Target, shared: Registry) -> None:
    first = copy(built, to_registry(shared, "copied/sums"))
    again = copy(built, to_registry(shared, "copied/sums", "v2"))
    total = image_size([manifest(built)])
    assert (first.moved_bytes, first.reused_bytes) == (total, 0)
    assert (again.moved_bytes, again.reused_bytes) == (0, total)
    assert set(shared.tags("copied/sums")) == {"v1", "v2"}


def test_linked_blobs_count_as_moved_to_a_new_layout(built: Target, tmp_path: Path) -> None:
    first = copy(built, to_layout(tmp_path / "linked"))
    again = copy(built, to_layout(tmp_path / "linked", "v2"))
    total = image_size([manifest(built)])
    assert (first.moved_bytes, first.reused_bytes) == (total, 0)
    assert (again.moved_bytes, again.reused_bytes) == (0, total)


def test_blobs_of_another_repository_are_mounted(built: Target, shared: Registry) -> None:
    origin = to_registry(shared, "copied/mounted")
    copy(built, origin)
    assert copy(origin, to_registry(shared, "copied/other")).moved_bytes == 0


def test_an_image_is_copied_by_digest_without_a_tag(built: Target, shared: Registry) -> None:
    copy(built, to_registry(shared, "copied/origin"))
    digest = manifest(built).digest
    given = access(shared.host)
    origin = given.open(ImageRef(shared.host, "copied/origin", None, digest))
    target = given.open(ImageRef(shared.host, "copied/untagged", None, digest), write=True)
    assert copy(origin, target).document.digest == digest
    assert shared.tags("copied/untagged") == {}
    assert manifest(target, str(digest)) == manifest(built)


def test_an_index_is_copied_with_all_it_lists(shared: Registry, tmp_path: Path) -> None:
    pytest.importorskip("modelcar_base_image", reason="pip install modelcar-base-image")
    layout = to_layout(tmp_path / "layout")
    platforms = (Platform("amd64"), Platform("arm64"))
    folder = write(tiny(), tmp_path / "model")
    done = ferry(from_folder(folder), layout, base="embedded", platforms=platforms)
    target = to_registry(shared, "copied/index")
    copied = copy(layout, target)
    assert copied.document == done.document == manifest(target)
    for entry in copied.document.manifests:
        assert manifest(target, str(entry.digest)).digest == entry.digest


def test_an_image_that_is_not_there_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ManifestMissing, match="no folder "):
        copy(to_layout(tmp_path / "nothing"), to_layout(tmp_path / "copy"))
    assert list(tmp_path.iterdir()) == []


BREAKS = {
    "reset": Rule(ResetUpload(100), method="PATCH", times=2),
    "dropped": Rule(DropRequest(), method="POST|PATCH|PUT", path="/blobs/"),
    "503": Rule(Answer(503), method="PUT|PATCH", times=2),
    "504 that happened": Rule(Answer(504, forward=True), method="PUT", path="/blobs/", times=2),
    "manifest 503": Rule(Answer(503), method="PUT", path="/manifests/", times=2),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_copy_survives_a_broken_connection(name: str, built: Target, shared: Registry) -> None:
    repository = f"repeated/{list(BREAKS).index(name)}"
    with Proxy(shared.url, [BREAKS[name]]) as proxy:
        copied = copy(built, to_registry(shared, repository, host=proxy.host))
    assert shared.tags(repository) == {"v1": str(copied.document.digest)}


@pytest.mark.parametrize("action", [FlipByte(10), Truncate(10)])
def test_a_registry_that_sends_wrong_bytes_for_good_is_given_up(
    action: FlipByte | Truncate, built: Target, shared: Registry, tmp_path: Path
) -> None:
    copy(built, to_registry(shared, "copied/wrong"))
    with Proxy(shared.url, [Rule(action, method="GET", path="/blobs/", times=None)]) as proxy:
        origin = to_registry(shared, "copied/wrong", host=proxy.host)
        with pytest.raises(CarferryError):
            copy(origin, to_layout(tmp_path / "layout"), attempts=2)
    assert left_behind(tmp_path / "layout") == []


def test_a_refused_manifest_tags_nothing(built: Target, shared: Registry) -> None:
    refused = Rule(Answer(400), method="PUT", path="/manifests/", times=None)
    with Proxy(shared.url, [refused]) as proxy, pytest.raises(CarferryError, match="400"):
        copy(built, to_registry(shared, "copied/refused", host=proxy.host))
    assert shared.tags("copied/refused") == {}
