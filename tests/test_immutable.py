"""Immutable tags: what they name already is a success, anything else is refused before it moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ferrying import (
    access,
    carferry,
    ferry,
    from_folder,
    from_hub,
    manifest,
    to_layout,
    to_registry,
)
from servers.chaos import Answer, Rule
from servers.hub import Hub
from servers.immutable import PRODUCTS, Immutable
from servers.models import filled, tiny, write
from servers.registry import Registry

from carferry.assembly import shards
from carferry.assembly.build import seal_shares, stream_share
from carferry.assembly.options import Options
from carferry.errors import PushDenied
from carferry.refs import ImageRef
from carferry.registry.refusals import TagImmutable
from carferry.registry.target import Target
from carferry.selection.patterns import Patterns
from carferry.steps.plan import plan

OPTIONS = Options(base="scratch", patterns=Patterns(allow_no_weights=True))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry; every test uses a repository of its own."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model."""
    return write(tiny(), tmp_path / "model")


def other(tmp_path: Path) -> Path:
    """Another model."""
    return write({**tiny(), "README.md": b"# another\n"}, tmp_path / "other")


def name(product: str, kind: str) -> str:
    """Return a repository of one test."""
    return f"{kind}/{list(PRODUCTS).index(product)}"


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_push_of_what_the_tag_names_is_a_success(
    product: str, shared: Registry, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = ferry(from_folder(folder), to_layout(tmp_path / "layout"))
    with Immutable(shared, product) as proxy:
        image = f"docker://{proxy.host}/{name(product, 'again')}:v1"
        for _ in range(2):
            arguments = ("push", f"oci:{tmp_path}/layout:v1", image, "--plain-http", proxy.host)
            assert carferry(capsys, *arguments).code == 0
        tagged = [e for e in proxy.log if e.method == "PUT" and e.path.endswith("/v1")]
    assert len(tagged) == 1
    assert shared.tags(name(product, "again")) == {"v1": str(built.document.digest)}


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("command", ["push", "build"])
def test_another_image_is_refused_before_a_byte_moves(
    command: str,
    product: str,
    shared: Registry,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = ferry(from_folder(folder), to_registry(shared, name(product, command)))
    changed = other(tmp_path)
    ferry(from_folder(changed), to_layout(tmp_path / "layout"))
    arguments = {
        "push": ["push", f"oci:{tmp_path}/layout:v1"],
        "build": ["build", changed, "--base", "scratch"],
    }[command]
    with Immutable(shared, product) as proxy:
        image = f"docker://{proxy.host}/{name(product, command)}:v1"
        done = carferry(capsys, *arguments, image, "--plain-http", proxy.host)
        assert proxy.blob_bytes == 0
    assert shared.tags(name(product, command)) == {"v1": str(first.document.digest)}
    assert done.code == 1
    last = done.err.splitlines()[-1]
    if product == "403 alone":  # nothing tells an immutable tag from a right that is missing
        assert "(403); it needs push rights, and no login was found" in last
        named = first.document.digest
        assert last.endswith(
            f"; or the tag, which names {named} now, may not be moved: choose another"
        )
        return
    says = f"tag {image.removeprefix('docker://')}: the tag names {first.document.digest} and may "
    assert last.startswith(f"carferry: {says}not be moved: ")
    assert last.endswith("; choose another tag")


def test_a_plan_that_proves_finds_it_and_one_that_does_not_writes_nothing(
    shared: Registry, folder: Path, tmp_path: Path
) -> None:
    ferry(from_folder(folder), to_registry(shared, "planned/tag"))
    with Immutable(shared) as proxy:
        image, host = f"docker://{proxy.host}/planned/tag:v1", proxy.host
        plan(other(tmp_path), image, base="scratch", plain_http=[host])
        assert [e.method for e in proxy.log if e.method not in {"GET", "HEAD"}] == []
        plan(folder, image, base="scratch", plain_http=[host], prove=True)
        with pytest.raises(TagImmutable, match="choose another tag"):
            plan(other(tmp_path), image, base="scratch", plain_http=[host], prove=True)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_build_of_the_same_model_is_a_success(
    product: str, shared: Registry, folder: Path
) -> None:
    with Immutable(shared, product) as proxy:
        target = to_registry(shared, name(product, "same"), host=proxy.host)
        first, second = (ferry(from_folder(folder), target) for _ in range(2))
    assert first.document == second.document
    assert shared.tags(name(product, "same")) == {"v1": str(first.document.digest)}


def test_a_tag_that_moves_is_written_with_what_it_names_before_it_moves(
    shared: Registry, folder: Path, tmp_path: Path
) -> None:
    """Where tags move, asking changes nothing: after a failure the tag names what it did."""
    first = ferry(from_folder(folder), to_registry(shared, "moving/tag"))
    second = ferry(from_folder(other(tmp_path)), to_registry(shared, "moving/tag"))
    assert second.document != first.document
    assert shared.tags("moving/tag") == {"v1": str(second.document.digest)}


def test_a_tag_that_became_immutable_while_layers_moved_keeps_all_that_was_sent(
    shared: Registry, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rival's image is tagged between plan and seal."""

    class Late(Immutable):
        """Lets a rival tag his image when the last manifest arrives."""

        def actions(self, method: str, path: str):  # type: ignore[no-untyped-def]
            if method == "PUT" and path.endswith("/manifests/v1"):
                ferry(from_folder(other(tmp_path)), to_registry(shared, "late/tag"))
            return super().actions(method, path)

    with Late(shared) as proxy:
        target = to_registry(shared, "late/tag", host=proxy.host)
        with pytest.raises(TagImmutable) as caught:
            ferry(from_folder(folder), target)
        there = f"docker://{proxy.host}/late/tag"
        command = caught.value.remedy.partition(": carferry ")[2].split()
        assert command[0] == "push"
        assert command[1].startswith(f"{there}@sha256:")
        assert command[2] == f"{there}:ANOTHER-TAG"
        sent = proxy.blob_bytes
        assert carferry(capsys, *command, "--plain-http", proxy.host).code == 0
        assert proxy.blob_bytes == sent
    assert shared.tags("late/tag")["ANOTHER-TAG"] == command[1].partition("@")[2]


def test_workers_run_again_where_no_tag_moves(shared: Registry, folder: Path) -> None:
    """A shard that grew gets a tag of its own; the sealer reads both."""
    with Immutable(shared) as proxy:
        given = access(proxy.host)

        def target() -> Target:
            ref = ImageRef(proxy.host, "shards/kept", "v1")
            return given.open(ref, write=True)

        for worker in (1, 2, 1, 2):
            stream_share(from_folder(folder), target(), OPTIONS, worker, 2, access=given)
        sealed = seal_shares(from_folder(folder), target(), OPTIONS, access=given)
        assert manifest(target()) == sealed.document
    tags = set(shared.tags("shards/kept"))
    assert len(tags) == 3, "a shard of the same layers is not tagged again"


def test_a_shard_that_grew_is_tagged_beside_the_first(
    shared: Registry, hub: Hub, tmp_path: Path
) -> None:
    """What had arrived before a failure is pinned, and so is the rest after it."""
    weights = {f"model-{n}.safetensors": filled(60_000, n) for n in range(3)}
    hub.add("org/tiny", {**weights, "config.json": b"{}"})
    options = replace(OPTIONS, large_bytes=50_000, parallel=1)
    with Immutable(shared) as proxy:
        given = access(proxy.host)
        target = to_registry(shared, "shards/grown", host=proxy.host)
        proxy.arm([Rule(Answer(403), "PATCH", first=2)])
        with pytest.raises(PushDenied):
            stream_share(from_hub(hub), target, options, 1, 1, access=given)
        proxy.arm()
        stream_share(from_hub(hub), target, options, 1, 1, access=given)
        tags = target.tags(shards.PREFIX)
        assert [len(manifest(target, tag).layers) for tag in tags] == [1, 4]
        assert tags[1].startswith(tags[0])
        sealed = seal_shares(from_hub(hub), target, options, access=given)
    assert sealed.moved_bytes == 0
