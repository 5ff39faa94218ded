"""Fixtures: the servers the tests talk to, and a home of its own for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers.buckets import Bucket, connect, make_bucket, s3_server
from servers.hub import Hub
from servers.own_wheel import build_wheel
from servers.python_base import python_base
from servers.registry import Registry
from servers.registry_programs import KINDS
from servers.runtimes import fetch_wheels
from servers.threads import left_behind
from servers.tools import need

from carferry.cluster import pod
from carferry.io.net import trust

# They start a Kubernetes of their own: `make test-cluster` names them.
collect_ignore = ["cluster"]


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep caches, tokens and logins of this machine out of every test.

    huggingface_hub reads its settings when imported, hence both the variables, for child
    processes, and its constants, for this one.
    """
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "docker"))
    (home / "docker").mkdir()
    (home / "docker" / "config.json").write_text("{}")  # podman insists that it is there
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logins = ("HF_TOKEN", "HF_ENDPOINT", "REGISTRY_AUTH_FILE", "DOCKER_AUTH_CONFIG")
    for name in (*logins, *trust.VARIABLES):
        monkeypatch.delenv(name, raising=False)
    for name in pod.PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    _move_huggingface(home / "hf", monkeypatch)
    return home


def _move_huggingface(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_XET_CACHE", str(home / "xet"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(home / "stored_tokens"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """Fail the test that leaves one of carferry's threads behind, not a later one that counts."""
    yield
    assert left_behind() == []


@pytest.fixture
def hub() -> Iterator[Hub]:
    """An empty hub on a free port."""
    with Hub() as server:
        yield server


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that asks for no login."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(params=KINDS)
def any_registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """A registry of each kind that asks for no login."""
    with Registry(tmp_path_factory.mktemp("registry"), kind=request.param) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def each_registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """The same, one of each kind for a module: its tests use repositories of their own."""
    with Registry(tmp_path_factory.mktemp("registry"), kind=request.param) as server:
        yield server


@pytest.fixture
def registry_basic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with a password."""
    with Registry(tmp_path_factory.mktemp("registry"), auth="basic") as server:
        yield server


@pytest.fixture
def registry_bearer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that sends its clients to a token server."""
    with Registry(tmp_path_factory.mktemp("registry"), auth="bearer") as server:
        yield server


@pytest.fixture
def registry_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry behind a certificate that clients do not trust."""
    with Registry(tmp_path_factory.mktemp("registry"), tls=True) as server:
        yield server


@pytest.fixture(scope="session")
def python_layout(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base image with this Python, in a layout."""
    return python_base(tmp_path_factory.mktemp("base") / "python")


@pytest.fixture(scope="session")
def wheels(python_layout: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every wheel of the runtime image for that base."""
    return fetch_wheels(python_layout, tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def own_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this clone."""
    return build_wheel(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="session")
def tools() -> Callable[..., str]:
    """Find a program, or skip (fail in CI) naming the package: ``tools("skopeo")``."""
    return need


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What --compile writes, once for all who read it."""
    from carferry.pipelines import command

    folder = tmp_path_factory.mktemp("compiled")
    assert command.main(["--compile", "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def package(fresh: Path) -> Path:
    """The streaming pipeline, compiled."""
    return fresh / "modelcar.yaml"


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """A real S3 server."""
    with s3_server() as found:
        yield found


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> Bucket:
    """An empty bucket, whose server and keys are in the environment."""
    connect(monkeypatch, own_home, s3_endpoint)
    return make_bucket(s3_endpoint)
