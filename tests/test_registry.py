"""A registry as a target: a real one, and the ways a wire or a proxy in front can fail."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ferrying import access, blob, manifest, quick, to_registry
from servers.chaos import Answer, DropReply, FlipByte, ResetUpload, Rule, Truncate
from servers.denying import denying
from servers.proxy import Proxy
from servers.registry import Registry

from carferry.errors import (
    CarferryError,
    InvalidReference,
    ManifestMissing,
    PushDenied,
    StorageFull,
    TargetError,
    Unreachable,
)
from carferry.oci.documents import LAYER, MANIFEST, Descriptor, Document, canonical
from carferry.refs import Digest, ImageRef, LayoutRef
from carferry.registry.blobs import check_blobs, copy_blob, put_blob
from carferry.registry.repository import RegistryTarget
from carferry.registry.target import Target

BODY = os.urandom(100_000)
DIGEST = Digest.of(BODY)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry; every test uses a repository of its own."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository of one test."""
    return f"tests/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"


@pytest.fixture
def target(shared: Registry, repository: str) -> Target:
    """That repository."""
    return to_registry(shared, repository)


def image(target: Target, layers: list[bytes]) -> Document:
    """Put a smallest image's blobs and return its manifest."""
    config = put_blob(target, b"{}")
    described = [Descriptor(LAYER, put_blob(target, body), len(body)) for body in layers]
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Descriptor("application/vnd.oci.image.config.v1+json", config, 2).to_json(),
        "layers": [layer.to_json() for layer in described],
    }
    return Document(MANIFEST, canonical(document))


def test_a_blob_goes_up_in_one_patch_and_comes_back(
    shared: Registry, target: Target, repository: str
) -> None:
    before = len(shared.log)
    assert target.blob_size(DIGEST) is None
    assert put_blob(target, BODY) == DIGEST
    assert target.blob_size(DIGEST) == len(BODY)
    assert blob(target, DIGEST) == BODY
    asked = [a.method for a in shared.log[before:] if repository in a.path]
    assert asked[:6] == ["HEAD", "HEAD", "POST", "PATCH", "PUT", "HEAD"]


def test_a_blob_that_is_there_is_not_sent_again(shared: Registry, target: Target) -> None:
    put_blob(target, BODY)
    before = len(shared.log)
    put_blob(target, BODY)
    assert [access.method for access in shared.log[before:]] == ["HEAD"]


def test_an_empty_blob_needs_no_patch(target: Target) -> None:
    assert blob(target, put_blob(target, b"")) == b""


@pytest.mark.parametrize(("start", "size"), [(0, 1), (5, 100), (99_990, 10), (99_990, 1000)])
def test_part_of_a_blob_is_read_by_range(target: Target, start: int, size: int) -> None:
    put_blob(target, BODY)
    assert target.read_range(DIGEST, start, size) == BODY[start : start + size]


def test_an_upload_under_a_wrong_digest_is_refused_and_nothing_shows(target: Target) -> None:
    upload = target.start_upload(3)
    upload.send([b"abc"])
    with pytest.raises(TargetError, match="DIGEST_INVALID"):
        upload.commit(DIGEST)
    assert target.blob_size(DIGEST) is None
    assert target.blob_size(Digest.of(b"abc")) is None


def test_a_cancelled_upload_is_gone_at_the_registry(
    shared: Registry, target: Target, repository: str
) -> None:
    upload = target.start_upload(3)
    upload.send([b"abc"])
    upload.cancel()
    upload.cancel()
    folder = shared.root / "data/docker/registry/v2/repositories" / repository / "_uploads"
    assert list(folder.rglob("data")) == []


def test_a_check_before_the_push_leaves_no_upload(
    shared: Registry, target: Target, repository: str
) -> None:
    target.check_push()
    folder = shared.root / "data/docker/registry/v2/repositories" / repository / "_uploads"
    assert list(folder.rglob("data")) == []


def test_a_manifest_is_put_by_digest_and_by_tag(target: Target) -> None:
    document = image(target, [BODY])
    target.put_manifest(document, str(document.digest))
    assert target.tags() == []
    target.put_manifest(document, "v1")
    assert manifest(target) == manifest(target, str(document.digest)) == document
    assert target.get_manifest("v2") is None
    assert target.get_manifest(str(Digest.of(b"no manifest"))) is None


def test_tags_are_listed_over_many_pages(shared: Registry, target: Target) -> None:
    document = image(target, [])
    for number in range(5):
        target.put_manifest(document, f"v{number}")
    target.put_manifest(document, "other")
    assert target.tags("v") == ["v0", "v1", "v2", "v3", "v4"]
    assert target.tags() == ["other", "v0", "v1", "v2", "v3", "v4"]


def test_a_page_of_tags_may_be_longer_than_a_manifest(shared: Registry, repository: str) -> None:
    """Distribution 2.8 sends all tags at once; the list was cut off, and called no JSON."""
    wanted = [f"v{number:0120}" for number in range(40_000)]
    page = json.dumps({"name": repository, "tags": wanted}).encode()
    with Proxy(shared.url, [Rule(Answer(200, {}, page), path="/tags/list")]) as proxy:
        assert to_registry(shared, repository, host=proxy.host).tags() == wanted


def test_a_new_repository_has_no_tags(shared: Registry) -> None:
    assert to_registry(shared, "tests/never-used").tags() == []


def test_a_tag_is_deleted_even_if_only_digests_can_be(target: Target) -> None:
    document = image(target, [BODY])
    target.put_manifest(document, "v1")
    assert target.delete_manifest("v1") is True
    assert target.get_manifest("v1") is None
    assert target.delete_manifest("v1") is True


def test_a_blob_is_mounted_from_another_repository(shared: Registry, target: Target) -> None:
    origin = to_registry(shared, "tests/origin")
    put_blob(origin, BODY)
    assert target.mount(DIGEST, origin.ref) is True
    assert target.blob_size(DIGEST) == len(BODY)


@pytest.mark.parametrize(
    "origin",
    [ImageRef("elsewhere.io", "a/b"), LayoutRef(Path("x")), ImageRef("127.0.0.1:1", "a/b")],
)
def test_nothing_is_mounted_from_another_place(
    shared: Registry, target: Target, origin: ImageRef | LayoutRef
) -> None:
    before = len(shared.log)
    assert target.mount(DIGEST, origin) is False
    assert len(shared.log) == before


def test_a_mount_the_registry_does_not_do_leaves_no_upload(
    shared: Registry, target: Target, repository: str
) -> None:
    missing = Digest.of(b"no registry has this")
    assert target.mount(missing, ImageRef(shared.host, "tests/origin")) is False
    folder = shared.root / "data/docker/registry/v2/repositories" / repository / "_uploads"
    assert list(folder.rglob("data")) == []


def test_a_location_is_immutable(shared: Registry, target: Target, repository: str) -> None:
    assert target.location(DIGEST) == f"{shared.host}/{repository}@{DIGEST}"


# --- what goes wrong on the wire


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_asked_again(shared: Registry, repository: str, status: int) -> None:
    rules = [Rule(Answer(status), method="HEAD|POST|GET", path="/v2/")]
    with Proxy(shared.url, rules) as proxy:
        target = to_registry(shared, repository, host=proxy.host)
        assert target.blob_size(Digest.of(b"none")) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, TargetError), (403, PushDenied), (413, StorageFull), (507, StorageFull)],
)
def test_a_refusal_is_not_asked_again(
    shared: Registry, repository: str, status: int, kind: type[TargetError]
) -> None:
    with Proxy(shared.url, [Rule(Answer(status), method="POST", times=None)]) as proxy:
        target = to_registry(shared, repository, host=proxy.host)
        with pytest.raises(kind) as caught:
            target.start_upload(1)
        assert (caught.value.status, caught.value.temporary) == (status, False)
        assert len(proxy.log) == 1


def test_an_upload_that_broke_says_that_it_may_work_later(
    shared: Registry, repository: str
) -> None:
    with Proxy(shared.url, [Rule(ResetUpload(50_000), method="PATCH")]) as proxy:
        upload = to_registry(shared, repository, host=proxy.host).start_upload(len(BODY))
        with pytest.raises(CarferryError) as caught:
            upload.send([BODY])
    assert caught.value.temporary is True


@pytest.mark.parametrize(
    "action", [DropReply(), Answer(504, forward=True), Answer(502, forward=True)]
)
def test_a_commit_with_an_unclear_answer_is_settled_by_asking(
    shared: Registry, repository: str, action: DropReply | Answer
) -> None:
    """The registry did it, only the answer got lost: the bytes are not sent again."""
    with Proxy(shared.url, [Rule(action, method="PUT", path="/blobs/")]) as proxy:
        target = to_registry(shared, repository, host=proxy.host)
        put_blob(target, BODY)
        assert len([e for e in proxy.log if e.method == "PATCH"]) == 1
    assert to_registry(shared, repository).blob_size(DIGEST) == len(BODY)


def test_a_commit_that_did_not_happen_is_an_error(shared: Registry, repository: str) -> None:
    lost = Rule(Answer(504), method="PUT", path="/blobs/", times=None)
    with Proxy(shared.url, [lost]) as proxy:
        target = to_registry(shared, repository, host=proxy.host)
        with pytest.raises(TargetError, match="504"):
            put_blob(target, BODY)


def test_a_registry_that_sends_another_manifest_is_found_out(
    shared: Registry, repository: str
) -> None:
    document = image(to_registry(shared, repository), [BODY])
    to_registry(shared, repository).put_manifest(document, "v1")
    with Proxy(shared.url, [Rule(FlipByte(5), path="manifests", times=None)]) as proxy:
        target = to_registry(shared, repository, host=proxy.host)
        with pytest.raises(TargetError, match="the registry sent sha256:"):
            target.get_manifest(str(document.digest))


def test_a_copy_of_flipped_bytes_is_not_committed(
    shared: Registry, repository: str, tmp_path: Path
) -> None:
    put_blob(to_registry(shared, repository), BODY)
    layout = access().open(LayoutRef(tmp_path / "layout"), write=True)
    with Proxy(shared.url, [Rule(FlipByte(5), method="GET", path="/blobs/")]) as proxy:
        origin = to_registry(shared, repository, host=proxy.host)
        with pytest.raises(TargetError, match="other bytes"):
            copy_blob(Descriptor(LAYER, DIGEST, len(BODY)), origin, layout)
    assert layout.blob_size(DIGEST) is None
    assert list((tmp_path / "layout").rglob(".part-*")) == []


def test_a_download_that_ends_early_is_never_taken_for_the_blob(
    shared: Registry, repository: str, tmp_path: Path
) -> None:
    put_blob(to_registry(shared, repository), BODY)
    layout = access().open(LayoutRef(tmp_path / "layout"), write=True)
    with Proxy(shared.url, [Rule(Truncate(500), method="GET", path="/blobs/")]) as proxy:
        origin = to_registry(shared, repository, host=proxy.host)
        with pytest.raises((TargetError, Unreachable)) as caught:
            copy_blob(Descriptor(LAYER, DIGEST, len(BODY)), origin, layout)
    assert "127.0.0.1" in str(caught.value) or "bytes" in str(caught.value)
    assert layout.blob_size(DIGEST) is None


@pytest.mark.parametrize("said", [None, len(BODY) - 1])
def test_a_seal_needs_every_blob_in_its_full_length(target: Target, said: int | None) -> None:
    if said:
        put_blob(target, BODY)
    blobs = [Descriptor(LAYER, DIGEST, said or len(BODY))]
    with pytest.raises(TargetError, match=r"missing|bytes long, not"):
        check_blobs(target, blobs, quick())


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"layers": 3}', b'{"layers": [{}]}', b'{"layers": [{"digest": "x"}]}'],
)
def test_a_manifest_that_makes_no_sense_is_an_error_in_words(body: bytes) -> None:
    document = Document(MANIFEST, body)
    with pytest.raises((TargetError, InvalidReference)):
        assert document.config
    with pytest.raises((TargetError, InvalidReference)):
        assert document.layers[0].size_bytes < 0


def test_a_denied_push_fails_before_a_byte_moves(shared: Registry, repository: str) -> None:
    with denying(shared.url) as proxy:
        target = to_registry(shared, repository, host=proxy.host)
        with pytest.raises(PushDenied, match=r"DENIED.*needs push rights"):
            target.check_push()
        assert sum(exchange.received for exchange in proxy.log) == 0


def test_the_registry_that_words_its_error_is_quoted(shared: Registry, repository: str) -> None:
    body = b'{"errors": [{"code": "QUOTA", "message": "project is full", "detail": "10 GiB"}]}'
    with Proxy(shared.url, [Rule(Answer(400, {}, body), times=None)]) as proxy:
        target = to_registry(shared, repository, host=proxy.host)
        with pytest.raises(TargetError, match=r"QUOTA: project is full 10 GiB \(400\)"):
            target.check_push()


@pytest.mark.parametrize("size", [0, 10, 1 << 20])
def test_an_error_body_of_any_size_is_one_short_line(
    shared: Registry, repository: str, size: int
) -> None:
    page = b"<html>\n" * (size // 7)
    with Proxy(shared.url, [Rule(Answer(400, {}, page), times=None)]) as proxy:
        target = to_registry(shared, repository, host=proxy.host)
        with pytest.raises(TargetError) as caught:
            target.check_push()
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_a_missing_image_is_missing(shared: Registry) -> None:
    target = to_registry(shared, "tests/never-used")
    assert target.get_manifest("v1") is None
    with pytest.raises(ManifestMissing):
        target.read_range(DIGEST, 0, 1)
    with pytest.raises(CarferryError):
        blob(target, DIGEST)


def test_the_retry_of_a_repository_is_the_callers(shared: Registry, repository: str) -> None:
    with Proxy(shared.url, [Rule(Answer(503), times=None)]) as proxy:
        given = access(proxy.host, retry=quick(attempts=1))
        target = given.open(ImageRef(proxy.host, repository, "v1"))
        assert isinstance(target, RegistryTarget)
        with pytest.raises(TargetError):
            target.tags()
        assert len(proxy.log) == 1
