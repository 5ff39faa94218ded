"""What each kind of registry refuses, limits and loses, and what is made of it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from ferrying import access, blob, carferry, ferry, from_folder, manifest, quick, to_registry
from servers.chaos import (
    Action,
    Answer,
    DropReply,
    EditReply,
    EditRequest,
    FlipByte,
    ResetDownload,
    ResetUpload,
    Rule,
)
from servers.models import filled, write
from servers.proxy import Proxy
from servers.registry import Auth, Registry
from servers.registry_programs import KINDS, Kind
from servers.wire import Head

from carferry.assembly.build import seal_shares, stream_share
from carferry.assembly.options import Options
from carferry.errors import (
    AuthenticationFailed,
    PushDenied,
    TargetError,
    Unreachable,
)
from carferry.oci.documents import LAYER, MANIFEST, Descriptor, Document, canonical
from carferry.refs import Digest, ImageRef
from carferry.registry.blobs import put_blob
from carferry.registry.target import Target, Upload

LARGE_BYTES = 50_000
SIZE = 700_000
UPLOADS = "/blobs/uploads/"
MODEL = {"config.json": b"{}", "model.safetensors": filled(SIZE, 1)}
BODY = os.urandom(100_000)
DIGEST = Digest.of(BODY)
# Debian's keeps what it cannot resume, and lets nobody cancel it: HTTP 404 to GET and DELETE.
RESUMES: dict[Kind, bool] = {"distribution2": False, "distribution3": True, "olareg": True}
LOGINS: list[tuple[Kind, Auth]] = [
    ("distribution2", "basic"),
    ("distribution2", "bearer"),
    ("distribution3", "basic"),
    ("distribution3", "bearer"),
]


@pytest.fixture(scope="module", params=KINDS)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """One registry of each kind; every test uses a repository of its own."""
    with Registry(tmp_path_factory.mktemp("registry"), kind=request.param) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with one large layer; it is not written to."""
    return write(MODEL, tmp_path_factory.mktemp("model"))


@pytest.fixture
def target(shared: Registry, request: pytest.FixtureRequest) -> Target:
    """A repository of one test."""
    return to_registry(shared, f"tests/{Digest.of(request.node.name.encode()).hex[:16]}")


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


# --- what breaks on the way


def broken_off(shared: Registry, target: Target, sent: int) -> Upload:
    """Break an upload of BODY from this side, as Ctrl-C does, once so many bytes have arrived."""

    def interrupted() -> Iterator[bytes]:
        yield BODY[:sent]
        arrived(lambda sizes: sizes and sizes[0] > 0)
        raise KeyboardInterrupt

    def arrived(enough: Callable[[list[int]], object]) -> None:
        assert isinstance(target.ref, ImageRef)
        deadline = time.monotonic() + 5
        while not enough([file.stat().st_size for file in shared.uploads(target.ref.repository)]):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    upload = target.start_upload(len(BODY))
    with pytest.raises(KeyboardInterrupt):
        upload.send(interrupted())
    arrived(lambda sizes: sizes == [sent])
    return upload


def test_a_broken_upload_goes_on_where_the_registry_proves_how_far_it_came(
    shared: Registry, target: Target
) -> None:
    upload = broken_off(shared, target, 60_000)
    at = upload.offset()
    assert at == (60_000 if RESUMES[shared.kind] else None)
    if at is not None:
        upload.send([BODY[at:]], at)
        upload.commit(DIGEST)
        assert blob(target, DIGEST) == BODY


def test_an_upload_that_broke_and_is_given_up_leaves_nothing(
    shared: Registry, target: Target
) -> None:
    """Distribution 3 wants to be asked first; 2.8 keeps the bytes, whatever it is asked."""
    broken_off(shared, target, 60_000).cancel()
    assert isinstance(target.ref, ImageRef)
    left = shared.uploads(target.ref.repository)
    assert len(left) == (0 if RESUMES[shared.kind] else 1)


BREAKS: dict[str, tuple[str, Action]] = {
    "at the first byte": ("PATCH", ResetUpload(0)),
    "in the tar header": ("PATCH", ResetUpload(1)),
    "in the middle": ("PATCH", ResetUpload(SIZE // 2)),
    "at the last byte": ("PATCH", ResetUpload(-1)),
    "answer to a patch lost": ("PATCH", DropReply()),
    "answer to a put lost": ("PUT", DropReply()),
    "503 to a patch": ("PATCH", Answer(503)),
    "503 to a put": ("PUT", Answer(503)),
    "500 to a patch that happened": ("PATCH", Answer(500, forward=True)),
    "500 to a put that happened": ("PUT", Answer(500, forward=True)),
}


@pytest.mark.parametrize("name", BREAKS)
def test_whatever_breaks_an_upload_the_image_is_the_same(
    shared: Registry, folder: Path, name: str
) -> None:
    repository, (method, action) = f"broken/{list(BREAKS).index(name)}", BREAKS[name]
    whole = ferry(from_folder(folder), to_registry(shared, "broken/not"), large_bytes=LARGE_BYTES)
    with Proxy(shared.url, [Rule(action, method, UPLOADS, times=2)]) as proxy:
        target = to_registry(shared, repository, host=proxy.host)
        done = ferry(from_folder(folder), target, large_bytes=LARGE_BYTES)
    assert done.document.digest == whole.document.digest
    assert shared.tags(repository) == {"v1": str(whole.document.digest)}
    if RESUMES[shared.kind]:
        assert shared.uploads(repository) == []


@pytest.mark.parametrize("action", [ResetDownload(30_000), FlipByte(30_000)])
def test_a_broken_download_is_read_again(shared: Registry, folder: Path, action: Action) -> None:
    ferry(from_folder(folder), to_registry(shared, "read/again"), large_bytes=LARGE_BYTES)
    with Proxy(shared.url, [Rule(action, "GET", "/blobs/")]) as proxy:
        there = to_registry(shared, "read/again", host=proxy.host)
        again = ferry(from_folder(folder), there, large_bytes=LARGE_BYTES)
    assert again.document == manifest(to_registry(shared, "read/again"))


# --- what the protocol leaves open


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


def test_an_empty_blob_is_a_blob(target: Target) -> None:
    assert blob(target, put_blob(target, b"")) == b""


def test_a_manifest_that_names_a_missing_blob_is_refused(target: Target) -> None:
    config = Descriptor("application/vnd.oci.image.config.v1+json", put_blob(target, b"{}"), 2)
    lost = naming(config, [Descriptor(LAYER, DIGEST, len(BODY))])
    with pytest.raises(TargetError, match="MANIFEST_BLOB_UNKNOWN"):
        target.put_manifest(lost, "v1")
    assert target.get_manifest("v1") is None


def test_a_mount_of_nothing_leaves_no_upload(shared: Registry, target: Target) -> None:
    assert target.mount(DIGEST, ImageRef(shared.host, "tests/never-used")) is False
    assert isinstance(target.ref, ImageRef)
    assert shared.uploads(target.ref.repository) == []


def test_what_is_not_there_is_missing(shared: Registry) -> None:
    nothing = to_registry(shared, "tests/never-used")
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
def test_tags_are_listed_over_many_pages(shared: Registry, name: str) -> None:
    """Olareg's header says ``rel=next``, distribution 3 quotes it, and 2.8 knows no pages."""
    target = to_registry(shared, "many/tags")
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
    with Proxy(shared.url, rules) as proxy:
        assert to_registry(shared, "many/tags", host=proxy.host).tags() == wanted
        assert len(proxy.log) == (1 if shared.kind == "distribution2" else 3)


def test_one_tag_is_deleted_and_another_of_the_same_image_stays(
    shared: Registry, target: Target
) -> None:
    document, other = image(target, [BODY]), image(target, [BODY, b"other"])
    target.put_manifest(document, "v1")
    target.put_manifest(other, "v2")
    assert target.delete_manifest("v1") is True
    assert target.get_manifest("v1") is None
    assert target.delete_manifest("v1") is True
    assert manifest(target, "v2") == other


def test_workers_at_once_lose_nothing(shared: Registry, folder: Path) -> None:
    """Olareg keeps one index for a repository: all of them change it at the same time."""
    given, options = access(shared.host), Options(base="scratch", large_bytes=LARGE_BYTES)

    def work(worker: int) -> None:
        target = to_registry(shared, "many/workers")
        stream_share(from_folder(folder), target, options, worker, 6, access=given)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(1, 7)))
    assert len(shared.tags("many/workers")) == 6
    seal_shares(from_folder(folder), to_registry(shared, "many/workers"), options, access=given)
    assert list(shared.tags("many/workers")) == ["v1"]


# --- what an operator forbids


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_may_be_deleted_the_shards_stay_and_the_image_is_whole(
    kind: Kind, tmp_path: Path, folder: Path
) -> None:
    """Distribution 3 deletes tags whatever its configuration says of deleting."""
    with Registry(tmp_path / "registry", kind=kind, deletes=False) as server:
        given, options = access(server.host), Options(base="scratch", large_bytes=LARGE_BYTES)
        for worker in (1, 2):
            target = to_registry(server)
            stream_share(from_folder(folder), target, options, worker, 2, access=given)
        done = seal_shares(from_folder(folder), to_registry(server), options, access=given)
        tags = server.tags("org/tiny")
        assert tags.pop("v1") == str(done.document.digest)
        assert len(tags) == (0 if kind == "distribution3" else 2)
        assert server.uploads("org/tiny") == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_only_registry_is_read_and_says_so_when_pushed_to(
    kind: Kind, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Registry(tmp_path / "registry", kind=kind) as server:
        ferry(from_folder(folder), to_registry(server), large_bytes=LARGE_BYTES)
    with Registry(tmp_path / "registry", kind=kind, read_only=True) as server:
        image, plain = f"docker://{server.host}/org/tiny:v1", ("--plain-http", server.host)
        scratch = ("--base", "scratch")
        for command in (
            ("push", image, f"oci:{tmp_path / 'layout'}:v1", *plain),
            ("plan", folder, image, *scratch, *plain),
            (
                "build",
                image.replace("docker", "oci"),
                f"oci:{tmp_path / 'again'}:v1",
                *scratch,
                *plain,
            ),
        ):
            assert carferry(capsys, *command).code == 0, command
        for command in (
            ("build", folder, image, *scratch, *plain),
            ("push", f"oci:{tmp_path / 'layout'}:v1", image, *plain),
        ):
            refused = carferry(capsys, *command)
            assert refused.code == 1
            assert "read-only" in refused.err
            assert len(refused.err.strip().splitlines()) == 1


def test_a_registry_that_limits_requests_is_waited_for(tmp_path: Path, folder: Path) -> None:
    with Registry(tmp_path / "registry", kind="olareg", requests_per_s=8) as server:
        given = access(server.host, retry=quick(asked_cap_s=2.0))
        options = Options(base="scratch", large_bytes=LARGE_BYTES)
        target = given.open(ImageRef(server.host, "org/tiny", "v1"), write=True)
        stream_share(from_folder(folder), target, options, 1, 1, access=given)
        done = seal_shares(from_folder(folder), target, options, access=given)
        assert server.tags("org/tiny") == {"v1": str(done.document.digest)}
        assert 429 in {asked.status for asked in server.log}


# --- logins and TLS


@pytest.mark.parametrize(("kind", "auth"), LOGINS)
def test_a_login_carries_a_build_and_a_wrong_one_is_told(
    kind: Kind, auth: Auth, tmp_path: Path, folder: Path
) -> None:
    with Registry(tmp_path / "registry", kind=kind, auth=auth) as server:
        done = ferry_with(server, folder, server.auth_file)
        assert server.tags("org/tiny") == {"v1": done}
        nobody = tmp_path / "nobody.json"
        nobody.write_text("{}")
        with pytest.raises(AuthenticationFailed, match="no login was found"):
            ferry_with(server, folder, nobody)
        wrong = server.auth_file.with_name("wrong.json")
        wrong.write_text(server.auth_file.read_text().replace('"auth": "', '"auth": "AAAA'))
        with pytest.raises(AuthenticationFailed, match="check the login"):
            ferry_with(server, folder, wrong)


@pytest.mark.parametrize("kind", ["distribution2", "distribution3"])
def test_a_login_that_may_only_pull_is_told_that_it_may_not_push(
    kind: Kind, tmp_path: Path, folder: Path
) -> None:
    with Registry(tmp_path / "registry", kind=kind, auth="bearer") as server:
        assert server.tokens is not None
        ferry_with(server, folder, server.auth_file)
        server.tokens.only = frozenset({"pull"})
        given = access(server.host, auth_file=server.auth_file)
        assert given.open(ImageRef(server.host, "org/tiny", "v1")).get_manifest("v1") is not None
        with pytest.raises((PushDenied, AuthenticationFailed)):
            ferry_with(server, folder, server.auth_file, "v2")
        assert list(server.tags("org/tiny")) == ["v1"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_of_the_site_is_trusted_when_named(kind: Kind, tmp_path: Path) -> None:
    with Registry(tmp_path / "registry", kind=kind, tls=True) as server:
        assert server.certificates is not None
        ref = ImageRef(server.host, "org/tiny", "v1")
        given = access(ca_file=server.certificates.ca)
        assert put_blob(given.open(ref, write=True), BODY) == DIGEST
        with pytest.raises(Unreachable, match="certificate"):
            access().open(ref).tags()


def ferry_with(server: Registry, folder: Path, auth_file: Path, tag: str = "v1") -> str:
    """Build with the logins of a file."""
    given = access(server.host, auth_file=auth_file)
    target = given.open(ImageRef(server.host, "org/tiny", tag), write=True)
    options = Options(base="scratch", large_bytes=LARGE_BYTES)
    stream_share(from_folder(folder), target, options, 1, 1, access=given)
    return str(seal_shares(from_folder(folder), target, options, access=given).document.digest)
