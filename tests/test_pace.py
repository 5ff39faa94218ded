"""Answers that come drop by drop or never end: they end in a line, within a time and a size."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import urllib3
from ferrying import quick
from urllib3.exceptions import HTTPError

from carferry.errors import Unreachable
from carferry.io.net import bodies
from carferry.io.net.http import Http, Timeouts
from carferry.io.net.pace import HEAD_BYTES, Limits, Paced, TooLong, TooSlow, paced
from carferry.refs import ImageRef
from carferry.registry.access import Access

# Shorter than a test may take, longer than a busy machine pauses.
SHORT = Timeouts(connect_s=2.0, read_s=0.5, commit_s=0.5)
OK = b"HTTP/1.1 200 OK\r\n"
Talk = Callable[[socket.socket], None]


@contextmanager
def server(talk: Talk) -> Iterator[str]:
    """Serve each connection by what is done with its socket, until the client hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_talk, args=(client, talk), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def _talk(client: socket.socket, talk: Talk) -> None:
    with client:
        try:
            client.recv(65536)
            talk(client)
        except OSError:
            pass


def says(first: bytes, more: bytes, pause_s: float = 0.0) -> Talk:
    """Say one thing, and then another again and again."""

    def talk(client: socket.socket) -> None:
        client.sendall(first)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            client.sendall(more)
            time.sleep(pause_s)

    return talk


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HEADS = {
    "drop by drop": (says(OK + b"X: ", b"y", 0.1), "headers did not end within 0.5 s"),
    "drop by drop from the first byte": (says(b"H", b"T", 0.1), "headers did not end within"),
    "many long lines": (says(OK, b"X: " + b"y" * 60_000 + b"\r\n"), f"longer than {HEAD_BYTES}"),
    "a line without end": (says(OK + b"X: ", b"y" * 60_000), "header line"),
    "interim answers": (says(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "its headers"),
    "slow interim answers": (says(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05), "did not end"),
    "cut off": (lambda client: client.sendall(OK + b"Content-Le"), "cut off"),
    "cut off between lines": (lambda client: client.sendall(OK + b"A: b\r\n"), "cut off"),
    "a line that is none": (
        lambda client: client.sendall(OK + b"no colon\r\nContent-Length: 0\r\n\r\n"),
        "malformed",
    ),
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_ends_in_time_and_whole_or_the_connection_is_broken(kind: str) -> None:
    talk, words = HEADS[kind]
    started = time.monotonic()
    with server(talk) as url, pytest.raises(Unreachable, match=words) as caught:
        Http(timeouts=SHORT).request("GET", url)
    assert caught.value.temporary
    assert time.monotonic() - started < 3


BODIES = {
    "without a length": says(OK + b"\r\n", b" ", 0.05),
    "of a length": says(OK + b"Content-Length: 99999\r\n\r\n", b" ", 0.05),
    "in chunks": says(CHUNKED, b"1\r\n \r\n", 0.05),
    "within a chunk": says(CHUNKED + b"ffff\r\n", b" ", 0.05),
    "with trailers": says(CHUNKED + b"1\r\n \r\n0\r\n", b"T: x\r\n" * 20),
    "a chunk without a length": says(CHUNKED, b"-5\r\n "),
    "a chunk longer than memory": says(CHUNKED, b"7fffffffffffffff\r\n "),
}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("read", ["whole", "tail", "stream"])
def test_a_body_that_comes_drop_by_drop_is_broken(kind: str, read: str) -> None:
    """1 KiB/s is the least, over twice the time between two bytes."""
    reads: dict[str, Callable[[urllib3.BaseHTTPResponse], object]] = {
        "whole": lambda response: bodies.whole(response, 1 << 20, within_s=0.5),
        "tail": lambda response: bodies.tail(response, 100, 1 << 20),
        "stream": lambda response: response.read(1 << 20) and response.read(1),
    }
    started = time.monotonic()
    with server(BODIES[kind]) as url:
        response = Http(timeouts=SHORT).request("GET", url)
        with pytest.raises((HTTPError, OSError)):
            reads[read](response)
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("kind", [*BODIES, "fast"])
def test_the_rest_of_a_body_is_not_waited_for(kind: str) -> None:
    talk = BODIES.get(kind) or says(OK + b"\r\n", b"x" * 65536)
    for end in (bodies.drain, bodies.body_text):
        started = time.monotonic()
        with server(talk) as url:
            end(Http(timeouts=SHORT).request("GET", url))
        assert time.monotonic() - started < 4


def test_a_document_that_comes_steadily_gets_its_time() -> None:
    def talk(client: socket.socket) -> None:
        client.sendall(OK + b"Content-Length: 600000\r\n\r\n")
        for _ in range(60):
            client.sendall(b"x" * 10_000)
            time.sleep(0.02)

    with server(talk) as url:
        response = Http(timeouts=SHORT).request("GET", url)
        assert len(bodies.whole(response, 1 << 20, within_s=0.3)) == 600_000


class Drops:
    """A connection that gives so many bytes after so many seconds each time."""

    def __init__(self, size: int, seconds: float) -> None:
        self.size, self.seconds, self.time = size, seconds, 0.0

    def readinto(self, buffer: memoryview) -> int:
        self.time += self.seconds
        return self.size

    def close(self) -> None:
        pass


RATES = [(1, 59.0, False), (1023, 1.01, False), (1100, 1.0, True), (8192, 7.0, True),
         (60 * 1024, 59.0, True), (40 * 1024, 59.0, False)]  # fmt: skip


@pytest.mark.parametrize(("size", "seconds", "goes_on"), RATES)
def test_a_stream_keeps_a_kibibyte_a_second_over_two_minutes(
    size: int, seconds: float, goes_on: bool
) -> None:
    drops = Drops(size, seconds)
    stream = Paced(drops, 60.0, Limits(), lambda: drops.time)
    stream.head_ended()
    try:
        while drops.time < 3600:
            stream.readinto(bytearray(65536))
    except TooSlow as error:
        assert not goes_on
        assert "bytes came in 1" in str(error)
        assert drops.time < 240
    else:
        assert goes_on


def test_only_waiting_counts_not_what_the_reader_does_with_it() -> None:
    now = [0.0]
    stream = Paced(Drops(10, 0.0), 60.0, Limits(), lambda: now[0])
    stream.head_ended()
    for _ in range(1000):
        stream.readinto(bytearray(16))
        now[0] += 3600  # a slow uploader behind it
    assert now[0] > 3_000_000


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (says(OK + b"\r\n", b"x" * 65536), "longer than 1000000 bytes"),
        (says(OK + b"Content-Length: 99999999999999999999\r\n\r\n", b"x"), "bytes long"),
        (says(OK + b"Content-Length: 99999\r\n\r\n", b"x" * 900, 0.2), "not whole within 0.5 s"),
    ],
)
def test_a_foreign_clients_pool_reads_documents_alone(talk: Talk, words: str) -> None:
    """The Kubernetes and pipelines clients read whole bodies into memory by themselves."""
    pool = paced(urllib3.PoolManager(retries=False), Limits(1_000_000, is_document=True))
    with server(talk) as url, pytest.raises((HTTPError, OSError), match=words):
        pool.request("GET", url, timeout=urllib3.Timeout(connect=2, read=0.5))


def test_a_registry_that_takes_a_byte_a_second_ends_the_upload() -> None:
    def talk(client: socket.socket) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(60):
            client.recv(1)
            time.sleep(1)

    started = time.monotonic()
    with server(talk) as url, pytest.raises(Unreachable, match=r"time|slow") as caught:
        Http(timeouts=SHORT).request(
            "PATCH",
            url,
            headers={"Content-Length": str(64 << 20)},
            body=(bytes(1 << 20) for _ in range(64)),
            timeouts=SHORT.sending,
        )
    assert caught.value.temporary
    assert time.monotonic() - started < 10


def test_a_drip_fed_manifest_ends_with_one_line_after_the_tries() -> None:
    reach = Access(plain_http=("127.0.0.1",), env={}, retry=quick(attempts=2), timeouts=SHORT)
    with server(BODIES["of a length"]) as url:
        host = url.removeprefix("http://")
        target = Access(plain_http=(host,), env={}, retry=reach.retry, timeouts=SHORT).open(
            ImageRef(host, "a/b", "v1")
        )
        with pytest.raises(Exception, match=r"document broke off: .* came") as caught:
            target.get_manifest("v1")
    assert "\n" not in str(caught.value)


def test_too_long_and_too_slow_are_what_urllib3_takes_for_a_broken_connection() -> None:
    assert issubclass(TooLong, OSError)
    assert issubclass(TooSlow, OSError)
