"""A snapshot says what a model is: paths, sizes and the identity of every byte."""

from __future__ import annotations

import hashlib
import json

import pytest

from carferry.errors import InvalidReference, SourceChanged
from carferry.source.snapshot import ContentId, Snapshot, SourceFile


def test_the_git_identity_is_the_one_git_gives() -> None:
    """The well-known blob id of "hello" with a newline."""
    hasher = ContentId("git", "").hasher(6)
    hasher.update(b"hello\n")
    assert hasher.hexdigest() == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_the_lfs_identity_is_plain_sha256() -> None:
    hasher = ContentId("sha256", "").hasher(6)
    hasher.update(b"hello\n")
    assert hasher.hexdigest() == hashlib.sha256(b"hello\n").hexdigest()


@pytest.mark.parametrize("text", [f"sha256:{'a' * 64}", f"git:{'0' * 40}"])
def test_a_content_id_prints_what_was_parsed(text: str) -> None:
    assert str(ContentId.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "sha256:", f"git:{'a' * 64}", f"sha256:{'A' * 64}", f"md5:{'a' * 32}", "git:\n"]
)
def test_a_malformed_content_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        ContentId.parse(text)


def test_other_bytes_than_promised_are_named_with_both_hashes() -> None:
    file = SourceFile("config.json", 2, ContentId("git", "0" * 40))
    with pytest.raises(SourceChanged, match=r"config\.json.*f{12}\.\.\..*git:0{40}"):
        file.verify("f" * 40)


def test_a_snapshot_survives_its_record() -> None:
    files = (
        SourceFile("a\u00e9.json", 3, ContentId("git", "1" * 40)),
        SourceFile("b/c.safetensors", 10**12, ContentId("sha256", "2" * 64)),
    )
    snapshot = Snapshot("org/name", "c" * 40, files, "apache-2.0")
    assert Snapshot.from_json(snapshot.to_json()) == snapshot
    assert snapshot.size_bytes == 10**12 + 3


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": [[1]]}', '{"files": 3}', "null"])
def test_a_foreign_record_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Snapshot.from_json(text)


def test_the_record_is_plain_json() -> None:
    snapshot = Snapshot("", "", (SourceFile("a.json", 1, ContentId("git", "1" * 40)),))
    assert json.loads(snapshot.to_json())["files"] == [["a.json", 1, f"git:{'1' * 40}"]]
