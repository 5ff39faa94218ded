"""What breaks on the way to or from each kind of registry, and what is made of it."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ferrying import blob, ferry, from_folder, manifest, to_registry
from servers.chaos import (
    Action,
    Answer,
    DropReply,
    EditRequest,
    FlipByte,
    ResetDownload,
    ResetUpload,
    Rule,
)
from servers.models import filled, write
from servers.proxy import Proxy
from servers.registry import Registry
from servers.registry_programs import KINDS, Kind
from servers.wire import Head

from carferry.errors import (
    TargetError,
)
from carferry.refs import Digest, ImageRef
from carferry.registry.target import Target, Upload

LARGE_BYTES = 50_000
SIZE = 700_000
UPLOADS = "/blobs/uploads/"
MODEL = {"config.json": b"{}", "model.safetensors": filled(SIZE, 1)}
BODY = os.urandom(100_000)
DIGEST = Digest.of(BODY)
# Debian's keeps what it cannot resume, and lets nobody cancel it: HTTP 404 to GET and DELETE.
RESUMES: dict[Kind, bool] = {"distribution2": False, "distribution3": True, "olareg": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with one large layer; it is not written to."""
    return write(MODEL, tmp_path_factory.mktemp("model"))


@pytest.fixture
def target(each_registry: Registry, request: pytest.FixtureRequest) -> Target:
    """A repository of one test."""
    return to_registry(each_registry, f"tests/{Digest.of(request.node.name.encode()).hex[:16]}")


def broken_off(each_registry: Registry, target: Target, sent: int) -> Upload:
    """Break an upload of BODY from this side, as Ctrl-C does, once so many bytes have arrived."""

    def interrupted() -> Iterator[bytes]:
        yield BODY[:sent]
        arrived(lambda sizes: sizes and sizes[0] > 0)
        raise KeyboardInterrupt

    def arrived(enough: Callable[[list[int]], object]) -> None:
        assert isinstance(target.ref, ImageRef)
        deadline = time.monotonic() + 5
        while not enough(
            [file.stat().st_size for file in each_registry.uploads(target.ref.repository)]
        ):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    upload = target.start_upload(len(BODY))
    with pytest.raises(KeyboardInterrupt):
        upload.send(interrupted())
    arrived(lambda sizes: sizes == [sent])
    return upload


def test_a_broken_upload_goes_on_where_the_registry_proves_how_far_it_came(
    each_registry: Registry, target: Target
) -> None:
    upload = broken_off(each_registry, target, 60_000)
    at = upload.offset()
    assert at == (60_000 if RESUMES[each_registry.kind] else None)
    if at is not None:
        upload.send([BODY[at:]], at)
        upload.commit(DIGEST)
        assert blob(target, DIGEST) == BODY


def test_an_upload_that_broke_and_is_given_up_leaves_nothing(
    each_registry: Registry, target: Target
) -> None:
    """Distribution 3 wants to be asked first; 2.8 keeps the bytes, whatever it is asked."""
    broken_off(each_registry, target, 60_000).cancel()
    assert isinstance(target.ref, ImageRef)
    left = each_registry.uploads(target.ref.repository)
    assert len(left) == (0 if RESUMES[each_registry.kind] else 1)


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
    each_registry: Registry, folder: Path, name: str
) -> None:
    repository, (method, action) = f"broken/{list(BREAKS).index(name)}", BREAKS[name]
    whole = ferry(
        from_folder(folder), to_registry(each_registry, "broken/not"), large_bytes=LARGE_BYTES
    )
    with Proxy(each_registry.url, [Rule(action, method, UPLOADS, times=2)]) as proxy:
        target = to_registry(each_registry, repository, host=proxy.host)
        done = ferry(from_folder(folder), target, large_bytes=LARGE_BYTES)
    assert done.document.digest == whole.document.digest
    assert each_registry.tags(repository) == {"v1": str(whole.document.digest)}
    if RESUMES[each_registry.kind]:
        assert each_registry.uploads(repository) == []


@pytest.mark.parametrize("action", [ResetDownload(30_000), FlipByte(30_000)])
def test_a_broken_download_is_read_again(
    each_registry: Registry, folder: Path, action: Action
) -> None:
    ferry(from_folder(folder), to_registry(each_registry, "read/again"), large_bytes=LARGE_BYTES)
    with Proxy(each_registry.url, [Rule(action, "GET", "/blobs/")]) as proxy:
        there = to_registry(each_registry, "read/again", host=proxy.host)
        again = ferry(from_folder(folder), there, large_bytes=LARGE_BYTES)
    assert again.document == manifest(to_registry(each_registry, "read/again"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_registry_whose_disk_takes_no_more_is_told_and_goes_on_when_it_does(
    kind: Kind, tmp_path: Path, folder: Path
) -> None:
    """A process that may write no larger files stands in for a full disk: it needs no rights."""
    with Registry(tmp_path / "registry", kind=kind) as server:
        unlimited = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (300_000, unlimited[1]))
        with pytest.raises(TargetError) as caught:
            ferry(from_folder(folder), to_registry(server), large_bytes=LARGE_BYTES)
        assert caught.value.status == 500
        assert "v1" not in server.tags("org/tiny")
        if RESUMES[kind]:
            assert server.uploads("org/tiny") == []
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)
        done = ferry(from_folder(folder), to_registry(server), large_bytes=LARGE_BYTES)
        assert server.tags("org/tiny")["v1"] == str(done.document.digest)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_registry_that_restarts_during_an_upload_breaks_nothing(
    kind: Kind, method: str, tmp_path: Path, folder: Path
) -> None:
    """Distribution finds its uploads again; olareg has forgotten them."""
    with ExitStack() as stack:
        running = ExitStack()
        stack.callback(lambda: running.close())

        def started() -> Registry:
            return running.enter_context(Registry(tmp_path / "registry", kind=kind))

        def restarted(head: Head) -> Head:
            running.close()
            proxy.upstream = started().url
            return head

        server = started()
        proxy = stack.enter_context(
            Proxy(server.url, [Rule(EditRequest(restarted), method, UPLOADS)])
        )
        target = to_registry(server, host=proxy.host)
        done = ferry(from_folder(folder), target, large_bytes=LARGE_BYTES, parallel=1)
        assert server.tags("org/tiny") == {"v1": str(done.document.digest)}
        assert server.uploads("org/tiny") == []
