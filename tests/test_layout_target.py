"""An OCI layout on disk: never half a blob, never half an index, with other writers too."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ferrying import access, blob, left_behind, manifest, to_layout

from carferry.errors import TargetError
from carferry.oci.documents import MANIFEST, Document, canonical
from carferry.refs import Digest, ImageRef, LayoutRef
from carferry.registry.blobs import put_blob

BODY = b"weights" * 1000
DIGEST = Digest.of(BODY)


def document(number: int = 0) -> Document:
    """Return a manifest that differs by number."""
    return Document(MANIFEST, canonical({"schemaVersion": 2, "mediaType": MANIFEST, "n": number}))


def test_a_blob_appears_under_its_digest_and_is_readable_by_all(tmp_path: Path) -> None:
    target = to_layout(tmp_path / "layout")
    assert target.blob_size(DIGEST) is None
    put_blob(target, BODY)
    path = tmp_path / "layout/blobs/sha256" / DIGEST.hex
    assert (path.read_bytes(), oct(path.stat().st_mode & 0o777)) == (BODY, "0o644")
    assert (target.blob_size(DIGEST), blob(target, DIGEST)) == (len(BODY), BODY)
    assert target.read_range(DIGEST, 7, 14) == b"weightsweights"


@pytest.mark.parametrize("sent", [b"", BODY[:-1], BODY + b"x"])
def test_more_or_fewer_bytes_than_announced_are_refused(tmp_path: Path, sent: bytes) -> None:
    target = to_layout(tmp_path / "layout")
    upload = target.start_upload(len(BODY))
    with pytest.raises(TargetError, match=f"{len(sent)} bytes of {len(BODY)} came"):
        upload.send([sent])
    upload.cancel()
    upload.cancel()
    assert left_behind(tmp_path / "layout") == []


def test_an_upload_can_be_sent_again_from_its_start(tmp_path: Path) -> None:
    target = to_layout(tmp_path / "layout")
    upload = target.start_upload(len(BODY))
    with pytest.raises(TargetError):
        upload.send([b"broken off"])
    upload.send([BODY])
    upload.commit(DIGEST)
    assert blob(target, DIGEST) == BODY


def test_nothing_is_created_by_looking(tmp_path: Path) -> None:
    target = to_layout(tmp_path / "layout")
    assert (target.get_manifest("v1"), target.tags(), target.blob_size(DIGEST)) == (None, [], None)
    with pytest.raises(TargetError, match="No such file"):
        blob(target, DIGEST)
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_is_found_by_tag_and_by_digest(tmp_path: Path) -> None:
    target = to_layout(tmp_path / "layout")
    target.put_manifest(document(), str(document().digest))
    assert target.tags() == []
    assert manifest(target, str(document().digest)) == document()
    target.put_manifest(document(), "v1")
    assert manifest(target, "v1") == document()


def test_a_tag_moves_and_other_tags_stay(tmp_path: Path) -> None:
    target = to_layout(tmp_path / "layout")
    for number, tag in enumerate(["a", "b", "a"]):
        target.put_manifest(document(number), tag)
    assert (manifest(target, "a"), manifest(target, "b")) == (document(2), document(1))
    assert target.delete_manifest("b") is True
    assert target.tags() == ["a"]
    index = json.loads((tmp_path / "layout/index.json").read_text())
    assert len(index["manifests"]) == 1


def test_other_tools_entries_survive(tmp_path: Path) -> None:
    """An entry without a tag, or with annotations of its own, is not ours to drop."""
    target = to_layout(tmp_path / "layout")
    target.put_manifest(document(1), "v1")
    path = tmp_path / "layout/index.json"
    index = json.loads(path.read_text())
    foreign = index["manifests"][0] | {"annotations": {"com.example/x": "y"}}
    path.write_text(json.dumps(index | {"manifests": [foreign]}))
    target.put_manifest(document(2), "v2")
    assert foreign in json.loads(path.read_text())["manifests"]


def test_many_writers_lose_no_tag(tmp_path: Path) -> None:
    def put(number: int) -> None:
        to_layout(tmp_path / "layout").put_manifest(document(number), f"v{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(40)))
    assert len(to_layout(tmp_path / "layout").tags("v")) == 40
    assert [p.name for p in (tmp_path / "layout").rglob(".part-*")] == []


def test_a_blob_is_linked_from_a_layout_on_the_same_disk(tmp_path: Path) -> None:
    one, two = to_layout(tmp_path / "one"), to_layout(tmp_path / "two")
    put_blob(one, BODY)
    assert two.mount(DIGEST, one.ref) is True
    assert two.mount(DIGEST, one.ref) is True
    assert (tmp_path / "two/blobs/sha256" / DIGEST.hex).stat().st_nlink == 2
    assert two.mount(Digest.of(b"none"), one.ref) is False
    assert two.mount(DIGEST, ImageRef("x.io", "a")) is False
    assert one.mount(DIGEST, one.ref) is False


def test_a_manifest_whose_bytes_were_changed_is_found_out(tmp_path: Path) -> None:
    target = to_layout(tmp_path / "layout")
    target.put_manifest(document(), "v1")
    (tmp_path / "layout/blobs/sha256" / document().digest.hex).write_bytes(b"{}")
    with pytest.raises(TargetError, match="holds other bytes"):
        target.get_manifest("v1")


def test_a_manifest_that_is_listed_and_missing_is_an_error(tmp_path: Path) -> None:
    target = to_layout(tmp_path / "layout")
    target.put_manifest(document(), "v1")
    (tmp_path / "layout/blobs/sha256" / document().digest.hex).unlink()
    with pytest.raises(TargetError, match="missing"):
        target.get_manifest("v1")


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[1]", b"3", b"not json"])
def test_a_blob_that_is_no_manifest_is_an_error_in_words(tmp_path: Path, body: bytes) -> None:
    target = to_layout(tmp_path / "layout")
    digest = put_blob(target, body)
    with pytest.raises(TargetError):
        target.get_manifest(str(digest))


def test_a_file_where_the_layout_should_be_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "layout").write_text("")
    target = to_layout(tmp_path / "layout")
    with pytest.raises(TargetError, match=r"layout: (Not a directory|File exists)"):
        target.check_push()
    with pytest.raises(TargetError, match="Not a directory"):
        target.blob_size(DIGEST)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    target = to_layout(tmp_path / "layout")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(20):
        put_blob(target, b"%d" % number)
        target.put_manifest(document(number), f"v{number}")
        target.start_upload(10).cancel()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_layout_is_addressed_by_tag(tmp_path: Path) -> None:
    target = access().open(LayoutRef(tmp_path / "x", "v1"))
    assert target.location(DIGEST) == f"oci:{tmp_path / 'x'}:v1"
