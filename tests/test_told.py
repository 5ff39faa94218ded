"""What happens at a registry is told: once, by whom, and without waiting for it longer than due."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from ferrying import (
    ANY,
    access,
    carferry,
    ferry,
    from_folder,
    quick,
    to_layout,
    to_registry,
)
from servers.chaos import Answer, Rule
from servers.models import filled, tiny, write
from servers.proxy import Proxy
from servers.registry import Registry
from waiting import failure

from carferry.assembly.build import seal_shares, stream_share
from carferry.assembly.options import Options
from carferry.errors import CarferryError
from carferry.io.net.http import Timeouts
from carferry.io.net.retry import Retry
from carferry.io.show.progress import Silent
from carferry.pipelines.server import requests
from carferry.pipelines.server.endpoint import Endpoint
from carferry.refs import Digest, ImageRef
from carferry.registry.blobs import check_blobs, put_blob
from carferry.registry.upload import RegistryUpload

LARGE_BYTES = 50_000
OPTIONS = Options(base="scratch", patterns=ANY, large_bytes=LARGE_BYTES)
WEIGHTS = {f"model-{n}.safetensors": filled(60_000 + n, n) for n in range(4)}


class Told(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a line."""
        self.notes.append(text)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry; every test uses a repository of its own."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of several layers."""
    return write({**tiny(), **WEIGHTS}, tmp_path_factory.mktemp("model"))


def sealed(folder: Path, proxy: Proxy, repository: str, retry: Retry) -> list[str]:
    """Build by two workers, and return what the sealer notes."""
    given, told = access(proxy.host, retry=retry), Told()
    target = given.open(ImageRef(proxy.host, repository, "v1"), write=True)
    for worker in (1, 2):
        stream_share(from_folder(folder), target, OPTIONS, worker, 2, access=given)
    seal_shares(from_folder(folder), target, OPTIONS, access=given, progress=told)
    return told.notes


# Shard tags that stay


@pytest.mark.parametrize("status", [403, 405])
def test_shard_tags_that_may_not_be_deleted_are_told_once_with_their_count(
    status: int, shared: Registry, folder: Path
) -> None:
    with Proxy(shared.url, [Rule(Answer(status), "DELETE", "/manifests/", times=None)]) as proxy:
        notes = sealed(folder, proxy, f"stay/at{status}", quick())
    said = [note for note in notes if "carferry-shard-" in note]
    assert len(said) == 1
    assert re.match(r"2 tags carferry-shard-[0-9a-f]+-\* of workers stay at ", said[0])


def test_shard_tags_that_are_gone_are_not_told(shared: Registry, folder: Path) -> None:
    with Proxy(shared.url) as proxy:
        notes = sealed(folder, proxy, "stay/none", quick())
    assert [note for note in notes if "carferry-shard-" in note] == []


def test_a_list_that_fails_after_the_tag_has_moved_is_asked_for_once(
    shared: Registry, folder: Path
) -> None:
    class AfterTag(Proxy):
        def actions(self, method: str, path: str) -> tuple:  # type: ignore[type-arg]
            listed = method == "GET" and "/tags/list" in path
            if listed and "v1" in shared.tags("list/late"):
                return (Answer(500),)
            return super().actions(method, path)

    with AfterTag(shared.url) as proxy:
        start = time.monotonic()
        notes = sealed(folder, proxy, "list/late", quick(base_s=2.0, cap_s=30.0))
        assert len([e for e in proxy.log if "/tags/list" in e.path and e.status == 500]) == 1
    assert time.monotonic() - start < 20
    assert any("may stay at" in note for note in notes)


def test_a_registry_that_dies_is_asked_twice_more_to_keep_what_had_arrived(
    shared: Registry, folder: Path
) -> None:
    rules = [
        Rule(Answer(503), method="PATCH", first=2, times=None),
        Rule(Answer(503), method="PUT", path="/manifests/", times=None),
        Rule(Answer(503), method="HEAD", path=str(Digest.of(b"{}")), times=None),
    ]
    with Proxy(shared.url, rules) as proxy:
        given = access(proxy.host)
        target = given.open(ImageRef(proxy.host, "dead/late", "v1"), write=True)
        one = replace(OPTIONS, parallel=1)
        with pytest.raises(CarferryError, match="503"):
            stream_share(from_folder(folder), target, one, 1, 1, access=given)
        kept = [e for e in proxy.log if e.status == 503 and e.method != "PATCH"]
    assert 0 < len(kept) <= 2


# Mounts


def test_a_push_tells_once_that_nothing_is_mounted(shared: Registry, folder: Path) -> None:
    ferry(from_folder(folder), to_registry(shared, "told/from"), large_bytes=LARGE_BYTES)
    rule = Rule(Answer(403), method="POST", path="mount=", times=None)
    with Proxy(shared.url, [rule]) as proxy:
        told, given = Told(), access(proxy.host)
        from carferry.registry.copy import copy_image

        copy_image(
            given.open(ImageRef(proxy.host, "told/from", "v1")),
            given.open(ImageRef(proxy.host, "told/to", "v1"), write=True),
            parallel=4,
            retry=quick(),
            progress=told,
        )
    said = [note for note in told.notes if "mounted" in note]
    assert said == [f"nothing is mounted from {proxy.host}/told/from:v1 here: its layers are moved"]


# The tag that is there


def test_a_plan_and_a_build_say_that_a_tag_will_name_another_image(
    shared: Registry, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write({**tiny(), "more.safetensors": filled(60_000, 9)}, tmp_path / "other")
    held = ferry(from_folder(other), to_registry(shared, "told/tag")).document.digest
    image, options = f"docker://{shared.host}/told/tag:v1", ("--base", "scratch")
    remark = f"the tag v1 names {held} now, and will name the new image"
    given = (folder, image, *options, "--allow-no-weights", "--plain-http", shared.host)
    planned = carferry(capsys, "plan", *given)
    assert remark in planned.out, planned.err
    built = carferry(capsys, "build", *given)
    assert (built.code, remark in built.err + built.out) == (0, True)
    for command in ("plan", "build"):
        again = carferry(capsys, command, *given)
        assert "will name the new image" not in again.out + again.err


def test_a_push_says_before_the_blobs_that_a_tag_will_name_another_image(
    shared: Registry, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write({**tiny(), "more.safetensors": filled(60_000, 9)}, tmp_path / "other")
    held = ferry(from_folder(other), to_registry(shared, "told/push")).document.digest
    ferry(from_folder(folder), to_layout(tmp_path / "layout"))
    given = (f"oci:{tmp_path / 'layout'}:v1", f"docker://{shared.host}/told/push:v1")
    pushed = carferry(capsys, "push", *given, "--plain-http", shared.host)
    lines = pushed.err.splitlines()
    remark = f"the tag v1 names {held} now, and will name the new image"
    assert (pushed.code, lines[0]) == (0, remark)
    assert "blob" in lines[1]
    again = carferry(capsys, "push", *given, "--plain-http", shared.host)
    assert "will name the new image" not in again.out + again.err


# Storage behind the registry

EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_storage_that_refuses_is_named_and_the_login_is_not(
    status: int, shared: Registry, tmp_path: Path
) -> None:
    digest = put_blob(to_registry(shared, "told/blob"), b"{}")
    with Proxy(shared.url, [Rule(Answer(status, {}, EXPIRED), times=None)]) as storage:
        away = Answer(307, {"Location": f"{storage.endpoint}/bucket/blob?X-Amz-Signature=secret"})
        rule = Rule(away, method="GET", path="/blobs/sha256", times=None)
        with Proxy(shared.url, [rule]) as proxy:
            target = to_registry(shared, "told/blob", host=proxy.host)
            with pytest.raises(CarferryError) as caught:
                b"".join(target.open_blob(digest))
            asked = len(storage.log)
    said = str(caught.value)
    assert f"{storage.host}, where the registry keeps this, said AccessDenied" in said
    assert "this is not about the login" in said
    assert not re.search(r"podman login|check the login|rights|secret|check name", said)
    assert asked == 2


def test_a_link_that_has_run_out_is_asked_for_again(shared: Registry) -> None:
    digest = put_blob(to_registry(shared, "told/link"), b"{}")
    with Proxy(shared.url, [Rule(Answer(403, {}, EXPIRED))]) as storage:
        path = f"/v2/told/link/blobs/{digest}"
        away = Answer(307, {"Location": storage.endpoint + path})
        with Proxy(shared.url, [Rule(away, "GET", "/blobs/sha256", times=None)]) as proxy:
            target = to_registry(shared, "told/link", host=proxy.host)
            assert b"".join(target.open_blob(digest)) == b"{}"
            assert len([e for e in proxy.log if e.method == "GET" and "/blobs/" in e.path]) == 2


# Lines of many threads


def test_many_threads_that_are_refused_at_once_say_one_line() -> None:
    lines: list[str] = []
    retry = Retry(attempts=2, base_s=0.5, report=lines.append)

    def work() -> None:
        with suppress(CarferryError):
            retry.call(refused)

    def refused() -> None:
        raise failure()

    with ThreadPoolExecutor(16) as pool:
        for _ in range(16):
            pool.submit(work)
    assert len(lines) == 1
    assert lines[0].endswith("try 2 of 2 (16 streams)")


# A commit that is never answered


def test_a_commit_that_is_never_answered_gets_its_time_once(shared: Registry) -> None:
    limits: list[float] = []
    now = [0.0]

    class Deaf:
        timeouts = Timeouts()
        half_of_all = 3

        def tries(self, most: int):  # type: ignore[no-untyped-def]
            return quick().tries(most)

        def call(self, method: str, url: str, *, timeouts: Timeouts, **more: object) -> None:
            limits.append(timeouts.read_s)
            now[0] += timeouts.read_s
            raise failure()

    upload = RegistryUpload(
        Deaf(),
        "http://x/y",
        60 * 10**9,
        lambda _: None,
        clock=lambda: now[0],  # type: ignore[arg-type]
    )
    with pytest.raises(CarferryError) as caught:
        upload.commit(Digest("0" * 64))
    assert limits == [1800.0, 60.0, 60.0]
    assert caught.value.tries >= 3


# Ctrl-C while many questions wait


def test_questions_that_wait_for_the_next_try_end_at_once_when_stopped(shared: Registry) -> None:
    with Proxy(shared.url, [Rule(Answer(503), "HEAD", times=None)]) as proxy:
        retry = Retry(base_s=20.0)
        target = access(proxy.host, retry=retry).open(ImageRef(proxy.host, "stop/it", "v1"))
        blobs = ferry(from_folder_of(shared), to_registry(shared, "stop/it")).document.layers
        threading.Timer(1.0, retry.stop.set).start()
        start = time.monotonic()
        with pytest.raises(CarferryError):
            check_blobs(target, blobs, retry)
    assert time.monotonic() - start < 5


def from_folder_of(server: Registry):  # type: ignore[no-untyped-def]
    """Return a small model beside a registry's files."""
    return from_folder(write({**tiny(), **WEIGHTS}, server.root / "model"))


# The pipelines server


@pytest.mark.parametrize("after", [{}, {"Retry-After": "1"}])
def test_a_pipelines_server_that_answers_503_is_asked_once(
    shared: Registry, after: dict[str, str]
) -> None:
    with Proxy(shared.url, [Rule(Answer(503, after), times=None)]) as proxy:
        server = requests.connect(Endpoint(proxy.endpoint, "models"))
        with pytest.raises(CarferryError, match="503"):
            server.call(server.pipelines.pipeline_service_list_pipelines)
        assert len(proxy.log) == 1


# What is no registry

PAGE = b"<!DOCTYPE html><html><head><title>Sign in to SSO</title></head></html>"


@pytest.mark.parametrize("path", ["/tags/list", "/manifests/"])
def test_a_login_page_in_the_place_of_a_document_is_told(path: str, shared: Registry) -> None:
    page = Answer(200, {"Content-Type": "text/html"}, PAGE)
    with Proxy(shared.url, [Rule(page, "GET", path, times=None)]) as proxy:
        target = to_registry(shared, "told/page", host=proxy.host)
        with pytest.raises(CarferryError) as caught:
            target.tags() if "tags" in path else target.get_manifest("v1")
    said = str(caught.value)
    assert f"{proxy.host} answered with a web page: Sign in to SSO; is {proxy.host} the" in said


def test_who_sends_on_to_a_host_that_is_not_there_is_told(shared: Registry) -> None:
    away = Answer(302, {"Location": "http://127.0.0.1:9/login"})
    with Proxy(shared.url, [Rule(away, "GET", "/manifests/", times=None)]) as proxy:
        target = to_registry(shared, "told/page", host=proxy.host)
        with pytest.raises(CarferryError, match=rf"\({proxy.host} sends on to it\)"):
            target.get_manifest("v1")
