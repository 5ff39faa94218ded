"""How often an operation asks an endpoint that is dead: six tries are six requests, never 36."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from ferrying import ANY, REPO, access, ferry, from_folder, quick, to_layout
from servers.chaos import Answer, DropRequest, Rule
from servers.hub import Hub
from servers.models import filled, write
from servers.proxy import Proxy
from servers.registry import Registry

from carferry.assembly.build import build, seal_shares, stream_share
from carferry.assembly.options import Options
from carferry.assembly.planning import plan_build
from carferry.cluster.client import Cluster
from carferry.errors import CarferryError
from carferry.image.inspection import inspect
from carferry.image.source import ImageSource
from carferry.image.verify import verify
from carferry.io.net.retry import Retry
from carferry.io.show.progress import Silent
from carferry.refs import ImageRef, ModelRef
from carferry.registry.access import Access
from carferry.registry.copy import copy_image
from carferry.registry.target import Target
from carferry.source.download import download
from carferry.source.hub.source import HubSource
from carferry.source.source import Source
from carferry.steps.deploy import deploy

ATTEMPTS = 6
# An endpoint that answers 503, and one that breaks the connection.
DEAD = {"503": Answer(503), "no answer": DropRequest()}
FILES = {
    "config.json": b"{}",
    "model.safetensors": filled(300_000, 1),
    "more.safetensors": filled(300_000, 2),
}


@dataclass(slots=True)
class Place:
    """A hub and a registry behind proxies; every case has a repository of its own.

    Attributes:
        hub: Holds the model.
        hub_front: What stands before it.
        cdn_front: What stands before its files.
        registry: Real.
        front: What stands before that.
        folder: Where layouts go.
        repository: Of the case.
    """

    hub: Hub
    hub_front: Proxy
    cdn_front: Proxy
    registry: Registry
    front: Proxy
    folder: Path
    repository: str = ""

    def retry(self) -> Retry:
        """Return six tries without pauses worth speaking of."""
        return quick(attempts=ATTEMPTS, first_tries=ATTEMPTS)

    def access(self) -> Access:
        """Return access to the registry from before the proxy."""
        host = self.front.host
        return access(host, retry=self.retry(), auth_file=self.registry.auth_file)

    def target(self, *, tag: str = "v1") -> Target:
        """Return the repository, by way of the proxy."""
        return self.access().open(ImageRef(self.front.host, self.repository, tag), write=True)

    def source(self) -> Source:
        """Return the model, by way of the proxies."""
        return HubSource(ModelRef(REPO), endpoint=self.hub_front.endpoint, retry=self.retry())

    def layout(self) -> Target:
        """Return a new layout."""
        return to_layout(self.folder / f"{self.repository.replace('/', '-')}-copy")

    def options(self) -> Options:
        """Return what all builds here have in common: one layer at a time."""
        return Options(base="scratch", patterns=ANY, parallel=1)


def _build(place: Place) -> object:
    return build(place.source(), place.target(), place.options(), access=place.access())


def _plan(place: Place) -> object:
    return plan_build(place.source(), place.target(), place.options(), place.access())


def _stream(place: Place) -> object:
    given = place.source(), place.target(), place.options()
    return stream_share(*given, 1, 1, access=place.access())


def _seal(place: Place) -> object:
    given = place.source(), place.target(), place.options()
    return seal_shares(*given, access=place.access())


def _push(place: Place) -> object:
    origin = to_layout(place.folder / "built")
    retry = place.retry()
    return copy_image(origin, place.target(), parallel=1, retry=retry, progress=Silent())


def _pull(place: Place) -> object:
    retry = place.retry()
    return copy_image(place.target(), place.layout(), parallel=1, retry=retry, progress=Silent())


def _inspect(place: Place) -> object:
    return inspect(place.target())


def _verify(place: Place) -> object:
    return verify(place.target(), None, parallel=1, retry=place.retry(), progress=Silent())


def _from_image(place: Place) -> object:
    source = ImageSource(place.target(), retry=place.retry())
    file = max(source.listing().files, key=lambda each: each.size_bytes)
    return list(source.read(file))


def _download(place: Place) -> object:
    source = place.source()
    snapshot = source.snapshot([file.path for file in source.listing().files])
    folder = place.folder / place.repository
    return download(
        source, snapshot, folder, parallel=1, retry=place.retry(), progress=Silent()
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One operation, and the requests of it that are never answered.

    Attributes:
        work: The operation.
        side: Whose proxy: ``registry``, ``hub`` or ``cdn``.
        method: Of the requests.
        path: Found in their paths.
        pushed: Whether the image, or the worker's layers, are there before.
    """

    work: Callable[[Place], object]
    side: str
    method: str
    path: str
    pushed: Callable[[Place], object] | None = None

    def __str__(self) -> str:
        """Return the operation and the requests."""
        return f"{self.work.__name__[1:]}: {self.side} {self.method} {self.path}"


UPLOADS = "/blobs/uploads/"
LARGE = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
CASES = (
    Case(_plan, "hub", "GET", "/api/models/.*/revision"),
    Case(_plan, "hub", "GET", "/tree/"),
    Case(_plan, "hub", "HEAD", "/resolve/"),
    Case(_plan, "hub", "GET", "/resolve/.*/model"),
    Case(_plan, "cdn", "GET", LARGE),
    Case(_plan, "registry", "GET", "/manifests/"),
    Case(_plan, "registry", "GET", "/tags/list"),
    Case(_build, "registry", "HEAD", "/blobs/"),
    Case(_build, "registry", "POST", UPLOADS),
    Case(_build, "registry", "PATCH", UPLOADS),
    Case(_build, "registry", "PUT", UPLOADS),
    Case(_build, "registry", "PUT", "/manifests/sha256"),
    Case(_build, "registry", "PUT", "/manifests/v1"),
    Case(_stream, "registry", "POST", UPLOADS),
    Case(_stream, "registry", "PATCH", UPLOADS),
    Case(_stream, "registry", "PUT", UPLOADS),
    Case(_stream, "registry", "PUT", "/manifests/carferry-shard"),
    Case(_seal, "registry", "HEAD", "/blobs/", _stream),
    Case(_seal, "registry", "GET", "/blobs/", _stream),
    Case(_seal, "registry", "PUT", "/manifests/v1", _stream),
    Case(_push, "registry", "HEAD", "/blobs/"),
    Case(_push, "registry", "POST", UPLOADS),
    Case(_push, "registry", "PUT", UPLOADS),
    Case(_push, "registry", "PUT", "/manifests/"),
    Case(_pull, "registry", "GET", "/manifests/", _push),
    Case(_pull, "registry", "GET", "/blobs/", _push),
    Case(_inspect, "registry", "GET", "/manifests/", _push),
    Case(_inspect, "registry", "GET", "/blobs/", _push),
    Case(_verify, "registry", "GET", "/blobs/", _push),
    Case(_from_image, "registry", "GET", "/manifests/", _push),
    Case(_from_image, "registry", "GET", "/blobs/", _push),
    Case(_download, "hub", "GET", "/resolve/.*/model"),
    Case(_download, "cdn", "GET", LARGE),
)  # fmt: skip


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One set of servers for all cases."""
    folder = tmp_path_factory.mktemp("tries")
    ferry(from_folder(write(FILES, folder / "model")), to_layout(folder / "built"))
    with ExitStack() as stack:
        enter = stack.enter_context
        hub, registry = enter(Hub()), enter(Registry(folder / "registry"))
        fronts = [
            enter(Proxy(url)) for url in (hub.endpoint, hub.cdn_endpoint, registry.url)
        ]  # fmt: skip
        hub.cdn_endpoint = fronts[1].endpoint
        hub.add(REPO, FILES)
        yield Place(hub, fronts[0], fronts[1], registry, fronts[2], folder)


_numbers = itertools.count()


@pytest.fixture
def place(servers: Place) -> Iterator[Place]:
    """The servers, with a repository of this case and no faults."""
    servers.repository = f"tries/case-{next(_numbers)}"
    yield servers
    for front in (servers.front, servers.hub_front, servers.cdn_front):
        front.arm()


def asked(place: Place, case: Case, rule: Rule) -> tuple[int, CarferryError | None]:
    """Run a case and return how many of its requests were not answered, and the error."""
    if case.pushed:
        case.pushed(place)
    fronts = {"registry": place.front, "hub": place.hub_front, "cdn": place.cdn_front}
    front, error = fronts[case.side], None
    front.arm([rule])
    try:
        case.work(place)
    except CarferryError as caught:
        error = caught
    return sum(bool(exchange.actions) for exchange in front.exchanges), error


@pytest.mark.parametrize("dead", DEAD)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_six_tries_are_six_requests(place: Place, case: Case, dead: str) -> None:
    count, error = asked(place, case, Rule(DEAD[dead], case.method, case.path, times=None))
    assert error is not None
    assert count == ATTEMPTS, f"{count} requests, then: {error}"


@pytest.mark.parametrize("dead", DEAD)
def test_a_dead_token_server_is_asked_six_times(place: Place, dead: str) -> None:
    with Proxy(place.registry.url, [Rule(DEAD[dead], times=None)]) as tokens:
        challenge = {"WWW-Authenticate": f'Bearer realm="{tokens.endpoint}/token",service="x"'}
        place.front.arm([Rule(Answer(401, challenge), times=None)])
        with pytest.raises(CarferryError):
            _build(place)
        assert len(tokens.exchanges) == ATTEMPTS


@pytest.mark.parametrize("dead", DEAD)
def test_a_dead_cluster_is_asked_six_times(place: Place, dead: str) -> None:
    """A connection that broke was tried four times by the pool, and that six times."""
    image = f"quay.io/me/granite@sha256:{'0' * 64}"
    with Proxy(place.registry.url, [Rule(DEAD[dead], times=None)]) as front:
        with pytest.raises(CarferryError):
            deploy(
                image, namespace="demo", wait=False, retry=place.retry(),
                connect=lambda: Cluster.connect(host=front.endpoint),
            )  # fmt: skip
        assert len(front.exchanges) == ATTEMPTS


def test_a_cluster_that_asks_for_a_pause_is_left_alone_as_a_person_sees(place: Place) -> None:
    """Its client slept as long as it was told, a day if need be, and nothing was said."""
    image, said = f"quay.io/me/granite@sha256:{'0' * 64}", list[str]()
    busy = Rule(Answer(429, {"Retry-After": "3600"}), times=None)
    with Proxy(place.registry.url, [busy]) as front:
        with pytest.raises(CarferryError, match="asks to wait 60 min, longer"):
            deploy(
                image, namespace="demo", wait=False, retry=quick(report=said.append),
                connect=lambda: Cluster.connect(host=front.endpoint),
            )  # fmt: skip
        assert len(front.exchanges) == 1
