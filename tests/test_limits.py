"""No answer of a registry or a layout is taken in without end."""

from __future__ import annotations

import json
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ferrying import access, manifest, to_layout
from servers.chaos import Answer, EditReply, Rule
from servers.images import tar_of, write_layout
from servers.proxy import Proxy
from servers.registry import Registry

from carferry.errors import AuthenticationFailed, CarferryError, TargetError
from carferry.image import base as bases
from carferry.image.inspection import inspect
from carferry.oci.documents import INDEX, LAYER, MANIFEST, Descriptor, Document, Platform, canonical
from carferry.refs import Digest, ImageRef
from carferry.registry.blobs import copy_blob
from carferry.registry.target import Target

LARGE = 96 << 20
PEAK = 24 << 20
DIGEST = Digest.of(b"x")


@contextmanager
def little_memory() -> Iterator[None]:
    """Prove that what happens inside never holds much."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < PEAK
    finally:
        tracemalloc.stop()


def grown(path: Path, size: int = LARGE) -> None:
    """Make a file longer, with a hole that takes no room."""
    with path.open("r+b") as file:
        file.truncate(size)


def layout(folder: Path) -> Target:
    """Write an image of one layer."""
    write_layout(folder, [tar_of({"models/a": b"x"})], "v1")
    return to_layout(folder)


def announce(target: Target, folder: Path, size: int) -> None:
    """Make the manifest say another length of its config."""
    document = manifest(target)
    fields = document.json
    fields["config"]["size"] = size
    target.put_manifest(Document(MANIFEST, canonical(fields)), "v1")


@pytest.mark.parametrize("told", [True, False], ids=["announced", "hidden"])
def test_a_config_without_end_is_not_read(told: bool, tmp_path: Path) -> None:
    target = layout(tmp_path / "image")
    grown(tmp_path / "image/blobs/sha256" / manifest(target).config.digest.hex)
    if told:
        announce(target, tmp_path / "image", LARGE)
    with little_memory(), pytest.raises(TargetError, match=r"over 4194304|sent other bytes"):
        inspect(target)
    with little_memory(), pytest.raises(CarferryError, match=r"over 4194304|sent other bytes"):
        bases.open_bases(f"oci:{tmp_path / 'image'}:v1", (Platform(),), access().open)


@pytest.mark.parametrize("name", ["index.json", "manifest"])
def test_a_document_without_end_is_not_read(name: str, tmp_path: Path) -> None:
    target = layout(tmp_path / "image")
    blob = tmp_path / "image/blobs/sha256" / manifest(target).digest.hex
    grown(blob if name == "manifest" else tmp_path / "image/index.json")
    with little_memory(), pytest.raises(TargetError, match=r"over|too large"):
        inspect(target)


def test_a_blob_longer_than_announced_is_not_copied_to_its_end(tmp_path: Path) -> None:
    origin = layout(tmp_path / "image")
    (layer,) = manifest(origin).layers
    grown(tmp_path / "image/blobs/sha256" / layer.digest.hex, 1 << 40)
    target = to_layout(tmp_path / "out")
    with pytest.raises(TargetError, match="sent other bytes under it"):
        copy_blob(layer, origin, target)
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) < 1 << 20


@pytest.mark.parametrize("count", [0, 257, 30_000])
def test_an_index_of_more_manifests_than_images_have_is_not_followed(
    count: int, tmp_path: Path
) -> None:
    target = to_layout(tmp_path / "image")
    listed = [Descriptor(MANIFEST, DIGEST, 2).to_json()] * count
    body = canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})
    if len(body) > 4 << 20:
        listed = listed[:20_000]
        body = canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})
    target.put_manifest(Document(INDEX, body), "v1")
    with pytest.raises(TargetError, match=f"lists {len(listed)} manifests, not 1 to 256"):
        inspect(target)


def test_the_manifests_of_an_index_are_bounded_together(tmp_path: Path) -> None:
    target = to_layout(tmp_path / "image")
    documents = [
        Document(MANIFEST, canonical({"n": n, "fill": "x" * (3 << 20)})) for n in range(12)
    ]
    for each in documents:
        target.put_manifest(each, str(each.digest))
    listed = [each.descriptor().to_json() for each in documents]
    body = canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})
    target.put_manifest(Document(INDEX, body), "v1")
    with pytest.raises(TargetError, match="its manifests are over 33554432 bytes together"):
        inspect(target)


class _Endless(BaseHTTPRequestHandler):
    """Another page of tags after every page, and another name on each."""

    count = 0
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        _Endless.count += 1
        tags = {"tags": [f"t{_Endless.count}-{n}" for n in range(50)]}
        body = json.dumps(tags).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Link", f'</v2/a/b/tags/list?last={_Endless.count}>; rel="next"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


def test_a_list_of_tags_without_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It went on for as long as the registry did, and kept every name."""
    monkeypatch.setattr("carferry.registry.tag_list._MOST_PAGES", 60)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endless)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        host = f"127.0.0.1:{server.server_address[1]}"
        target = access(host).open(ImageRef(host, "a/b", "v1"))
        with pytest.raises(TargetError, match="the list does not end"):
            target.tags("carferry-shard-")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


TOKENS: dict[str, Any] = {
    "a line break": {"token": "a\r\nX-Evil: 1"},
    "a blank": {"token": "a b"},
    "other letters": {"token": "é"},
    "nothing": {"token": ""},
    "a life without end": {"token": "t", "expires_in": 10**400},
    "a list": [1],
}


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_that_cannot_be_one_is_refused_in_words(name: str) -> None:
    body = json.dumps(TOKENS[name]).encode()
    with Proxy("http://127.0.0.1:9") as proxy:
        realm = f'Bearer realm="{proxy.endpoint}/token",service="x"'
        proxy.arm([
            Rule(Answer(200, body=body), path="^/token", times=None),
            Rule(Answer(401, {"WWW-Authenticate": realm}), path="^/v2/", times=None),
        ])  # fmt: skip
        target = access(proxy.host).open(ImageRef(proxy.host, "a/b", "v1"))
        with pytest.raises(AuthenticationFailed, match="its token server sent no token"):
            target.get_manifest("v1")


@pytest.mark.parametrize("length", ["9" * 5000, "\u00b2", "-1", "1e3", ""])
def test_a_length_that_is_none_is_no_length(length: str, tmp_path: Path) -> None:
    rule = Rule(EditReply(lambda head: head.with_("Content-Length", length)), method="HEAD")
    with Registry(tmp_path / "registry") as registry, Proxy(registry.url, [rule]) as proxy:
        target = access(proxy.host).open(ImageRef(proxy.host, "a/b", "v1"))
        try:
            assert target.blob_size(DIGEST) is None
        except CarferryError as error:
            assert "\n" not in str(error)


def layer(**changes: Any) -> dict[str, Any]:
    return Descriptor(LAYER, DIGEST, 2).to_json() | changes


DESCRIPTORS: dict[str, Callable[[], dict[str, Any]]] = {
    "a negative size": lambda: layer(size=-1),
    "a size in words": lambda: layer(size="12"),
    "half a byte": lambda: layer(size=1.5),
    "true": lambda: layer(size=True),
    "more than any disk": lambda: layer(size=1 << 70),
    "nothing": lambda: layer(size=None),
    "annotations in a list": lambda: layer(annotations=[1]),
    "annotations of numbers": lambda: layer(annotations={"a": 1}),
    "annotations of objects": lambda: layer(annotations={"a": {"b": []}}),
    "another digest": lambda: layer(digest="md5:abc"),
    "a number as digest": lambda: layer(digest=3),
}


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_a_descriptor_that_is_none_is_an_error_in_words(name: str) -> None:
    document = Document(MANIFEST, json.dumps({"layers": [DESCRIPTORS[name]()]}).encode())
    with pytest.raises(CarferryError) as caught:
        _ = document.layers
    assert len(str(caught.value)) < 400


def test_annotations_of_a_manifest_that_are_no_texts_say_nothing() -> None:
    body = json.dumps({"annotations": {"a": 1, "b": "c", "d": {"e": []}}}).encode()
    assert Document(MANIFEST, body).annotations == {"b": "c"}
