"""What a broken transfer costs: the bytes that are missing if that can be proved, else a blob.

A proxy before the hub's CDN breaks what is read, a proxy before a registry what is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest
from ferrying import access, ferry, from_hub, to_registry
from servers.chaos import (
    Answer,
    DropReply,
    DropRequest,
    ResetDownload,
    ResetUpload,
    Rule,
    Truncate,
)
from servers.hub import Hub
from servers.models import filled, synthetic
from servers.personal import PERSONALITIES, PersonalRegistry
from servers.proxy import Proxy
from servers.registry import Registry

from carferry.assembly.layer_reader import LayerReader
from carferry.assembly.results import BuildResult
from carferry.errors import SourceChanged, Unreachable
from carferry.image.layers import Layer
from carferry.refs import ImageRef
from carferry.registry.target import Target
from carferry.source.snapshot import ContentId, Snapshot, SourceFile
from carferry.weights.safetensors import FIRST_READ

UPLOADS = "/blobs/uploads/"
REPO = "org/tiny"
SIZE = 700_000
WEIGHTS = filled(SIZE, 1)
LOOK = f"bytes=0-{FIRST_READ - 1}"
# The tar header and its directory come before the file, padding and the end after it.
LAYER = 1024 + SIZE + (-SIZE % 512) + 1024


@dataclass
class Crossing:
    """A hub and a registry with a proxy before each.

    Attributes:
        hub: Holds one model of one file.
        cdn: Before the hub's CDN.
        registry: In memory, of any personality.
        front: Before the registry.
    """

    hub: Hub
    cdn: Proxy
    registry: PersonalRegistry
    front: Proxy

    def target(self) -> Target:
        """Return the repository behind the proxy."""
        given = access(self.front.host)
        return given.open(ImageRef(self.front.host, REPO, "v1"), write=True)

    def ferry(self, **options: object) -> BuildResult:
        """Build the one image."""
        return ferry(from_hub(self.hub), self.target(), **options)  # type: ignore[arg-type]

    def asked(self, method: str) -> list[str]:
        """Return the paths of uploads that were asked for by a method, without queries."""
        return [e.path for e in self.registry.log if e.method == method and UPLOADS in e.path]

    def ranges(self) -> list[str]:
        """Return the Content-Range of each PATCH; empty if it had none."""
        patches = [e for e in self.registry.log if e.method == "PATCH"]
        return [e.headers.get("content-range", "") for e in patches]


@pytest.fixture
def crossing() -> Iterator[Crossing]:
    """A hub with one model, and an empty registry that states true offsets."""
    with (
        Hub() as hub,
        Proxy(hub.cdn_endpoint) as cdn,
        PersonalRegistry() as registry,
        Proxy(registry.url) as front,
    ):
        hub.cdn_endpoint = cdn.endpoint
        hub.add(REPO, {"model.safetensors": WEIGHTS})
        yield Crossing(hub, cdn, registry, front)


def undisturbed(crossing: Crossing, endpoint: str = "") -> str:
    """Return the digest of a build that nothing breaks, made in another repository."""
    target = access(crossing.registry.host).open(
        ImageRef(crossing.registry.host, "calm/tiny", "v1"), write=True
    )
    source = from_hub(crossing.hub, endpoint=endpoint or crossing.hub.endpoint)
    digest = str(ferry(source, target).document.digest)
    crossing.registry.clear_log()
    crossing.hub.clear_log()
    crossing.front.arm(crossing.front.rules)
    crossing.cdn.arm(crossing.cdn.rules)
    return digest


@pytest.mark.parametrize("name", sorted(PERSONALITIES))
@pytest.mark.parametrize("at", [0, 1, 512, 1024, 400_000, -1])
def test_every_kind_of_registry_ends_with_the_right_image_after_a_broken_upload(
    crossing: Crossing, name: str, at: int
) -> None:
    crossing.registry.personality = PERSONALITIES[name]
    crossing.front.rules = [Rule(ResetUpload(at), "PATCH", UPLOADS)]
    digest = undisturbed(crossing)
    assert str(crossing.ferry().document.digest) == digest


def test_an_upload_that_the_registry_has_lost_is_sent_again(crossing: Crossing) -> None:
    gone = Answer(404, body=b'{"errors": [{"code": "BLOB_UPLOAD_UNKNOWN"}]}')
    crossing.front.rules = [Rule(gone, "PATCH", UPLOADS), Rule(gone, "PUT", UPLOADS)]
    digest = undisturbed(crossing)
    result = crossing.ferry()
    assert (str(result.document.digest), result.results[0].retries) == (digest, 2)
    assert crossing.hub.body_bytes() == FIRST_READ + 3 * SIZE


@pytest.mark.parametrize("path", ["/manifests/", "/tags/list"])
@pytest.mark.parametrize("action", [ResetDownload(5), Truncate(5)])
def test_a_document_that_breaks_off_is_read_again(
    crossing: Crossing, path: str, action: ResetDownload | Truncate
) -> None:
    crossing.ferry()
    crossing.hub.repos[REPO].change({"config.json": b"{}"})
    digest = undisturbed(crossing)
    crossing.front.arm([Rule(action, "GET", path)])
    assert str(crossing.ferry().document.digest) == digest
    assert [e.actions for e in crossing.front.log if e.actions] == [(action,)]


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_patience_at_first_contact_gets_it(
    crossing: Crossing, status: int
) -> None:
    busy = Answer(status, {"Retry-After": "1"})
    with Proxy(crossing.hub.endpoint) as hub:
        digest = undisturbed(crossing, hub.endpoint)
        crossing.front.arm([Rule(busy, times=4)])
        hub.arm([Rule(busy, path="/api/models/[^/]*/[^/]*/rev", times=4)])
        source = from_hub(crossing.hub, endpoint=hub.endpoint)
        assert str(ferry(source, crossing.target()).document.digest) == digest
    assert len([e for e in hub.exchanges if e.actions]) == 4


def test_a_host_that_does_not_answer_is_given_up_after_two_tries(crossing: Crossing) -> None:
    crossing.front.arm([Rule(DropRequest(), times=None)])
    with pytest.raises(Unreachable):
        crossing.ferry()
    assert len(crossing.front.log) == 2


@pytest.mark.parametrize("resumes", [True, False])
def test_a_wrong_byte_is_found_when_the_upload_breaks_at_the_end_of_its_file(
    resumes: bool,
) -> None:
    """The file's hash is due when its last byte is read, not when the next one is asked for."""
    right, wrong = b"r" * 5000, b"r" * 4999 + b"w"
    file = SourceFile("a.json", 5000, ContentId("sha256", hashlib.sha256(right).hexdigest()))
    layer = Layer((file, replace(file, path="b.json")))
    end_of_a, sent = 1024 + 5000, 0
    with LayerReader(layer, _Sends({"a.json": wrong, "b.json": right})) as body:
        for chunk in body.chunks():
            sent += len(chunk)
            if sent == end_of_a:
                break
        for _ in body.chunks(end_of_a if resumes else 0):
            pass
        with pytest.raises(SourceChanged, match=r"a\.json"):
            body.digest()


@dataclass(frozen=True)
class _Sends:
    """A source of these bytes, whatever the snapshot says."""

    bodies: dict[str, bytes]

    def listing(self) -> Snapshot:
        raise NotImplementedError

    def snapshot(self, paths: Sequence[str]) -> Snapshot:
        raise NotImplementedError

    def read(self, file: SourceFile, start: int = 0) -> Iterator[bytes]:
        yield self.bodies[file.path][start:]


def test_a_source_that_breaks_is_asked_for_the_rest_and_the_upload_stays_open(
    crossing: Crossing,
) -> None:
    """What was read is handed on in whole MiB; the rest of a started one is asked for again."""
    mib = 1 << 20
    crossing.hub.repos[REPO].commit({"model.safetensors": synthetic(4 * mib)})
    digest = undisturbed(crossing)
    # The first request looks at the header, and ends before that.
    crossing.cdn.arm([Rule(ResetDownload(2 * mib + 5), "GET", times=2)])
    assert str(crossing.ferry().document.digest) == digest
    assert [e.range for e in crossing.hub.cdn_log] == [LOOK, None, f"bytes={2 * mib}-"]
    assert crossing.ranges() == ["", ""]


@pytest.mark.parametrize("at", [1024, 400_000, LAYER - 1])
def test_a_registry_that_proves_its_offset_is_sent_only_the_rest(
    crossing: Crossing, at: int
) -> None:
    digest = undisturbed(crossing)
    crossing.front.arm([Rule(ResetUpload(at), "PATCH", UPLOADS)])
    result = crossing.ferry()
    assert (str(result.document.digest), result.results[0].retries) == (digest, 0)
    whole, rest, config = crossing.ranges()
    # A reset takes along what the registry had not read yet.
    assert 0 < int(rest.removesuffix(f"-{LAYER - 1}")) <= at
    assert (whole, config) == ("", "")


@pytest.mark.parametrize("name", ["distribution 2.8", "zot", "quay", "ecr"])
def test_a_registry_that_proves_nothing_is_sent_the_blob_again(
    crossing: Crossing, name: str
) -> None:
    crossing.registry.personality = PERSONALITIES[name]
    digest = undisturbed(crossing)
    crossing.front.arm([Rule(ResetUpload(400_000), "PATCH", UPLOADS)])
    assert str(crossing.ferry().document.digest) == digest
    layers = [e for e in crossing.registry.log if e.method == "PATCH" and e.received == LAYER]
    assert [e.headers.get("content-range") for e in layers] == [None]


@pytest.mark.parametrize("action", [DropReply(), Answer(504, forward=True)])
def test_a_put_that_happened_but_was_not_heard_is_settled_by_asking_for_the_blob(
    crossing: Crossing, action: Answer | DropReply
) -> None:
    digest = undisturbed(crossing)
    crossing.front.arm([Rule(action, "PUT", UPLOADS)])
    result = crossing.ferry()
    assert (str(result.document.digest), result.results[0].retries) == (digest, 0)
    methods = [e.method for e in crossing.front.log if "/blobs/" in e.path]
    put = methods.index("PUT")
    assert methods[put : put + 2] == ["PUT", "HEAD"]
    assert crossing.hub.body_bytes() == FIRST_READ + SIZE


@pytest.mark.parametrize("action", [DropRequest(), Answer(504)])
def test_a_put_that_never_arrived_costs_no_second_upload(
    crossing: Crossing, action: Answer | DropRequest
) -> None:
    digest = undisturbed(crossing)
    crossing.front.arm([Rule(action, "PUT", UPLOADS, times=2)])
    assert str(crossing.ferry().document.digest) == digest
    assert crossing.hub.body_bytes() == FIRST_READ + SIZE


def test_a_byte_that_the_way_to_the_registry_changed_is_sent_again(crossing: Crossing) -> None:
    digest = undisturbed(crossing)
    invalid = Answer(400, body=b'{"errors": [{"code": "DIGEST_INVALID"}]}')
    crossing.front.arm([Rule(invalid, "PUT", UPLOADS)])
    result = crossing.ferry()
    assert (str(result.document.digest), result.results[0].retries) == (digest, 1)


def test_tokens_that_run_out_between_requests_are_replaced_before_each(
    hub: Hub, registry_bearer: Registry
) -> None:
    hub.add(REPO, {"model.safetensors": WEIGHTS})
    assert registry_bearer.tokens is not None
    # Shorter than the margin before its end: every request must ask for a new one.
    registry_bearer.tokens.lifetime_s = 5
    result = ferry(from_hub(hub), to_registry(registry_bearer))
    assert registry_bearer.tags(REPO) == {"v1": str(result.document.digest)}
    refused = [line for line in registry_bearer.log if line.status == 401]
    granted = [line for line in registry_bearer.log if line.status != 401]
    assert len(refused) == 1
    assert len(registry_bearer.tokens.log) >= len(granted)


def test_a_registry_that_stumbles_over_a_rival_build_is_asked_again(crossing: Crossing) -> None:
    digest = undisturbed(crossing)
    invalid = Answer(400, body=b'{"errors": [{"code": "DIGEST_INVALID"}]}')
    crossing.front.arm([Rule(invalid, "PUT", "/manifests/", times=2)])
    assert str(crossing.ferry().document.digest) == digest
