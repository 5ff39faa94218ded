"""A snapshot in Hugging Face's cache is the hub's commit; anything else there is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ferrying import ANY, carferry, ferry, from_folder, from_hub, manifest, point_to, to_layout
from huggingface_hub import hf_hub_download, snapshot_download
from servers.hub import Hub
from servers.models import filled, synthetic, tiny, write

from carferry.errors import SourceChanged, SourceNotFound, UnsafePath
from carferry.selection.patterns import Patterns
from carferry.selection.select import take
from carferry.source.folder import FolderSource
from carferry.source.hub.source import HubSource
from carferry.source.offline import is_offline
from carferry.source.open import open_source, pinned
from carferry.source.snapshot import Snapshot

CARD = b"---\nlicense: mit\ntags: [a]\n---\n# A model\n"
FILES = tiny() | {"README.md": CARD, "sub/model.safetensors": filled(200)}


@pytest.fixture
def snapshot(hub: Hub, tmp_path: Path) -> Path:
    """A snapshot that huggingface_hub itself has put into a cache."""
    hub.add("org/tiny", FILES | {"big.safetensors": synthetic(70_000)}, card={"license": "mit"})
    cache = tmp_path / "cache"
    return Path(snapshot_download("org/tiny", cache_dir=cache, endpoint=hub.endpoint))


class Public:
    """The test hub's model as the public hub would give it: no other endpoint is recorded."""

    def __init__(self, source: HubSource) -> None:
        self.source, self.read = source, source.read
        self.host, self.gated = source.host, source.gated

    def listing(self) -> Snapshot:
        return replace(self.source.listing(), endpoint="")

    def snapshot(self, paths: Sequence[str]) -> Snapshot:
        return replace(self.source.snapshot(paths), endpoint="")


def test_a_snapshot_becomes_the_image_that_is_streamed_from_the_hub(
    hub: Hub, snapshot: Path, tmp_path: Path
) -> None:
    cached, streamed = to_layout(tmp_path / "a"), to_layout(tmp_path / "b")
    ferry(from_folder(snapshot), cached)
    ferry(Public(from_hub(hub)), streamed)
    assert manifest(cached).digest == manifest(streamed).digest


def test_a_snapshot_names_repository_commit_licence_and_every_id(hub: Hub, snapshot: Path) -> None:
    found, honest = take(from_folder(snapshot), Patterns()), take(from_hub(hub), Patterns())
    assert (found.repo, found.commit, found.license) == ("org/tiny", snapshot.name, "mit")
    assert found.files == honest.files
    assert {file.content.kind for file in found.files} == {"git", "sha256"}


@pytest.mark.parametrize("how", ["link", "relative", "with a slash"])
def test_a_snapshot_is_found_whatever_way_leads_there(
    how: str, snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").symlink_to(snapshot)
    monkeypatch.chdir(tmp_path)
    text = {
        "link": "./model",
        "relative": f"./{snapshot.relative_to(tmp_path)}",
        "with a slash": f"{snapshot}/",
    }[how]
    assert take(open_source(text), Patterns()).commit == snapshot.name
    assert pinned(text, take(open_source(text), Patterns())) == text


def test_a_folder_of_a_snapshot_claims_no_commit(snapshot: Path) -> None:
    found = take(from_folder(snapshot / "sub"), ANY)
    assert (found.repo, [file.path for file in found.files]) == ("", ["model.safetensors"])
    assert found.files[0].content.kind == "sha256"


def test_a_cache_without_links_is_read_by_the_listing_beside_it(hub: Hub, snapshot: Path) -> None:
    """Where a disk knows no links, huggingface_hub moves the files into the snapshot."""
    for path in [path for path in snapshot.rglob("*") if path.is_symlink()]:
        body = path.read_bytes()
        path.unlink()
        path.write_bytes(body)
    shutil.rmtree(snapshot.parent.parent / "blobs")
    assert take(from_folder(snapshot), Patterns()).files == take(from_hub(hub), Patterns()).files
    shutil.rmtree(snapshot.parent.parent / "trees")
    assert take(from_folder(snapshot), Patterns()).repo == ""


def test_an_added_file_makes_a_snapshot_claim_no_commit(snapshot: Path) -> None:
    (snapshot / "extra.json").write_text("{}")
    assert take(from_folder(snapshot), Patterns()).commit == ""


@pytest.mark.parametrize("target", ["../../../../secret.json", "../../../models--b--c/blobs/x"])
def test_a_link_that_leads_to_no_blob_of_its_cache_is_refused(target: str, snapshot: Path) -> None:
    place = (snapshot / target).resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("{}")
    (snapshot / "extra.json").symlink_to(target)
    with pytest.raises(UnsafePath, match="leaves the folder"):
        take(from_folder(snapshot), Patterns())


def test_a_blob_that_is_a_link_out_of_the_cache_is_refused(snapshot: Path, tmp_path: Path) -> None:
    blob = (snapshot / "config.json").resolve()
    (tmp_path / "secret").write_text("{}")
    blob.unlink()
    blob.symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafePath, match="leaves the folder"):
        take(from_folder(snapshot), Patterns())


def test_a_plain_folder_has_no_blobs_beside_it(tmp_path: Path) -> None:
    """A path that only looks a little like a cache opens nothing."""
    folder = tmp_path / "models--org--name" / "snapshots" / "main"
    write({"../../blobs/" + "a" * 40: b"{}"}, write(tiny(), folder))
    (folder / "extra.json").symlink_to("../../blobs/" + "a" * 40)
    with pytest.raises(UnsafePath, match="leaves the folder"):
        take(from_folder(folder), Patterns())


def test_a_blob_that_is_not_what_its_name_says_is_refused(snapshot: Path) -> None:
    blob = (snapshot / "model.safetensors").resolve()
    blob.write_bytes(b"x" * blob.stat().st_size)
    with pytest.raises(SourceChanged, match=r"its bytes are not sha256:.*; remove .*/blobs/"):
        take(from_folder(snapshot), Patterns())


def test_a_blob_that_is_gone_says_how_to_get_it_again(snapshot: Path) -> None:
    (snapshot / "config.json").resolve().unlink()
    line = rf"its blob is not in the cache: run hf download org/tiny --revision {snapshot.name}"
    with pytest.raises(SourceNotFound, match=line):
        take(from_folder(snapshot), Patterns())


PARTS: dict[str, Callable[[str], str]] = {
    "as it was": lambda etag: f"{etag}.incomplete",
    "as it is now": lambda etag: f"{etag}.1a2b3c4d.incomplete",
}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("listed", [True, False])
def test_a_download_that_has_not_finished_is_refused(
    name: str, listed: bool, snapshot: Path
) -> None:
    link = snapshot / "model.safetensors"
    blob = link.resolve()
    blob.rename(blob.with_name(PARTS[name](blob.name)))
    link.unlink()
    if not listed:
        shutil.rmtree(snapshot.parent.parent / "trees")
    with pytest.raises(SourceNotFound, match=r"has not finished: blobs/.*incomplete; run hf down"):
        take(from_folder(snapshot), Patterns())


@pytest.mark.parametrize("etag", ["", "f" * 64])
def test_a_part_file_of_something_else_is_no_fault(etag: str, snapshot: Path) -> None:
    """Of a blob that has come since, or that no file of this commit is."""
    blob = (snapshot / "config.json").resolve()
    (blob.parent / f"{etag or blob.name}.incomplete").write_bytes(b"half")
    assert take(from_folder(snapshot), Patterns()).commit == snapshot.name


@pytest.mark.parametrize("above", ["..", "../..", "../../..", "../../blobs", "../../refs"])
def test_a_cache_is_refused_with_the_snapshot_to_give(
    above: str, snapshot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = snapshot.parent / ("0" * 40)
    other.mkdir()
    told = carferry(
        capsys, "build", (snapshot / above).resolve(), "oci:out:v1", "--base", "scratch"
    )
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert f"Hugging Face cache, not a snapshot; give {snapshot}" in told.err


def test_a_home_of_hugging_face_is_refused_likewise(hub: Hub, own_home: Path) -> None:
    hub.add("org/a", tiny())
    hub.add("org/b", tiny())
    for repo in ("org/a", "org/b"):
        hf_hub_download(repo, "config.json", endpoint=hub.endpoint)
    with pytest.raises(SourceNotFound, match=r"a whole Hugging Face cache.*models--org--a.* or "):
        from_folder(own_home / "hf").listing()


@pytest.fixture
def offline(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache at its usual place, and a hub that may not be asked."""
    hub.add("org/tiny", FILES, card={"license": "mit"})
    hub.add("gpt9", FILES)
    path = Path(snapshot_download("org/tiny", endpoint=hub.endpoint))
    snapshot_download("gpt9", endpoint=hub.endpoint)
    point_to(hub, monkeypatch)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.clear_log()
    return path


@pytest.mark.parametrize("text", ["org/tiny", "hf://org/tiny", "https://hf.co/org/tiny", "gpt9"])
def test_offline_the_cache_is_read_and_nobody_asked(text: str, hub: Hub, offline: Path) -> None:
    source = open_source(text)
    assert isinstance(source, FolderSource)
    found = take(source, Patterns())
    assert (found.repo, len(found.files)) == ("gpt9" if text == "gpt9" else "org/tiny", len(FILES))
    assert pinned(text, found) == f"{found.repo}@{found.commit}"
    assert hub.log == []


def test_offline_a_commit_is_found_by_its_own_name(offline: Path) -> None:
    assert take(open_source(f"org/tiny@{offline.name}"), Patterns()).commit == offline.name


@pytest.mark.parametrize("name", ["HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG"])
def test_offline_the_cache_is_where_the_environment_says(
    name: str, offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_cache = offline.parents[2]
    monkeypatch.delenv("HF_HOME")
    with pytest.raises(SourceNotFound):
        monkeypatch.setenv("HOME", str(tmp_path))
        open_source("org/tiny")
    shutil.copytree(hub_cache, tmp_path / "huggingface" / "hub", symlinks=True)
    place = {"HF_HOME": "huggingface", "XDG": "."}.get(name, "huggingface/hub")
    monkeypatch.setenv(name.replace("XDG", "XDG_CACHE_HOME"), f"$PLACE/{place}")
    monkeypatch.setenv("PLACE", str(tmp_path))
    assert take(open_source("org/tiny"), Patterns()).commit == offline.name


@pytest.mark.parametrize("text", ["org/tiny@v2", "org/none", f"org/tiny@{'0' * 40}"])
def test_offline_what_the_cache_lacks_is_a_line(
    text: str, offline: Path, capsys: pytest.CaptureFixture[str], hub: Hub
) -> None:
    told = carferry(capsys, "build", text, "oci:out:v1", "--base", "scratch")
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert "HF_HUB_OFFLINE is set, and" in told.err
    assert f"run hf download {text.partition('@')[0]} --revision" in told.err
    assert "or unset HF_HUB_OFFLINE" in told.err
    assert hub.log == []


@pytest.mark.parametrize(
    ("said", "is_so"), [("1", True), ("true", True), ("0", False), ("", False)]
)
def test_offline_is_said_as_to_huggingface_hub(said: str, is_so: int) -> None:
    assert is_offline({"HF_HUB_OFFLINE": said}) == is_so
    assert is_offline({"TRANSFORMERS_OFFLINE": said}) == is_so


def test_a_local_folder_of_hf_download_has_the_ids_of_the_hub(hub: Hub, tmp_path: Path) -> None:
    """Layers of both are the same then; the repository it does not note."""
    hub.add("org/tiny", FILES)
    snapshot_download("org/tiny", local_dir=tmp_path / "model", endpoint=hub.endpoint)
    found = take(from_folder(tmp_path / "model"), Patterns())
    assert found.files == take(from_hub(hub), Patterns()).files
    assert (found.repo, found.commit) == ("", "")
    (tmp_path / "model" / "config.json").write_text("{}")
    edited = {file.path: file for file in take(from_folder(tmp_path / "model"), Patterns()).files}
    edited["config.json"].verify(edited["config.json"].content.hex)


@pytest.mark.parametrize("ending", ["incomplete", "1a2b3c4d.incomplete"])
def test_a_local_folder_that_is_not_filled_yet_is_refused(
    ending: str, hub: Hub, tmp_path: Path
) -> None:
    hub.add("org/tiny", FILES)
    snapshot_download("org/tiny", local_dir=tmp_path, endpoint=hub.endpoint)
    notes = tmp_path / ".cache" / "huggingface" / "download" / "sub" / "model.safetensors.metadata"
    etag = notes.read_text().split("\n")[1]
    part = notes.with_name(f"aGFzaA-_=.{etag}.{ending}")
    part.write_bytes(b"half")
    assert len(take(from_folder(tmp_path), Patterns()).files) == len(FILES)  # it has come since
    notes.unlink()
    with pytest.raises(SourceNotFound, match=r"not finished: \.cache/.*te; run the same hf"):
        from_folder(tmp_path).listing()


CARDS = {
    "nothing": b"",
    "text alone": b"# none",
    "no end": b"---\n",
    "no YAML": b"---\n[\n---",
    "a list of them": b"---\nlicense: [a]\n---",
    "no text": b"\xff\xfe---",
    "no mapping": b"---\n- x\n---",
}


@pytest.mark.parametrize("card", CARDS.values(), ids=list(CARDS))
def test_a_card_without_a_licence_is_none(card: bytes, snapshot: Path) -> None:
    place = snapshot / "README.md"
    place.unlink()
    place.write_bytes(card)
    assert from_folder(snapshot).listing().license == ""
