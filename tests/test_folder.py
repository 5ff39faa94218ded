"""A folder is read as what it was when it was hashed, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from ferrying import ANY, from_folder, from_hub, quick
from servers.hub import Hub
from servers.models import COLLIDING, HOSTILE, tiny, write

from carferry.errors import SourceChanged, SourceError, SourceNotFound, UnsafePath
from carferry.io.show.progress import Silent
from carferry.selection.patterns import Patterns
from carferry.selection.select import select, take
from carferry.source.download import download
from carferry.source.origin import RECORD


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model."""
    return write(tiny(), tmp_path / "model")


def test_every_file_is_named_by_its_sha256(folder: Path) -> None:
    snapshot = take(from_folder(folder), Patterns())
    found = {file.path: (file.size_bytes, str(file.content)) for file in snapshot.files}
    assert found == {
        path: (len(body), f"sha256:{hashlib.sha256(body).hexdigest()}")
        for path, body in tiny().items()
    }
    assert (snapshot.repo, snapshot.commit) == ("", "")


def test_files_come_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    names = ["b.json", "B.json.txt", "a/z.json", "a.json", "a/b/c.json"]
    write(dict.fromkeys(names, b"{}"), tmp_path)
    paths = [file.path for file in take(from_folder(tmp_path), ANY).files]
    assert paths == sorted(names, key=str.encode)


def test_dot_folders_and_caches_are_not_looked_at(folder: Path) -> None:
    write({".cache/huggingface/x.json": b"{}", ".git/config.json": b"{}", ".a.json": b""}, folder)
    paths = {file.path for file in take(from_folder(folder), Patterns()).files}
    assert paths == set(tiny())


def test_a_link_inside_the_folder_is_read_as_the_file_it_names(folder: Path) -> None:
    (folder / "copy.json").symlink_to("config.json")
    source = from_folder(folder)
    files = {file.path: file for file in take(source, Patterns()).files}
    assert files["copy.json"].content == files["config.json"].content
    assert b"".join(source.read(files["copy.json"])) == tiny()["config.json"]


@pytest.mark.parametrize("absolute", [True, False])
def test_a_link_out_of_the_folder_is_refused(folder: Path, absolute: bool) -> None:
    write({"secret.json": b"{}"}, folder.parent)
    target = folder.parent / "secret.json" if absolute else Path("../secret.json")
    (folder / "outside.json").symlink_to(target)
    with pytest.raises(UnsafePath, match="leaves the folder"):
        take(from_folder(folder), Patterns())


def test_a_dangling_link_is_refused(folder: Path) -> None:
    (folder / "gone.json").symlink_to("nothing.json")
    with pytest.raises(SourceNotFound, match=r"gone\.json: No such file"):
        take(from_folder(folder), Patterns())


def test_what_is_not_a_regular_file_is_refused(folder: Path) -> None:
    """A named pipe would block its reader for ever."""
    os.mkfifo(folder / "pipe.json")
    with pytest.raises(UnsafePath, match="not a regular file"):
        take(from_folder(folder), Patterns())


def test_a_folder_that_is_not_there_points_to_the_hub() -> None:
    with pytest.raises(SourceNotFound, match=r"no such folder; for a model on the hub write hf://"):
        take(from_folder(Path("/nowhere")), Patterns())


@pytest.mark.parametrize("why", ["newline", "escape sequence", "right-to-left override"])
def test_a_hostile_name_on_disk_is_refused(folder: Path, why: str) -> None:
    (folder / HOSTILE[why]).write_bytes(b"{}")
    with pytest.raises(UnsafePath):
        take(from_folder(folder), Patterns())


def test_a_name_that_is_not_text_is_refused_in_one_line(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.json")).write_bytes(b"{}")
    with pytest.raises(UnsafePath) as caught:
        take(from_folder(folder), Patterns())
    assert str(caught.value).isascii()


def test_names_that_meet_on_other_disks_are_refused(tmp_path: Path) -> None:
    write(dict.fromkeys(COLLIDING["case"], b"{}"), tmp_path)
    with pytest.raises(UnsafePath, match="case-insensitive"):
        take(from_folder(tmp_path), Patterns())


@pytest.mark.parametrize("body", [b"", b"short", b"longer than it was before" * 100])
def test_a_file_of_another_length_is_caught_while_it_is_read(folder: Path, body: bytes) -> None:
    source = from_folder(folder)
    file = take(source, Patterns()).files[0]
    (folder / file.path).write_bytes(body)
    with pytest.raises(SourceChanged, match="size changed while it was read"):
        list(source.read(file))


def test_a_file_that_shrinks_between_two_chunks_is_caught(tmp_path: Path) -> None:
    path = write({"model.safetensors": bytes(3 << 20)}, tmp_path) / "model.safetensors"
    source = from_folder(tmp_path)
    chunks = source.read(take(source, ANY).files[0])
    next(chunks)
    os.truncate(path, 1 << 20)
    with pytest.raises(SourceChanged, match="size changed"):
        list(chunks)


def test_a_file_that_vanishes_is_named(folder: Path) -> None:
    source = from_folder(folder)
    file = take(source, Patterns()).files[0]
    (folder / file.path).unlink()
    with pytest.raises(SourceError, match=r"LICENSE: No such file or directory"):
        list(source.read(file))


@pytest.mark.parametrize("start", [0, 1, 100, 1 << 20, (2 << 20) + 7])
def test_reading_starts_at_the_offset(tmp_path: Path, start: int) -> None:
    body = os.urandom((2 << 20) + 7)
    write({"model.safetensors": body}, tmp_path)
    source = from_folder(tmp_path)
    file = take(source, ANY).files[0]
    assert b"".join(source.read(file, start)) == body[start:]


def test_a_downloaded_folder_is_the_snapshot_of_the_hub(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/tiny", tiny(), card={"license": "mit"})
    source = from_hub(hub)
    snapshot = take(source, Patterns())
    download(source, snapshot, tmp_path, parallel=2, retry=quick(), progress=Silent())
    assert take(from_folder(tmp_path), Patterns()) == snapshot


def test_a_file_edited_after_the_download_has_its_own_identity(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/tiny", tiny())
    source = from_hub(hub)
    snapshot = take(source, Patterns())
    download(source, snapshot, tmp_path, parallel=2, retry=quick(), progress=Silent())
    (tmp_path / "config.json").write_bytes(b"{}")
    files = {file.path: file for file in take(from_folder(tmp_path), Patterns()).files}
    assert str(files["config.json"].content) == f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    assert files["LICENSE"] in snapshot.files


@pytest.mark.parametrize("record", ["", "{}", "[1]", json.dumps({"files": [["a"]]})])
def test_a_broken_record_is_as_good_as_none(folder: Path, record: str) -> None:
    write({RECORD: record.encode()}, folder)
    snapshot = take(from_folder(folder), Patterns())
    assert (snapshot.repo, len(snapshot.files)) == ("", len(tiny()))


def test_a_listing_reads_no_byte_of_a_file(tmp_path: Path) -> None:
    """Whether a model fits is asked of its sizes and headers: hashing this one takes minutes."""
    (tmp_path / "config.json").write_text("{}")
    with (tmp_path / "model.safetensors").open("wb") as sparse:
        sparse.truncate(1 << 40)
    listed = select(from_folder(tmp_path), Patterns())
    sizes = {file.path: (file.size_bytes, file.content.hex) for file in listed.files}
    assert sizes == {"config.json": (2, ""), "model.safetensors": (1 << 40, "")}


def test_an_edited_download_claims_no_commit(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/tiny", tiny())
    source = from_hub(hub)
    fetched = take(source, Patterns())
    download(source, fetched, tmp_path, parallel=1, retry=quick(), progress=Silent())
    assert take(from_folder(tmp_path), Patterns()).commit == fetched.commit
    (tmp_path / "config.json").write_text('{"edited": true}')
    edited = take(from_folder(tmp_path), Patterns())
    assert (edited.repo, edited.commit) == ("", "")


def test_a_loop_of_links_is_an_error_in_words(folder: Path) -> None:
    (folder / "loop.json").symlink_to("loop.json")
    with pytest.raises(SourceNotFound, match=r"loop\.json"):
        take(from_folder(folder), Patterns())
