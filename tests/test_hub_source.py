"""A model on the hub is read at one commit, to the last byte, whatever the wire does."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from ferrying import ANY, from_hub, point_to, quick
from servers.chaos import (
    Action,
    Answer,
    DropReply,
    DropRequest,
    EditReply,
    FlipByte,
    IgnoreRange,
    ResetDownload,
    Rule,
    Truncate,
)
from servers.content import Declared, Synthetic
from servers.hub import VISITOR, Hub, Reply
from servers.models import ODD, tiny
from servers.proxy import Proxy
from servers.serving import Exchange

from carferry.errors import SourceChanged, SourceDenied, SourceError, SourceNotFound, Unreachable
from carferry.io.net.retry import Cancelled
from carferry.selection.patterns import Patterns
from carferry.selection.select import take
from carferry.source.folder import FolderSource
from carferry.source.hub.source import HubSource
from carferry.source.open import open_source
from carferry.source.snapshot import SourceFile

GRANTED = "hf_" + "granted" * 4
SIZE = (3 << 20) + 17
WEIGHTS = "model.safetensors"


def weights(source: HubSource) -> SourceFile:
    """Return the large file of a source."""
    return next(f for f in take(source, ANY).files if f.path == WEIGHTS)


def read_hash(source: HubSource, file: SourceFile, start: int = 0) -> str:
    """Read and hash."""
    hasher = hashlib.sha256()
    for chunk in source.read(file, start):
        hasher.update(chunk)
    return hasher.hexdigest()


@pytest.fixture
def model(hub: Hub) -> Hub:
    """A hub with one model of a few MiB."""
    hub.add("org/tiny", {"config.json": b"{}", WEIGHTS: Synthetic(SIZE)}, card={"license": "mit"})
    return hub


def test_a_snapshot_names_commit_licence_and_every_identity(hub: Hub) -> None:
    repo = hub.add("org/tiny", tiny(), card={"license": "apache-2.0"})
    snapshot = take(from_hub(hub), Patterns())
    held = repo.commits[repo.branches["main"]].files
    assert (snapshot.repo, snapshot.commit) == ("org/tiny", repo.branches["main"])
    assert snapshot.license == "apache-2.0"
    assert {file.path: (file.size_bytes, str(file.content)) for file in snapshot.files} == {
        path: (c.size, f"sha256:{c.sha256}" if c.lfs else f"git:{c.blob_id}")
        for path, c in held.items()
    }


@pytest.mark.parametrize("kind", ["branch", "tag", "commit", "pull request"])
def test_a_revision_of_each_kind_is_resolved_to_its_commit(hub: Hub, kind: str) -> None:
    repo = hub.add("org/tiny", tiny())
    old = repo.branches["main"]
    repo.branches["refs/pr/1"] = repo.tags["v1"] = repo.branches["stable"] = old
    repo.change({"config.json": b"{}"})
    revision = {"branch": "stable", "tag": "v1", "commit": old, "pull request": "refs/pr/1"}[kind]
    assert take(from_hub(hub, revision=revision), Patterns()).commit == old


def test_a_branch_that_moves_meanwhile_changes_nothing(hub: Hub) -> None:
    repo = hub.add("org/tiny", tiny())
    source = from_hub(hub)
    snapshot = take(source, Patterns())
    repo.change({"config.json": b"moved"})
    file = next(file for file in snapshot.files if file.path == "config.json")
    assert b"".join(source.read(file)) == tiny()["config.json"]
    assert take(source, Patterns()) == snapshot


def test_a_repository_of_many_pages_is_listed_whole() -> None:
    with Hub(page_size=10) as hub:
        hub.add("org/many", {f"{n:03}.json": b"{}" for n in range(95)})
        assert len(take(from_hub(hub, "org/many"), ANY).files) == 95


def test_a_renamed_repository_is_found(hub: Hub) -> None:
    hub.add("org/new", tiny())
    hub.renamed["org/old"] = "org/new"
    source = from_hub(hub, "org/old")
    snapshot = take(source, Patterns())
    body = b"".join(source.read(snapshot.files[0]))
    assert body == tiny()[snapshot.files[0].path]


@pytest.mark.parametrize("name", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("redirects", [True, False])
def test_odd_names_are_asked_for_as_they_are(name: str, redirects: bool) -> None:
    with Hub(redirects=redirects) as hub:
        hub.add("org/odd", {name: b"honest"})
        source = from_hub(hub, "org/odd")
        (file,) = take(source, ANY).files
        assert (file.path, b"".join(source.read(file))) == (name, b"honest")


@pytest.mark.parametrize("start", [0, 1, 1 << 20, SIZE - 1])
def test_reading_starts_at_the_offset(model: Hub, start: int) -> None:
    source = from_hub(model)
    whole = b"".join(bytes(piece) for piece in Synthetic(SIZE).pieces())
    assert b"".join(source.read(weights(source), start)) == whole[start:]


BREAKS: dict[str, Action] = {
    "dropped before": DropRequest(),
    "dropped reply": DropReply(),
    "reset in the middle": ResetDownload(1_500_000),
    "reset at the first byte": ResetDownload(0),
    "reset before the last byte": ResetDownload(-1),
    "closed in the middle": Truncate(2_000_000),
    "503": Answer(503),
    "429": Answer(429, {"Retry-After": "0"}),
    "408": Answer(408),
    "500": Answer(500, {}, b"oops"),
}


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("side", ["hub", "cdn"])
def test_a_broken_connection_is_reopened_at_its_byte(model: Hub, name: str, side: str) -> None:
    """No byte is lost, none comes twice, and no more than the rest is asked for again."""
    if side == "hub":
        model.redirects = False
    upstream = model.endpoint if side == "hub" else model.cdn_endpoint
    rule = Rule(BREAKS[name], method="GET", path="resolve/.*safetensors|^/cdn/", times=3)
    with Proxy(upstream, [rule]) as proxy:
        if side == "cdn":
            model.cdn_endpoint = proxy.endpoint
        source = from_hub(model, endpoint=proxy.endpoint if side == "hub" else model.endpoint)
        file = weights(source)
        assert read_hash(source, file) == file.content.hex
        gets = [
            e
            for e in proxy.log
            if e.method == "GET" and (file.content.hex in e.path or WEIGHTS in e.path)
        ]
    assert len(gets) >= 2
    assert sum(exchange.sent for exchange in gets) < 3 * SIZE
    if "middle" in name:
        assert gets[-1].range is not None


def test_a_link_that_expires_is_asked_for_anew(model: Hub) -> None:
    source = from_hub(model)
    file = weights(source)
    with Proxy(model.cdn_endpoint, [Rule(ResetDownload(1 << 20), method="GET")]) as proxy:
        model.cdn_endpoint = proxy.endpoint
        chunks = source.read(file)
        first = next(chunks)
        model.expire_links()
        rest = b"".join(chunks)
    assert hashlib.sha256(first + rest).hexdigest() == file.content.hex


def test_a_server_that_ignores_ranges_is_read_past_the_start(model: Hub) -> None:
    rules = [Rule(IgnoreRange(), times=None), Rule(ResetDownload(1 << 20), method="GET")]
    with Proxy(model.cdn_endpoint, rules) as proxy:
        model.cdn_endpoint = proxy.endpoint
        source = from_hub(model)
        file = weights(source)
        assert read_hash(source, file) == file.content.hex


def test_a_read_that_never_moves_on_gives_up(model: Hub) -> None:
    with Proxy(model.cdn_endpoint, [Rule(DropReply(), method="GET", times=None)]) as proxy:
        model.cdn_endpoint = proxy.endpoint
        source = from_hub(model, retry=quick(attempts=4))
        with pytest.raises((SourceError, Unreachable)):
            read_hash(source, weights(source))
        assert len([e for e in proxy.log if e.method == "GET"]) == 4


def test_progress_starts_the_count_of_tries_again(model: Hub) -> None:
    rule = Rule(ResetDownload(1_200_000), method="GET", times=2)
    with Proxy(model.cdn_endpoint, [rule]) as proxy:
        model.cdn_endpoint = proxy.endpoint
        source = from_hub(model, retry=quick(attempts=2))
        file = weights(source)
        assert read_hash(source, file) == file.content.hex


def test_another_etag_on_reopening_is_a_changed_file(model: Hub) -> None:
    another = EditReply(lambda head: head.with_("X-Linked-ETag", '"another"'))
    rules = [
        Rule(ResetDownload(1_500_000), method="GET"),
        Rule(another, method="GET", first=2, times=None),
    ]
    model.redirects = False
    with Proxy(model.endpoint, []) as proxy:
        source = from_hub(model, endpoint=proxy.endpoint)
        file = weights(source)
        proxy.rules = rules
        with pytest.raises(SourceChanged, match="etag"):
            read_hash(source, file)


@pytest.mark.parametrize("value", ["", "bytes 0-9/10", f"bytes 5-{SIZE - 1}/{SIZE}", "nonsense"])
def test_a_range_that_was_not_asked_for_is_refused(model: Hub, value: str) -> None:
    edit = EditReply(
        lambda head: head.with_("Content-Range", value) if value else head.without("Content-Range")
    )
    with Proxy(model.cdn_endpoint, [Rule(edit, method="GET", times=None)]) as proxy:
        model.cdn_endpoint = proxy.endpoint
        source = from_hub(model)
        with pytest.raises(SourceChanged, match="asked for bytes 100-"):
            read_hash(source, weights(source), 100)


def test_another_length_than_listed_is_refused(model: Hub) -> None:
    source = from_hub(model)
    real = weights(source)
    wrong = SourceFile(real.path, SIZE + 1, real.content)
    with pytest.raises(SourceChanged, match=f"{SIZE} bytes long"):
        read_hash(source, wrong)


def test_a_ring_of_redirects_ends(model: Hub) -> None:
    ring = Answer(302, {"Location": "/around"})
    source = from_hub(model)
    file = weights(source)
    with Proxy(model.cdn_endpoint, [Rule(ring, times=None)]) as proxy:
        model.cdn_endpoint = proxy.endpoint
        with pytest.raises(SourceError, match="redirects"):
            read_hash(source, file)


def test_the_token_goes_to_the_hub_and_never_to_the_cdn(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/gated", {WEIGHTS: Synthetic(5)}, gated=True, token=GRANTED)
    monkeypatch.setenv("HF_TOKEN", GRANTED)
    source = from_hub(hub, "org/gated")
    read_hash(source, weights(source))
    assert all(e.headers.get("authorization") == f"Bearer {GRANTED}" for e in hub.log)
    assert [e for e in hub.cdn_log if "authorization" in e.headers] == []
    assert len(hub.cdn_log) == 1


def test_a_token_that_is_taken_away_meanwhile_is_an_error_in_words(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/gated", {WEIGHTS: Synthetic(5)}, gated=True, token=GRANTED)
    monkeypatch.setenv("HF_TOKEN", GRANTED)
    source = from_hub(hub, "org/gated")
    file = weights(source)
    monkeypatch.setenv("HF_TOKEN", VISITOR)
    with pytest.raises(SourceDenied, match="check HF_TOKEN"):
        read_hash(source, file)


def test_a_hub_that_stumbles_once_is_asked_again(model: Hub) -> None:
    seen: list[str] = []

    def stumble(exchange: Exchange) -> Reply | None:
        first = exchange.path not in seen
        seen.append(exchange.path)
        return Reply(503) if first and "/api/" in exchange.path else None

    model.before = stumble
    assert len(take(from_hub(model), Patterns()).files) == 2


@pytest.mark.parametrize("status", [500, 503, 504])
def test_a_hub_that_is_down_is_named_with_its_status(model: Hub, status: int) -> None:
    model.before = lambda exchange: Reply(status)
    with pytest.raises(SourceError, match=f"answered {status}"):
        take(from_hub(model), Patterns())


def test_a_flipped_byte_passes_the_reader_and_is_left_to_the_hash(model: Hub) -> None:
    with Proxy(model.cdn_endpoint, [Rule(FlipByte(7), method="GET")]) as proxy:
        model.cdn_endpoint = proxy.endpoint
        source = from_hub(model)
        file = weights(source)
        with pytest.raises(SourceChanged):
            file.verify(read_hash(source, file))


def test_a_read_stops_when_another_part_has_failed(model: Hub) -> None:
    retry = quick()
    source = from_hub(model, retry=retry)
    chunks = source.read(weights(source))
    next(chunks)
    retry.stop.set()
    with pytest.raises(Cancelled):
        list(chunks)


def test_a_huge_model_is_planned_without_reading_it(hub: Hub) -> None:
    files = {
        f"model-{n:05}-of-00191.safetensors": Declared(5 << 30, f"{n:064x}") for n in range(191)
    }
    hub.add("org/huge", {"config.json": b"{}"} | files)
    snapshot = take(from_hub(hub, "org/huge"), Patterns())
    assert snapshot.size_bytes == 191 * (5 << 30) + 2
    assert hub.body_bytes() == len(b"{}")


def test_the_environment_names_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/tiny", tiny())
    point_to(hub, monkeypatch)
    assert len(take(open_source("hf://org/tiny"), Patterns()).files) == len(tiny())


@pytest.mark.parametrize("text", ["./x", "../x", "/x", "~/x", "file:x", "file:///x", "."])
def test_what_looks_like_a_path_is_a_folder(text: str) -> None:
    assert isinstance(open_source(text), FolderSource)


@pytest.mark.parametrize("text", ["org/name", "hf://org/name@v1", "gpt2"])
def test_everything_else_is_on_the_hub(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that happens to be called org/name does not shadow the hub."""
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_source(text), HubSource)


def test_a_missing_repository_is_not_tried_again(hub: Hub) -> None:
    with pytest.raises(SourceNotFound):
        take(from_hub(hub, "org/none"), Patterns())
    assert len(hub.log) == 1
