"""Several workers, one image: whatever their number, their order, and which of them fail."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from ferrying import access, described, ferry, from_hub
from servers.chaos import Answer, Rule
from servers.hub import Hub, Reply
from servers.images import write_layout
from servers.personal import PersonalRegistry
from servers.proxy import Proxy
from servers.registry import Registry
from servers.serving import Exchange

from carferry.assembly import shards
from carferry.assembly.build import build, seal_shares, stream_share
from carferry.assembly.options import Options
from carferry.assembly.plan import How
from carferry.assembly.results import BuildResult, LayerResult
from carferry.errors import SourceError, TargetError
from carferry.image.layers import Format
from carferry.refs import ImageRef
from carferry.registry.target import Target

REPO = "org/tiny"
LARGE_BYTES = 50_000
SIZES = (90_000, 60_000, 70_001, 120_320)
WEIGHTS = {f"model-{n}.safetensors": random.Random(n).randbytes(s) for n, s in enumerate(SIZES)}
# Two equal small files: one digest, two layers if each file has its own.
SMALL = {"config.json": b'{"n": 1}', "a/vocab.json": b"{}", "b/vocab.json": b"{}"}
FILES = {**WEIGHTS, **SMALL}


@dataclass
class Dock:
    """A hub with one model and a registry, as several pods see them.

    Attributes:
        hub: Where the model is.
        registry: Where the image goes.
        options: The same for every worker.
    """

    hub: Hub
    registry: Registry | PersonalRegistry
    options: Options = field(
        default_factory=lambda: Options(base="scratch", large_bytes=LARGE_BYTES)
    )

    def target(self, repository: str = "org/tiny", tag: str = "v1") -> Target:
        """Return a repository as a fresh process would open it."""
        given = access(self.registry.host)
        return given.open(ImageRef(self.registry.host, repository, tag), write=True)

    def stream(self, worker: int, workers: int, revision: str = "main") -> list[LayerResult]:
        """Run one worker."""
        source = from_hub(self.hub, revision=revision)
        return stream_share(
            source, self.target(), self.options, worker, workers, access=access(self.registry.host)
        )[1]

    def build(self) -> BuildResult:
        """Run the only worker, and the sealer."""
        target = self.target()
        return build(from_hub(self.hub), target, self.options, access=access(self.registry.host))

    def seal(self, revision: str = "main", *, tag: str = "v1") -> BuildResult:
        """Run the sealer."""
        source = from_hub(self.hub, revision=revision)
        target = self.target(tag=tag)
        return seal_shares(source, target, self.options, access=access(self.registry.host))

    def whole(self, repository: str = "org/alone", **options: object) -> str:
        """Return the digest of one build by one process, elsewhere."""
        chosen = {"large_bytes": LARGE_BYTES, "format": self.options.format} | options
        result = ferry(from_hub(self.hub), self.target(repository), **chosen)  # type: ignore[arg-type]
        return str(result.document.digest)


@pytest.fixture
def dock(hub: Hub) -> Iterator[Dock]:
    """A hub with the model, and an empty registry in memory."""
    hub.add(REPO, FILES)
    with PersonalRegistry() as registry:
        yield Dock(hub, registry)


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 9])
def test_any_number_of_workers_makes_the_same_image(
    dock: Dock, workers: int, format: Format
) -> None:
    dock.options = Options(base="scratch", large_bytes=LARGE_BYTES, format=format)
    for worker in random.Random(workers).sample(range(1, workers + 1), workers):
        dock.stream(worker, workers)
    assert str(dock.seal().document.digest) == dock.whole()
    assert dock.target().tags() == ["v1"]


def test_two_plans_with_the_same_layers_do_not_remove_each_others_shards(
    hub: Hub, registry: Registry
) -> None:
    hub.add(REPO, FILES)
    dock = Dock(hub, registry)
    dock.stream(1, 1)
    dock.hub.repos[REPO].change({"config.json": b'{"n": 2}'})
    dock.hub.repos[REPO].change(SMALL)
    dock.stream(1, 1)
    before = registry.tags("org/tiny")
    assert len(set(before.values())) == 2
    dock.seal()
    assert len([tag for tag in registry.tags("org/tiny") if tag != "v1"]) == 1


def test_shard_tags_go_away_if_the_login_may_delete(hub: Hub, registry_bearer: Registry) -> None:
    hub.add(REPO, FILES)
    given = access(registry_bearer.host, auth_file=registry_bearer.auth_file)
    target = given.open(ImageRef(registry_bearer.host, "org/tiny", "v1"), write=True)
    options = Options(base="scratch", large_bytes=LARGE_BYTES)
    stream_share(from_hub(hub), target, options, 1, 1, access=given)
    assert len(registry_bearer.tags("org/tiny")) == 1
    seal_shares(from_hub(hub), target, options, access=given)
    assert list(registry_bearer.tags("org/tiny")) == ["v1"]


def lost(path: str) -> Callable[[Exchange], Reply | None]:
    """Make the hub miss one file."""
    return lambda asked: Reply(404) if "/resolve/" in asked.path and path in asked.path else None


@pytest.mark.parametrize("step", ["build", "stream"])
def test_what_arrived_before_a_failure_is_not_moved_again(dock: Dock, step: str) -> None:
    dock.options = replace(dock.options, parallel=1)
    run = dock.build if step == "build" else lambda: dock.stream(1, 1)
    dock.hub.before = lost("model-2")
    with pytest.raises(SourceError):
        run()
    dock.hub.before = lost("nothing")
    dock.hub.clear_log()
    run()
    moved = {path for path in FILES if any(path in e.path for e in dock.hub.log if e.sent)}
    assert moved <= {"model-2.safetensors", "model-3.safetensors", *SMALL}
    assert not {"model-0.safetensors", "model-1.safetensors"} & moved
    dock.seal()
    assert dock.target().tags() == ["v1"]


def test_nothing_that_fails_after_the_tag_fails_the_build(dock: Dock) -> None:
    with Proxy(dock.registry.url, [Rule(Answer(500), "DELETE", times=None)]) as front:
        front.rules.append(Rule(Answer(500), "GET", "/tags/list", first=2, times=None))
        dock.stream(1, 2)
        given = access(front.host)
        target = given.open(ImageRef(front.host, REPO, "v1"), write=True)
        build(from_hub(dock.hub), target, dock.options, access=given)
    assert "v1" in dock.target().tags()


def test_a_seal_before_all_have_arrived_names_the_first_layer_that_is_missing(dock: Dock) -> None:
    dock.stream(1, 4)
    with pytest.raises(TargetError, match=r"4 layers have not arrived, first model-0"):
        dock.seal()
    assert "v1" not in dock.target().tags()


def test_a_seal_that_lost_a_layer_names_it_and_its_worker_brings_it_back(dock: Dock) -> None:
    moved = dock.stream(1, 1)
    lost = next(m for m in moved if m.layer.name == "model-1.safetensors")
    del dock.registry.repository(REPO).blobs[str(lost.descriptor.digest)]  # type: ignore[union-attr]
    with pytest.raises(TargetError, match=r"first model-1\.safetensors"):
        dock.seal()
    again = dock.stream(1, 1)
    assert [m.layer.name for m in again if m.how is How.MOVE] == ["model-1.safetensors"]
    assert str(dock.seal().document.digest) == dock.whole()


def test_a_branch_that_moves_between_two_workers_cannot_mix_two_commits(dock: Dock) -> None:
    before = dock.hub.repos[REPO].branches["main"]
    dock.stream(1, 2)
    # One file of each worker's share, at the size it had.
    dock.hub.repos[REPO].change(
        {"config.json": b'{"n": 2}', "model-1.safetensors": b"w" * SIZES[1]}
    )
    dock.stream(2, 2)
    for revision, missing in (("main", "model-1"), (before, "a/vocab")):
        with pytest.raises(TargetError, match=f"have not arrived, first {missing}"):
            dock.seal(revision)
    assert "v1" not in dock.target().tags()
    dock.stream(1, 2)
    dock.stream(2, 2)
    assert str(dock.seal().document.digest) == dock.whole()


def test_workers_at_a_pinned_commit_do_not_see_the_branch_move(dock: Dock) -> None:
    pinned, digest = dock.hub.repos[REPO].branches["main"], dock.whole()
    dock.stream(1, 2, pinned)
    dock.hub.repos[REPO].change({"config.json": b'{"n": 2}'})
    dock.stream(2, 2, pinned)
    assert str(dock.seal(pinned).document.digest) == digest


def test_a_worker_without_work_publishes_an_empty_shard_and_moves_nothing(dock: Dock) -> None:
    assert dock.stream(9, 9) == []
    assert [tag.rpartition("-")[2] for tag in dock.target().tags()] == ["9of9"]


def test_an_unchanged_model_moves_no_byte_and_asks_for_no_body(dock: Dock) -> None:
    first = dock.build()
    dock.hub.clear_log()
    dock.registry.clear_log()  # type: ignore[union-attr]
    second = dock.build()
    assert (second.document, second.moved_bytes) == (first.document, 0)
    assert dock.hub.body_bytes() == described(SMALL)
    assert {e.method for e in dock.registry.log} <= {"GET", "HEAD", "POST", "DELETE", "PUT"}  # type: ignore[union-attr]
    assert "PATCH" not in {e.method for e in dock.registry.log}  # type: ignore[union-attr]


def test_a_changed_config_moves_the_last_layer_alone(dock: Dock) -> None:
    dock.build()
    dock.hub.repos[REPO].change({"config.json": b'{"n": 2}'})
    result = dock.build()
    assert [m.how for m in result.results] == [*[How.REUSE] * len(WEIGHTS), How.MOVE]
    assert result.moved_bytes == result.results[-1].layer.size_bytes


def test_layers_under_another_tag_are_found(dock: Dock) -> None:
    build(
        from_hub(dock.hub),
        dock.target(tag="older"),
        dock.options,
        access=access(dock.registry.host),
    )
    dock.hub.clear_log()
    assert (dock.build().moved_bytes, dock.hub.body_bytes()) == (0, described(SMALL))


@pytest.mark.parametrize("mounts", [True, False])
def test_layers_of_another_repository_are_mounted_if_the_registry_offers_it(
    dock: Dock, mounts: bool
) -> None:
    digest = dock.whole("org/origin")
    dock.registry.mounts = mounts  # type: ignore[union-attr]
    dock.hub.clear_log()
    origin = ImageRef(dock.registry.host, "org/origin", "v1")
    dock.options = replace(dock.options, mount_from=(origin,))
    result = dock.build()
    assert str(result.document.digest) == digest
    assert {m.how for m in result.results} == {How.MOUNT if mounts else How.MOVE}
    assert (dock.hub.body_bytes() == described(SMALL)) is mounts


def test_shards_of_another_format_are_other_tags_and_those_of_another_base_are_not(
    dock: Dock, tmp_path: Path
) -> None:
    write_layout(tmp_path / "base", [b"b" * 100])
    dock.stream(1, 1)
    dock.options = replace(dock.options, base=f"oci:{tmp_path / 'base'}:latest")
    dock.stream(1, 1)
    dock.options = replace(dock.options, base="scratch", format=Format.MODELPACK)
    dock.stream(1, 1)
    assert len({tag.rpartition("-")[0] for tag in dock.target().tags()}) == 2
    dock.seal()
    assert len(dock.target().tags("carferry-shard-")) == 1


def test_two_sealers_may_race_and_neither_fails(dock: Dock) -> None:
    """The slower one lists the shards, and finds them removed when it reads them."""
    dock.stream(1, 1)
    target = dock.target()
    references = shards.references(target, "v1")
    assert next(references) == "v1"
    shard = next(references)
    dock.seal()
    assert target.get_manifest(shard) is None
    assert next(references) == "v1"
