"""The chaos proxy passes everything on, breaks what its rules name, and records it."""

from __future__ import annotations

import hashlib
import http.client
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download
from servers.chaos import (
    Action,
    Answer,
    DropReply,
    DropRequest,
    EditReply,
    FlipByte,
    IgnoreRange,
    ResetDownload,
    ResetUpload,
    Rule,
    StallDownload,
    StallReply,
    StallUpload,
    Throttle,
    Truncate,
    change_etag,
)
from servers.denying import denying
from servers.hub import Hub
from servers.images import write_layout
from servers.proxy import Proxy
from servers.registry import Registry

BODY = b"0123456789" * 100
PATH = "/org/tiny/resolve/main/notes.txt"
Answered = tuple[int, dict[str, str], bytes]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy in front of a hub that holds one small file."""
    with Hub(redirects=False) as hub, Proxy(hub.endpoint) as front:
        hub.add("org/tiny", {"notes.txt": BODY})
        yield front


def ask(
    proxy: Proxy, path: str = PATH, method: str = "GET", body: bytes | None = None, **headers: str
) -> Answered:
    """Ask once on a new connection."""
    connection = http.client.HTTPConnection(proxy.host, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()


def test_without_rules_everything_passes_on_one_connection(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection(proxy.host, timeout=10)
    for _ in range(3):
        connection.request("GET", PATH, headers={"Range": "bytes=5-9"})
        response = connection.getresponse()
        assert (response.status, response.read()) == (206, b"56789")
    connection.close()
    assert [(e.method, e.path, e.range, e.status, e.sent) for e in proxy.log] == [
        ("GET", PATH, "bytes=5-9", 206, 5)
    ] * 3


@pytest.mark.parametrize(("at", "received"), [(0, 0), (10, 10), (-1, 999)])
@pytest.mark.parametrize("action", [ResetDownload, Truncate])
def test_a_response_body_is_cut_at_the_byte_given(
    proxy: Proxy, action: type[ResetDownload] | type[Truncate], at: int, received: int
) -> None:
    proxy.rules = [Rule(action(at))]
    connection = http.client.HTTPConnection(proxy.host, timeout=10)
    connection.request("GET", PATH)
    response = connection.getresponse()
    got = b"".join(iter(lambda: _read1(response), b""))
    connection.close()
    assert got == BODY[:received]
    assert [e.actions for e in proxy.log] == [(action(at),)]


def _read1(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(7)
    except ConnectionError:
        return b""


def test_a_reset_is_not_an_orderly_end(proxy: Proxy) -> None:
    proxy.rules = [Rule(ResetDownload(10)), Rule(Truncate(10), first=2)]
    with pytest.raises(ConnectionResetError):
        ask(proxy)
    with pytest.raises(http.client.IncompleteRead):
        ask(proxy)


def test_a_dropped_reply_still_happened_upstream(proxy: Proxy) -> None:
    proxy.rules = [Rule(DropReply())]
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        ask(proxy)
    assert ask(proxy)[2] == BODY


@pytest.mark.parametrize("status", [401, 413, 429, 503, 504])
def test_an_answer_in_the_place_of_the_upstream(proxy: Proxy, status: int) -> None:
    proxy.rules = [Rule(Answer(status, {"Retry-After": "3"}, b"no"))]
    got, headers, body = ask(proxy)
    assert (got, headers["retry-after"], body) == (status, "3", b"no")
    assert ask(proxy)[0] == 200


def test_only_the_nth_matching_request_is_hit(proxy: Proxy) -> None:
    proxy.rules = [Rule(Answer(503), method="GET", path="notes", first=2, times=2)]
    assert [ask(proxy, method="HEAD")[0] for _ in range(2)] == [200, 200]
    assert [ask(proxy)[0] for _ in range(4)] == [200, 503, 503, 200]


def test_the_same_seed_draws_the_same_faults(proxy: Proxy) -> None:
    def run() -> list[int]:
        rule = Rule(Answer(503), times=None, chance=0.5)
        with Proxy(proxy.upstream, [rule], seed=7) as front:
            return [ask(front)[0] for _ in range(20)]

    first = run()
    assert set(first) == {200, 503}
    assert run() == first


def test_a_range_request_may_get_the_whole_file(proxy: Proxy) -> None:
    proxy.rules = [Rule(IgnoreRange())]
    status, _, body = ask(proxy, Range="bytes=5-9")
    assert (status, body) == (200, BODY)


def test_a_flipped_byte_keeps_the_length(proxy: Proxy) -> None:
    proxy.rules = [Rule(FlipByte(-1))]
    body = ask(proxy)[2]
    assert (len(body), body[:-1], body[-1] == BODY[-1]) == (len(BODY), BODY[:-1], False)


def test_headers_of_a_reply_can_be_rewritten(proxy: Proxy) -> None:
    proxy.rules = [
        Rule(change_etag('"other"')),
        Rule(EditReply(lambda head: head.with_("Range", "0-0"))),
    ]
    headers = ask(proxy)[1]
    assert (headers["etag"], headers["range"]) == ('"other"', "0-0")


@pytest.mark.parametrize(
    "action", [StallReply(0.3), StallDownload(0.3, at=500), Throttle(len(BODY) * 4)]
)
def test_a_slow_exchange_is_complete(proxy: Proxy, action: Action) -> None:
    proxy.rules = [Rule(action)]
    started = time.monotonic()
    body = ask(proxy)[2]
    assert body == BODY
    assert 0.2 < time.monotonic() - started < 5


def test_a_dropped_request_never_reaches_the_upstream() -> None:
    with Hub() as hub, Proxy(hub.endpoint, [Rule(DropRequest())]) as proxy:
        with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
            ask(proxy)
        assert hub.log == []


def test_a_stalled_exchange_does_not_hold_up_the_end() -> None:
    started = time.monotonic()
    with Hub() as hub, Proxy(hub.endpoint, [Rule(StallReply(60))]) as proxy:
        connection = http.client.HTTPConnection(proxy.host, timeout=0.1)
        connection.request("GET", PATH)
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
    assert time.monotonic() - started < 20


def test_an_early_refusal_of_the_upstream_reaches_the_client(registry_basic: Registry) -> None:
    with Proxy(registry_basic.url) as proxy:
        status = ask(proxy, "/v2/org/a/blobs/uploads/x", "PATCH", b"x" * (32 << 20))[0]
    assert status == 401


def test_an_upload_may_stall_and_still_arrive(registry: Registry) -> None:
    with Proxy(registry.url, [Rule(StallUpload(0.3, at=-1), method="PATCH")]) as proxy:
        location = ask(proxy, "/v2/org/a/blobs/uploads/", "POST")[1]["location"]
        started = time.monotonic()
        headers = ask(proxy, location, "PATCH", b"x" * 5000)[1]
    assert headers["range"] == "0-4999"
    assert time.monotonic() - started >= 0.3


def test_an_upload_is_reset_after_n_bytes(registry: Registry) -> None:
    with Proxy(registry.url, [Rule(ResetUpload(1000), method="PATCH")]) as proxy:
        location = ask(proxy, "/v2/org/a/blobs/uploads/", "POST")[1]["location"]
        assert location.startswith(proxy.endpoint)
        with pytest.raises(ConnectionError):
            ask(proxy, location, "PATCH", b"x" * 5000)
        received = [e.received for e in proxy.log if e.method == "PATCH"]
    assert received[0] >= 1000
    assert [a.status for a in registry.log if a.method == "PATCH"] != [202]


def test_a_refusal_may_come_before_the_body_was_read(registry: Registry) -> None:
    rule = Rule(Answer(413, body=b"too large", drain=False), method="PATCH")
    with Proxy(registry.url, [rule]) as proxy:
        location = ask(proxy, "/v2/org/a/blobs/uploads/", "POST")[1]["location"]
        assert ask(proxy, location, "PATCH", b"x" * 5000)[2] == b"too large"
        assert [e.received for e in proxy.log if e.method == "PATCH"] == [0]


def test_a_504_may_hide_an_upload_that_happened(registry: Registry) -> None:
    blob = b"y" * 100_000
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    with Proxy(registry.url, [Rule(Answer(504, forward=True), method="PUT")]) as proxy:
        location = ask(proxy, "/v2/org/a/blobs/uploads/", "POST")[1]["location"]
        status = ask(proxy, f"{location}&digest={digest}", "PUT", blob)[0]
    assert status == 504
    assert registry.blobs()[digest].read_bytes() == blob


def test_chunked_bodies_pass_both_ways(registry: Registry) -> None:
    with Proxy(registry.url) as proxy:
        location = ask(proxy, "/v2/org/a/blobs/uploads/", "POST")[1]["location"]
        connection = http.client.HTTPConnection(proxy.host, timeout=10)
        pieces = (bytes([n]) * 70_000 for n in range(10))
        connection.request("PATCH", location, body=pieces, encode_chunked=True)
        response = connection.getresponse()
        response.read()
        connection.close()
    assert (response.status, response.headers["Range"]) == (202, "0-699999")


def test_skopeo_pushes_and_pulls_through_the_proxy(
    registry: Registry, tmp_path: Path, tools: Callable[..., str]
) -> None:
    digest = write_layout(tmp_path / "in", [b"\0" * (3 << 20)])
    with Proxy(registry.url) as proxy:
        copy = [tools("skopeo"), "--insecure-policy", "copy", "--quiet", "--preserve-digests"]
        plain = ["--dest-tls-verify=false", "--src-tls-verify=false", "--dest-compress=false"]
        away = [f"oci:{tmp_path / 'in'}:latest", f"docker://{proxy.host}/org/a:v1"]
        back = [away[1], f"oci:{tmp_path / 'out'}:latest"]
        for ends in (away, back):
            done = subprocess.run(
                [*copy, *plain, *ends], capture_output=True, text=True, check=False, timeout=60
            )
            assert (done.returncode, done.stderr) == (0, "")
        assert sum(e.received for e in proxy.log if e.method == "PATCH") > 3 << 20
    assert registry.tags("org/a") == {"v1": digest}


def test_a_denying_front_refuses_pushes_and_allows_pulls(
    registry: Registry, tmp_path: Path, tools: Callable[..., str]
) -> None:
    write_layout(tmp_path / "in", [b"\0" * 1024])
    copy = [tools("skopeo"), "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]
    with denying(registry.url) as front:
        source, target = f"oci:{tmp_path / 'in'}:latest", f"docker://{front.host}/org/a:v1"
        done = subprocess.run([*copy, source, target], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert re.search("denied", done.stderr, re.IGNORECASE)
        assert ask(front, "/v2/")[0] == 200


def test_a_proxy_before_the_cdn_lets_the_client_resume_a_broken_download() -> None:
    held = constants.DOWNLOAD_CHUNK_SIZE  # the client keeps whole chunks of what it got
    model = b"w" * (held + 300_000)
    with Hub() as hub, Proxy(hub.cdn_endpoint) as front:
        hub.cdn_endpoint = front.endpoint
        hub.add("org/big", {"model.safetensors": model})
        front.rules = [Rule(Truncate(-100_000), method="GET")]
        path = hf_hub_download("org/big", "model.safetensors", endpoint=hub.endpoint)
        assert [(e.range, e.status, e.sent) for e in front.log] == [
            (None, 200, held + 200_000),
            (f"bytes={held}-", 206, 300_000),
        ]
    assert Path(path).read_bytes() == model
