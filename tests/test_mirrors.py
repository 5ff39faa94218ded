"""A mirror has part of the hub's API: what it gives is enough, or a plain line says what lacks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ferrying import carferry, from_hub, point_to
from servers.hub import Hub
from servers.mirror import Mirror
from servers.models import filled, synthetic, tiny

from carferry.errors import CarferryError, SourceDenied, SourceNotFound
from carferry.selection.patterns import Patterns
from carferry.selection.select import take
from carferry.source import paths
from carferry.source.hub.source import HubSource
from carferry.source.snapshot import Snapshot

TOKEN = "hf_" + "granted" * 4
FILES = tiny() | {"big.safetensors": synthetic((1 << 20) + 3)}
ETAGS = frozenset({"etag", "x-linked-etag"})
SIZES = frozenset({"content-length", "x-linked-size"})


def without(kind: str, *names: str) -> Callable[[str, Any], Any]:
    """Return an edit that leaves names out of an answer, and of each of its rows."""

    def drop(document: Any) -> Any:
        if isinstance(document, list):
            return [drop(row) for row in document]
        kept = {name: value for name, value in document.items() if name not in names}
        if "siblings" in kept:
            kept["siblings"] = drop(kept["siblings"])
        return kept

    return lambda asked, document: drop(document) if asked == kind else document


def cut(kind: str, document: Any) -> Any:
    return document[:-2] if kind == "tree" else document


def giving(name: str, value: Any) -> Callable[[str, Any], Any]:
    """Return an edit that gives every file of a tree another value."""
    return lambda asked, rows: [row | {name: value} for row in rows] if asked == "tree" else rows


BARE = without("info", "size", "blobId", "lfs")
WORKS = {
    "under a path": Mirror(prefix="/api/huggingface"),
    "under a long path": Mirror(prefix="/artifactory/api/huggingfaceml/hf-remote"),
    "without ETag": Mirror(lacks=ETAGS),
    "without X-Repo-Commit": Mirror(lacks=frozenset({"x-repo-commit"})),
    "without any header of the hub": Mirror(lacks=frozenset({"x-repo-commit", "x-linked-size"})),
    "without HEAD": Mirror(heads=False),
    **{f"a tree that is {status}": Mirror(refuses={"tree": status}) for status in (404, 405, 501)},
    "a login page for a tree": Mirror(pages=frozenset({"tree"})),
    "a tree that is no list": Mirror(edit=lambda kind, d: {} if kind == "tree" else d),
    "neither tree nor sizes": Mirror(refuses={"tree": 404}, edit=BARE),
    "neither tree nor ids": Mirror(refuses={"tree": 404}, edit=without("info", "blobId", "lfs")),
    "a tree without LFS ids": Mirror(edit=without("tree", "lfs")),
    "no tree, and no LFS ids": Mirror(refuses={"tree": 404}, edit=without("info", "lfs")),
    "no commit but in headers": Mirror(edit=without("info", "sha")),
    "no id of the repository": Mirror(edit=without("info", "id", "modelId")),
    "no siblings": Mirror(edit=without("info", "siblings")),
    "no card": Mirror(edit=without("info", "cardData")),
    "a tree cut short": Mirror(edit=cut),
    "a tree without its next page": Mirror(link=lambda url: ""),
    "a tree of nothing": Mirror(edit=lambda kind, d: [] if kind == "tree" else d),
    "next pages at another host": Mirror(
        link=lambda url: f"http://public.invalid/api?{url.partition('?')[2]}"
    ),
    "next pages by path alone": Mirror(link=lambda url: f"?{url.partition('?')[2]}"),
}


@pytest.fixture
def honest() -> Snapshot:
    """What the hub itself says."""
    with Hub() as hub:
        hub.add("org/tiny", FILES, card={"license": "mit"})
        return take(from_hub(hub), Patterns())


def source_of(hub: Hub, mirror: Mirror) -> HubSource:
    hub.mirror = mirror
    hub.add("org/tiny", FILES, card={"license": "mit"})
    return from_hub(hub, endpoint=hub.endpoint + mirror.prefix)


@pytest.mark.parametrize("redirects", [True, False])
@pytest.mark.parametrize("name", WORKS)
def test_a_mirror_that_gives_enough_is_read_as_the_hub(
    name: str, redirects: bool, honest: Snapshot
) -> None:
    with Hub(page_size=3, redirects=redirects) as hub:
        source = source_of(hub, WORKS[name])
        found = take(source, Patterns())
        assert found.endpoint == hub.endpoint + hub.mirror.prefix
        license = "" if name == "no card" else honest.license
        same = replace(honest, endpoint=found.endpoint, license=license)
        assert replace(found, commit=honest.commit) == same
        for file in found.files:
            hasher = file.content.hasher(file.size_bytes)
            for chunk in source.read(file):
                hasher.update(chunk)
            file.verify(hasher.hexdigest())


LINES = {
    "login pages": (Mirror(pages=frozenset({"info"})), "is no hub: it answered a web page; check"),
    "a list": (Mirror(edit=lambda k, d: []), "is no hub: its answer is no JSON object; check HF_E"),
    "a text": (Mirror(edit=lambda k, d: "x"), "is no hub: its answer is no JSON object"),
    "an empty object": (Mirror(edit=lambda k, d: {}), "the hub named no commit of 40 hex digits"),
    "404 for all": (
        Mirror(refuses={"info": 404}),
        r"no such repository or revision \(404\); check",
    ),
    "400 for all": (Mirror(refuses={"info": 400}), "the hub answered 400"),
    "403 for all": (Mirror(refuses={"info": 403}), r"the hub refused the token \(403\)"),
    "no commit": (
        Mirror(lacks=frozenset({"x-repo-commit"}), edit=without("info", "sha")),
        "named no commit of 40 hex digits; name a commit: org/name@COMMIT",
    ),
    "neither LFS ids nor ETags": (
        Mirror(lacks=ETAGS, edit=without("tree", "lfs")),
        r"does not say what identifies 'big\.safetensors': no LFS id, no ETag.*give its folder",
    ),
    "no ids at all": (
        Mirror(lacks=ETAGS, edit=without("tree", "lfs", "oid")),
        r"its list of files holds something else: {",
    ),
    "no sizes anywhere": (
        Mirror(refuses={"tree": 404}, lacks=frozenset({"x-linked-size"}), edit=BARE, heads=False),
        "does not say how long",
    ),
    **{
        f"entries with {name}={value!r}": (
            Mirror(edit=giving(name, value)),
            "its list of files holds something else",
        )
        for name, value in [
            *(("path", each) for each in (None, 5, {})),
            *(("size", each) for each in (None, "5", -1, {}, True, False, 1.5)),
            *(("oid", each) for each in (None, 5)),
            *(("lfs", each) for each in (5, "x", [], {}, {"oid": 5})),
        ]
    },
    **{
        f"sent to {place}": (Mirror(moved=place), line)
        for place, line in {
            "http://[": "sends to what is no address",
            "http://a:b/": "sends to what is no address",
            "ftp://mirror.invalid/": "sends to what is no address",
            "/api/models/org/tiny": "more than 5 redirects; check HF_ENDPOINT",
        }.items()
    },
    "entries without path": (
        Mirror(edit=without("tree", "path")),
        "its list of files holds something else",
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_a_mirror_that_lacks_too_much_is_named_in_a_line(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    mirror, line = LINES[name]
    with Hub(page_size=3, redirects=False) as hub:
        source_of(hub, mirror)
        point_to(hub, monkeypatch)
        told = carferry(capsys, "build", "org/tiny", f"oci:{tmp_path}/out:v1", "--base", "scratch")
    assert (told.code in (1, 2), told.err.count("\n"), "Traceback" in told.err) == (True, 1, False)
    assert re.search(line, told.err), told.err
    assert not (tmp_path / "out" / "index.json").exists()


@pytest.mark.parametrize("where", ["/login", "/api/models/org/tiny"])
def test_a_token_goes_nowhere_else_whoever_sends_there(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Hub() as hub, Hub() as other:
        other.add("org/tiny", FILES)
        hub.add("org/tiny", FILES, gated=True, token=TOKEN)
        hub.mirror = Mirror(moved=other.endpoint + where)
        source = from_hub(hub)
        with pytest.raises(CarferryError):
            take(source, Patterns())
        hub.mirror = Mirror(link=lambda url: url.replace(hub.endpoint, other.endpoint))
        hub.page_size = 3
        take(from_hub(hub), Patterns())
        assert all("authorization" not in exchange.headers for exchange in other.log)
        assert any("authorization" in exchange.headers for exchange in hub.log)


def test_a_head_that_is_sent_elsewhere_takes_no_token_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """huggingface_hub forwards it to the public hub, whose token it is not."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Hub() as hub, Hub() as other:
        hub.add("org/tiny", FILES, token=TOKEN)
        other.add("org/tiny", FILES)
        file = f"{other.endpoint}/org/tiny/resolve/main/big.safetensors"

        def moved(kind: str, document: Any) -> Any:
            hub.mirror = Mirror(moved=file) if kind == "tree" else hub.mirror
            return document

        hub.mirror = Mirror(edit=moved)
        from_hub(hub).listing()
        assert [e.method for e in other.log] == ["HEAD"]
        assert all("authorization" not in exchange.headers for exchange in other.log)


def test_a_mirror_that_sends_everything_to_the_hub_is_read_there(
    honest: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Hub() as hub, Hub() as other:
        other.add("org/tiny", FILES, card={"license": "mit"})
        hub.mirror = Mirror(moved=other.endpoint)
        source = from_hub(hub)
        found = take(source, Patterns())
        for file in found.files:
            hasher = file.content.hasher(file.size_bytes)
            for chunk in source.read(file):
                hasher.update(chunk)
            file.verify(hasher.hexdigest())
        assert found == replace(honest, endpoint=hub.endpoint)
        assert all("authorization" not in exchange.headers for exchange in other.log)


def test_a_renamed_repository_is_recorded_by_its_present_name(hub: Hub) -> None:
    hub.add("org/new", FILES)
    hub.renamed["org/old"] = "org/new"
    source = from_hub(hub, "org/old")
    assert source.listing().repo == take(source, Patterns()).repo == "org/new"
    hub.clear_log()
    b"".join(source.read(take(source, Patterns()).files[0]))
    assert all("org/old" not in exchange.path for exchange in hub.log)


def test_a_refusal_names_a_renamed_repository_by_its_present_name(hub: Hub) -> None:
    hub.add("org/new", FILES, gated=True)
    hub.renamed["org/old"] = "org/new"
    with pytest.raises(SourceDenied, match="org/new@main: the repository is gated"):
        from_hub(hub, "org/old").listing()


def test_a_small_file_in_lfs_whose_id_is_left_out_is_asked_for(hub: Hub) -> None:
    """The list's oid is the pointer's; taken for the file's it failed after the last byte."""
    hub.mirror = Mirror(edit=without("tree", "lfs"))
    hub.add("org/tiny", {"config.json": b"{}", "model.safetensors": filled(200)})
    files = {file.path: str(file.content) for file in take(from_hub(hub), Patterns()).files}
    assert files["model.safetensors"] == f"sha256:{hashlib.sha256(filled(200)).hexdigest()}"


def test_nothing_more_is_asked_of_the_real_hub(hub: Hub) -> None:
    hub.add("org/tiny", FILES)
    from_hub(hub).listing()
    assert [exchange.method for exchange in hub.log] == ["GET", "GET", "HEAD"]


def test_a_list_without_an_end_is_given_up(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MOST_FILES", 5)
    hub.page_size = 2
    hub.add("org/tiny", FILES)
    with pytest.raises(SourceNotFound, match="more than 5 files, no model has so many"):
        from_hub(hub).listing()
