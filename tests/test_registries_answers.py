"""What each kind of registry answers where the specification leaves it open."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from ferrying import access, blob, from_folder, manifest, to_registry
from servers.chaos import (
    EditReply,
    EditRequest,
    IgnoreRange,
    Rule,
)
from servers.models import filled, write
from servers.proxy import Proxy
from servers.registry import Registry
from servers.wire import Head

from carferry.assembly.build import seal_shares, stream_share
from carferry.assembly.options import Options
from carferry.errors import (
    TargetError,
)
from carferry.oci.documents import LAYER, MANIFEST, Descriptor, Document, canonical
from carferry.refs import Digest, ImageRef
from carferry.registry.blobs import put_blob
from carferry.registry.target import Target

LARGE_BYTES = 50_000
SIZE = 700_000
MODEL = {"config.json": b"{}", "model.safetensors": filled(SIZE, 1)}
BODY = os.urandom(100_000)
DIGEST = Digest.of(BODY)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with one large layer; it is not written to."""
    return write(MODEL, tmp_path_factory.mktemp("model"))


@pytest.fixture
def target(each_registry: Registry, request: pytest.FixtureRequest) -> Target:
    """A repository of one test."""
    return to_registry(each_registry, f"tests/{Digest.of(request.node.name.encode()).hex[:16]}")


def image(target: Target, layers: list[bytes]) -> Document:
    """Put a smallest image's blobs and return its manifest."""
    config = put_blob(target, b"{}")
    described = [Descriptor(LAYER, put_blob(target, body), len(body)) for body in layers]
    return naming(Descriptor("application/vnd.oci.image.config.v1+json", config, 2), described)


def naming(config: Descriptor, layers: list[Descriptor]) -> Document:
    """Return a manifest."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return Document(MANIFEST, canonical(document))


def test_a_wrong_digest_is_refused_and_nothing_shows(target: Target) -> None:
    upload = target.start_upload(3)
    upload.send([b"abc"])
    with pytest.raises(TargetError) as caught:
        upload.commit(DIGEST)
    assert caught.value.status == 400
    assert target.blob_size(DIGEST) is None
    assert target.blob_size(Digest.of(b"abc")) is None


@pytest.mark.parametrize(("start", "size"), [(0, 1), (5, 100), (99_990, 10), (99_990, 1000)])
def test_part_of_a_blob_is_read_by_range(target: Target, start: int, size: int) -> None:
    put_blob(target, BODY)
    assert target.read_range(DIGEST, start, size) == BODY[start : start + size]
    assert b"".join(target.open_blob(DIGEST, start)) == BODY[start:]


def test_a_part_far_behind_is_not_reached_over_and_over(
    each_registry: Registry, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_blob(target, BODY)
    assert isinstance(target.ref, ImageRef)
    with Proxy(each_registry.url, [Rule(IgnoreRange(), times=None)]) as proxy:
        through = to_registry(each_registry, target.ref.repository, host=proxy.host)
        assert through.read_range(DIGEST, 50_000, 10) == BODY[50_000:50_010]
        assert through.read_range(DIGEST, 99_990, 1000) == BODY[99_990:]
        monkeypatch.setattr("carferry.registry.repository._MOST_SKIPPED_BYTES", 50_000)
        with pytest.raises(TargetError, match="ignores ranges"):
            through.read_range(DIGEST, 50_001, 10)


def test_an_empty_blob_is_a_blob(target: Target) -> None:
    assert blob(target, put_blob(target, b"")) == b""


def test_a_manifest_that_names_a_missing_blob_is_refused(target: Target) -> None:
    config = Descriptor("application/vnd.oci.image.config.v1+json", put_blob(target, b"{}"), 2)
    lost = naming(config, [Descriptor(LAYER, DIGEST, len(BODY))])
    with pytest.raises(TargetError, match="MANIFEST_BLOB_UNKNOWN"):
        target.put_manifest(lost, "v1")
    assert target.get_manifest("v1") is None


def test_a_mount_of_nothing_leaves_no_upload(each_registry: Registry, target: Target) -> None:
    assert target.mount(DIGEST, ImageRef(each_registry.host, "tests/never-used")) is False
    assert isinstance(target.ref, ImageRef)
    assert each_registry.uploads(target.ref.repository) == []


def test_what_is_not_there_is_missing(each_registry: Registry) -> None:
    nothing = to_registry(each_registry, "tests/never-used")
    assert nothing.get_manifest("v1") is None
    assert nothing.get_manifest(str(DIGEST)) is None
    assert nothing.blob_size(DIGEST) is None
    assert nothing.tags() == []
    assert nothing.delete_manifest("v1") is True


def two_a_page(head: Head) -> Head:
    """Ask for pages of two tags where carferry asks for a thousand."""
    return replace(head, start=head.start.replace("n=1000", "n=2"))


LINKS: dict[str, Callable[[str], str]] = {
    "as it came": lambda link: link,
    "quoted": lambda link: re.sub(r'rel="?next"?', 'rel="next"', link),
    "unquoted": lambda link: re.sub(r'rel="?next"?', "rel=next", link),
    "capitals": lambda link: re.sub(r'rel="?next"?', 'REL = "Next"', link),
    "several words": lambda link: re.sub(r'rel="?next"?', 'rel="chapter next"', link),
    "other parameters": lambda link: link.replace(";", '; title="a, b"; ', 1),
    "after another": lambda link: f'</v2/>; rel="first", {link}',
    "before another": lambda link: f"{link}, </v2/>; rel=last",
    "relative": lambda link: re.sub(r"<[^?]*", "<", link),
    "of another host": lambda link: re.sub("<(https?://[^/]*)?", "<http://inside:5000", link),
}


@pytest.mark.parametrize("name", LINKS)
def test_tags_are_listed_over_many_pages(each_registry: Registry, name: str) -> None:
    """Olareg's header says ``rel=next``, distribution 3 quotes it, and 2.8 knows no pages."""
    target = to_registry(each_registry, "many/tags")
    document, wanted = image(target, []), [f"v{number}" for number in range(5)]
    for tag in wanted:
        target.put_manifest(document, tag)

    def edited(head: Head) -> Head:
        link = head.get("Link")
        return head.with_("Link", LINKS[name](link)) if link else head

    rules = [
        Rule(action, path="/tags/list", times=None)
        for action in (EditRequest(two_a_page), EditReply(edited))
    ]
    with Proxy(each_registry.url, rules) as proxy:
        assert to_registry(each_registry, "many/tags", host=proxy.host).tags() == wanted
        assert len(proxy.log) == (1 if each_registry.kind == "distribution2" else 3)


def test_one_tag_is_deleted_and_another_of_the_same_image_stays(
    each_registry: Registry, target: Target
) -> None:
    document, other = image(target, [BODY]), image(target, [BODY, b"other"])
    target.put_manifest(document, "v1")
    target.put_manifest(other, "v2")
    assert target.delete_manifest("v1") is True
    assert target.get_manifest("v1") is None
    assert target.delete_manifest("v1") is True
    assert manifest(target, "v2") == other


def test_workers_at_once_lose_nothing(each_registry: Registry, folder: Path) -> None:
    """Olareg keeps one index for a repository: all of them change it at the same time."""
    given, options = access(each_registry.host), Options(base="scratch", large_bytes=LARGE_BYTES)

    def work(worker: int) -> None:
        target = to_registry(each_registry, "many/workers")
        stream_share(from_folder(folder), target, options, worker, 6, access=given)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(1, 7)))
    assert len(each_registry.tags("many/workers")) == 6
    seal_shares(
        from_folder(folder), to_registry(each_registry, "many/workers"), options, access=given
    )
    assert list(each_registry.tags("many/workers")) == ["v1"]
