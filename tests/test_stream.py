"""The stream engine: one pass, several layers at once, and whole images over broken wires."""

from __future__ import annotations

import gc
import hashlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ferrying import (
    REPO,
    access,
    ferry,
    from_folder,
    from_hub,
    left_behind,
    manifest,
    model_files,
    quick,
    to_layout,
    to_registry,
)
from servers.chaos import Action, Answer, DropReply, FlipByte, ResetDownload, ResetUpload, Rule
from servers.hub import Hub
from servers.models import filled, synthetic, tiny, write
from servers.proxy import Proxy
from servers.registry import Registry

from carferry.assembly.build import build
from carferry.assembly.options import Options
from carferry.errors import CarferryError, SourceChanged, TargetError
from carferry.image.layers import LARGE_BYTES
from carferry.io.show.progress import Silent
from carferry.selection.patterns import Patterns
from carferry.selection.select import take
from carferry.source.folder import FolderSource
from carferry.source.snapshot import SourceFile

SIZE = LARGE_BYTES + 3
# Of the tiny model's weights: behind the header, which is looked at before anything moves.
IN_BODY = len(tiny()["model.safetensors"]) - 100
MODEL = {
    "config.json": b"{}",
    "model-1.safetensors": synthetic(SIZE, 1),
    "model-2.safetensors": synthetic(SIZE, 2),
}


@pytest.fixture(scope="module")
def large() -> Iterator[Hub]:
    """A hub with a model of two large layers."""
    with Hub() as server:
        server.add(REPO, MODEL)
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry; every test uses a repository of its own."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def expected(large: Hub, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest that this model has whatever happens on the way."""
    target = to_layout(tmp_path_factory.mktemp("expected"))
    return str(ferry(from_hub(large), target).document.digest)


UPLOADS: dict[str, Action] = {
    "reset in the middle of a patch": ResetUpload(30 << 20),
    "answer to a patch lost": DropReply(),
    "503 to a patch": Answer(503),
    "429 to a patch": Answer(429, {"Retry-After": "0"}),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_a_broken_upload_ends_in_the_same_digest(
    name: str, large: Hub, shared: Registry, expected: str
) -> None:
    repository = f"broken/{list(UPLOADS).index(name)}"
    with Proxy(shared.url, [Rule(UPLOADS[name], method="PATCH")]) as proxy:
        target = to_registry(shared, repository, host=proxy.host)
        done = ferry(from_hub(large), target, parallel=3)
    assert str(done.document.digest) == expected
    assert shared.tags(repository) == {"v1": expected}


def test_a_broken_download_in_the_middle_of_an_upload_ends_in_the_same_digest(
    large: Hub, tmp_path: Path, expected: str
) -> None:
    straight, rule = large.cdn_endpoint, Rule(ResetDownload(20_000_000), method="GET", times=2)
    with Proxy(straight, [rule]) as proxy:
        large.cdn_endpoint = proxy.endpoint
        try:
            done = ferry(from_hub(large), to_layout(tmp_path / "layout"), parallel=2)
        finally:
            large.cdn_endpoint = straight
    assert str(done.document.digest) == expected
    assert done.moved_bytes == sum(layer.size_bytes for layer in done.document.layers)


def test_one_wrong_byte_on_the_wire_is_read_once_more(hub: Hub, tmp_path: Path) -> None:
    hub.add(REPO, tiny())
    # The first request looks at the header, the second reads the file.
    with Proxy(hub.cdn_endpoint, [Rule(FlipByte(IN_BODY), method="GET", times=2)]) as proxy:
        hub.cdn_endpoint = proxy.endpoint
        done = ferry(from_hub(hub), to_layout(tmp_path / "layout"))
    assert sum(result.retries for result in done.results) == 1
    assert model_files(to_layout(tmp_path / "layout")) == {
        path: hashlib.sha256(body).hexdigest() for path, body in tiny().items()
    }


def test_a_file_that_stays_wrong_is_given_up_and_nothing_is_tagged(
    hub: Hub, registry: Registry
) -> None:
    hub.add(REPO, tiny())
    with Proxy(hub.cdn_endpoint, [Rule(FlipByte(IN_BODY), method="GET", times=None)]) as proxy:
        hub.cdn_endpoint = proxy.endpoint
        with pytest.raises(SourceChanged, match=r"model\.safetensors"):
            ferry(from_hub(hub), to_registry(registry))
    assert registry.tags(REPO) == {}


def test_the_first_real_failure_is_the_one_that_is_raised(
    large: Hub, shared: Registry, tmp_path: Path
) -> None:
    """The other layers stop because of it; 'cancelled' would explain nothing."""
    refused = Rule(Answer(413, {}, b"too large"), method="PATCH")
    with Proxy(shared.url, [refused]) as proxy:
        target = to_registry(shared, "refused/large", host=proxy.host)
        with pytest.raises(TargetError, match=r"too large \(413\)"):
            ferry(from_hub(large), target, parallel=3)
    assert "v1" not in shared.tags("refused/large")


def test_a_layer_that_fails_for_good_leaves_no_upload_open(large: Hub, shared: Registry) -> None:
    refused = Rule(Answer(400), method="PUT", path="/blobs/", times=None)
    with Proxy(shared.url, [refused]) as proxy:
        target = to_registry(shared, "refused/put", host=proxy.host)
        with pytest.raises(TargetError):
            ferry(from_hub(large), target, parallel=1)
    folder = shared.root / "data/docker/registry/v2/repositories/refused/put/_uploads"
    assert list(folder.rglob("data")) == []


class Counted(FolderSource):
    """A folder that knows how many of its files are being read, and the most there were."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.open = self.most = 0

    def read(self, file: SourceFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            yield from super().read(file, start, stop)
        finally:
            self.open -= 1


def test_a_broken_upload_lets_go_of_what_it_was_reading(shared: Registry, tmp_path: Path) -> None:
    """urllib3's errors hold themselves in a cycle: the collector would close it some time later."""
    model = {"config.json": b"{}", "model.safetensors": filled(8 << 20)}
    source = Counted(write(model, tmp_path / "model"))
    take(source, Patterns())
    source.most = 0
    gc.disable()
    try:
        with Proxy(shared.url, [Rule(ResetUpload(1 << 20), method="PATCH", times=3)]) as proxy:
            ferry(source, to_registry(shared, "broken/reader", host=proxy.host), parallel=1)
    finally:
        gc.enable()
    # A plan looks at the config and the header at once; the upload reads one file at a time.
    assert source.open == 0 and source.most <= 2


class Interrupted(Silent):
    """Presses Ctrl-C once, as soon as bytes move; a second one would not wait for cleaning up."""

    def __init__(self) -> None:
        self._first = threading.Lock()

    def advance(self, name: str, size_bytes: int) -> None:
        if self._first.acquire(blocking=False):
            # A real signal: it wakes a waiting thread, as Ctrl-C does.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_an_interrupt_stops_all_layers_and_leaves_nothing(large: Hub, tmp_path: Path) -> None:
    """Python drops an interrupt that falls into a finalizer: those of earlier tests run before."""
    options, target = Options(base="scratch", patterns=Patterns()), to_layout(tmp_path / "layout")
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(KeyboardInterrupt):
            build(from_hub(large), target, options, access=access(), progress=Interrupted())
    finally:
        gc.enable()
    assert left_behind(tmp_path / "layout") == []


def test_a_run_after_one_that_failed_at_the_very_end_completes_the_image(
    large: Hub, shared: Registry, expected: str
) -> None:
    denied = Rule(Answer(400), method="PUT", path="/manifests/", times=None)
    with Proxy(shared.url, [denied]) as proxy:
        target = to_registry(shared, "resumed/model", host=proxy.host)
        with pytest.raises(CarferryError):
            ferry(from_hub(large), target)
        proxy.rules = []
        done = ferry(from_hub(large), target)
    assert str(done.document.digest) == expected


def test_a_rate_limited_registry_slows_the_build_and_does_not_break_it(
    shared: Registry, tmp_path: Path
) -> None:
    folder = write(tiny(), tmp_path / "model")
    limit = Answer(429, {"Retry-After": "0"})
    with Proxy(shared.url, [Rule(limit, chance=0.4, times=None)], seed=3) as proxy:
        target = to_registry(shared, "limited/model", host=proxy.host)
        given = access(proxy.host, retry=quick(attempts=20))
        target = given.open(target.ref, write=True)
        options = Options(base="scratch")
        done = build(from_folder(folder), target, options, access=given)
    assert shared.tags("limited/model") == {"v1": str(done.document.digest)}


def test_parallelism_does_not_show_in_the_digest(large: Hub, tmp_path: Path, expected: str) -> None:
    done = ferry(from_hub(large), to_layout(tmp_path / "layout"), parallel=8)
    assert str(done.document.digest) == expected
    assert manifest(to_layout(tmp_path / "layout")) == done.document
