"""What servers ask for is read in each of its forms, and every thread keeps to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import pytest
from ferrying import REPO, access, quick
from servers.chaos import Action, Answer, Rule
from servers.hub import Hub
from servers.proxy import Proxy
from servers.registry import Registry
from servers.wire import Head

from carferry.errors import CarferryError, SourceError
from carferry.io.net.http import Http
from carferry.io.net.pauses import pause_after, place_of, retry_after
from carferry.io.net.retry import Cancelled, Retry
from carferry.refs import Digest, ImageRef, ModelRef
from carferry.source.hub.source import HubSource


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7.0), (" 0 ", 0.0), ("", 0.0), ("soon", 0.0), ("-3", 0.0)]
)
def test_a_number_of_seconds_is_taken_and_nonsense_is_not(text: str, seconds: float) -> None:
    assert retry_after({"Retry-After": text}) == seconds


def test_a_date_is_as_good_as_a_number() -> None:
    in_a_minute = formatdate(time.time() + 60, usegmt=True)
    assert 55 < retry_after({"Retry-After": in_a_minute}) <= 60


def test_a_date_in_the_past_asks_for_no_wait() -> None:
    assert retry_after({"Retry-After": formatdate(0, usegmt=True)}) == 0.0


def test_a_server_that_says_nothing_asks_for_no_wait() -> None:
    assert retry_after({}) == 0.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit": '"resolvers";r=0;t=172'}, 172.0),
        ({"RateLimit": '"api";r=3;t=9, "resolvers"; r=0; t=55'}, 55.0),
        ({"RateLimit": '"resolvers";r=2999;t=172'}, 0.0),
        ({"RateLimit": '"resolvers";r=0;t=172', "Retry-After": "5"}, 5.0),
        ({"RateLimit": "nonsense"}, 0.0),
    ],
)
def test_the_hub_says_when_its_window_ends(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers) == seconds


SOON = "in 100 s"


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry-after": "7"}, 7, 7),
        ({"RETRY-AFTER": "7"}, 7, 7),
        ({"X-Retry-After": SOON}, 1, 100),
        ({"RateLimit": '"api";t=120;r=0'}, 120, 120),
        ({"RateLimit": '"api" ; r=0 ; t=120'}, 120, 120),
        ({"RateLimit": '"a,b;r=0;t=9";r=1;t=120'}, 0, 0),
        ({"RateLimit": "limit=100, remaining=0, reset=50"}, 50, 50),
        ({"RateLimit": "limit=100, remaining=1, reset=50"}, 0, 0),
        ({"RateLimit-Limit": "100", "RateLimit-Remaining": "0", "RateLimit-Reset": "50"}, 50, 50),
        ({"RateLimit-Remaining": "5", "RateLimit-Reset": "50"}, 0, 0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "50"}, 50, 50),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": SOON}, 1, 100),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}, 0, 0),
        ({"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600"}, 21600, 21600),
        ({"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "9;w=21600"}, 0, 0),
        ({"RateLimit": "\udcff" * 9, "Retry-After": "9" * 400}, 0, 0),
    ],
    ids=str,
)
def test_every_form_of_a_limit_is_read(
    headers: Mapping[str, str], least: float, most: float
) -> None:
    """Of these it knew ``Retry-After``, spelt so, and r before t."""
    soon = str(int(time.time()) + 100)
    given = {name: soon if text == SOON else text for name, text in headers.items()}
    assert least <= retry_after(given) <= most


@pytest.mark.parametrize(
    ("status", "headers", "pause_s"),
    [
        (200, {"RateLimit": '"api";r=0;t=120'}, 120.0),
        (200, {"RateLimit": '"api";r=1;t=120'}, 0.0),
        (200, {"Retry-After": "120"}, 0.0),
        (302, {"RateLimit": '"resolvers";r=0;t=55'}, 55.0),
        (200, {"ratelimit-remaining": "0;w=21600"}, 0.0),
        (429, {"ratelimit-remaining": "0;w=21600"}, 21600.0),
        (429, {"Retry-After": "3"}, 3.0),
        (503, {"Retry-After": "3"}, 3.0),
        (500, {"Retry-After": "3"}, 0.0),
    ],
)
def test_an_answer_says_when_the_next_request_is_welcome(
    status: int, headers: Mapping[str, str], pause_s: float
) -> None:
    """The last answer of a window is one; the last of a day's pulls is not: blobs still come."""
    assert pause_after(status, headers) == pause_s


def test_the_hub_counts_its_api_and_its_files_by_themselves() -> None:
    urls = (
        "https://huggingface.co/api/models/org/name/revision/main",
        "https://huggingface.co/org/name/resolve/main/config.json",
        "https://quay.io/v2/org/name/manifests/1",
    )
    assert [place_of(url) for url in urls] == [
        ("huggingface.co", "api"),
        ("huggingface.co", "files"),
        ("quay.io", ""),
    ]


@dataclass(slots=True)
class Times(Action):
    """Notes when each request arrives."""

    seen: list[float] = field(default_factory=list)

    def request(self, head: Head) -> Head:
        self.seen.append(time.monotonic())
        return head


@pytest.fixture
def front() -> Iterator[Proxy]:
    """A hub behind a proxy."""
    with Hub() as hub, Proxy(hub.endpoint) as proxy:
        hub.add(REPO, {"config.json": b"{}"})
        yield proxy


def ask(front: Proxy, http: Http, retry: Retry) -> None:
    """Ask once, and again as the policy has it."""

    def once() -> None:
        response = http.request("GET", f"{front.endpoint}/api/models/{REPO}/revision/main")
        response.read()
        response.release_conn()
        if response.status != 200:
            error = CarferryError("ask", front.host, str(response.status))
            error.temporary, error.retry_after_s = True, retry_after(response.headers)
            raise error

    retry.call(once)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(429, {"Retry-After": "1"}),
        Answer(503, {"Retry-After": "1"}),
        Answer(200, {"RateLimit": '"api";r=0;t=1'}),
    ],
    ids=lambda answer: str(answer.status),
)
def test_one_thread_is_told_and_sixteen_wait(front: Proxy, answer: Answer) -> None:
    """Fifteen others went on asking, each until it was refused itself."""
    times, said = Times(), list[str]()
    retry = Retry(report=said.append)
    http = Http(retry=retry)
    front.arm([Rule(answer), Rule(times, times=None)])
    http.request("GET", f"{front.endpoint}/api/").close()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: ask(front, http, retry), range(16)))
    assert len(times.seen) == 17
    assert min(times.seen[1:]) - times.seen[0] >= 0.9
    why = "its limit is used up" if answer.status == 200 else str(answer.status)
    assert said == [f"{front.host} asks to wait 1.0 s ({why})"]


def test_a_stop_ends_that_wait_for_all(front: Proxy) -> None:
    retry = Retry()
    http = Http(retry=retry)
    front.arm([Rule(Answer(429, {"Retry-After": "250"}))])
    http.request("GET", front.endpoint)
    threading.Timer(0.2, retry.stop.set).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        http.request("GET", front.endpoint)
    assert time.monotonic() - started < 5


def test_a_pause_of_one_host_holds_up_no_other(front: Proxy) -> None:
    retry = Retry()
    http = Http(retry=retry)
    front.arm([Rule(Answer(429, {"Retry-After": "250"}))])
    http.request("GET", front.endpoint)
    with Hub() as other:
        assert http.request("GET", other.endpoint).status > 0


def test_the_hub_that_wants_six_hours_is_not_asked_again(front: Proxy) -> None:
    """It was asked six times, 30 s apart, which its limit counted too."""
    front.arm([Rule(Answer(429, {"Retry-After": "21600"}), times=None)])
    source = HubSource(ModelRef(REPO), endpoint=front.endpoint, retry=quick())
    with pytest.raises(SourceError, match=r"429; it asks to wait 6 h, longer"):
        source.listing()
    assert len(front.exchanges) == 1


def test_the_token_server_is_left_alone_as_long_as_it_asks(tmp_path: Path) -> None:
    """Its pause was not read."""
    with Registry(tmp_path, auth="bearer") as registry:
        assert registry.tokens is not None
        with Proxy(registry.url) as front, Proxy(registry.tokens.endpoint) as tokens:
            said = list[str]()
            retry = quick(report=said.append)
            tokens.arm([Rule(Answer(429, {"Retry-After": "77"}))])
            realm = f'Bearer realm="{tokens.endpoint}/token",service="x"'
            front.arm([Rule(Answer(401, {"WWW-Authenticate": realm}), times=None)])
            given = access(front.host, retry=retry)
            target = given.open(ImageRef(front.host, "org/tiny", "v1"))
            with pytest.raises(CarferryError):
                target.blob_size(Digest.of(b""))
    assert f"{tokens.host} asks to wait 77 s (429)" in said
    assert any("trying again in 77 s" in line for line in said)
