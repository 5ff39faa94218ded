"""Logins and tokens: sent to the registry that asks, and to no other host."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from ferrying import access, blob, ferry, from_folder, manifest, to_layout, to_registry
from servers.chaos import Answer, EditReply, Rule
from servers.models import tiny, write
from servers.proxy import Proxy
from servers.registry import LOGIN, Registry
from servers.serving import Handler, Serving

from carferry.errors import AuthenticationFailed, CarferryError, TargetError
from carferry.io.net.http import Http
from carferry.refs import Digest, ImageRef
from carferry.registry.blobs import put_blob
from carferry.registry.logins.auth import Authenticator
from carferry.registry.logins.login import Login
from carferry.registry.target import Target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model."""
    return write(tiny(), tmp_path / "model")


@pytest.mark.parametrize("kind", ["registry_basic", "registry_bearer"])
def test_a_login_carries_a_whole_build_and_is_read_back(
    kind: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    server: Registry = request.getfixturevalue(kind)
    target = to_registry(server)
    source = from_folder(folder)
    layout = to_layout(folder.parent / "layout")
    done = ferry(source, target).document
    assert server.tags("org/tiny") == {"v1": str(done.digest)}
    assert done == ferry(source, layout).document
    assert blob(target, done.layers[0].digest) == blob(layout, done.layers[0].digest)


def test_a_login_reaches_a_registry_behind_tls(tmp_path: Path, folder: Path) -> None:
    with Registry(tmp_path / "registry", auth="basic", tls=True) as server:
        assert server.certificates is not None
        given = access(auth_file=server.auth_file, ca_file=server.certificates.ca)
        target = given.open(ImageRef(server.host, "org/tiny", "v1"), write=True)
        document = ferry(from_folder(folder), target).document
        assert server.tags("org/tiny") == {"v1": str(document.digest)}


class Clock:
    """A clock the test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_asked_for_once_and_again_before_it_ends(registry_bearer: Registry) -> None:
    tokens = registry_bearer.tokens
    assert tokens is not None
    clock = Clock()
    ref = ImageRef(registry_bearer.host, "org/tiny")
    login = Login(LOGIN.user, LOGIN.password)
    auth = Authenticator(Http(), ref, login, url=registry_bearer.url, clock=clock)
    scopes = ("repository:org/tiny:pull,push",)
    assert auth.header(scopes) == {}
    auth.challenged([f'Bearer realm="{tokens.realm}",service="s"'])
    first = auth.header(scopes)
    clock.now = tokens.lifetime_s - 11.0
    assert auth.header(scopes) == first
    clock.now = tokens.lifetime_s - 9.0
    assert auth.header(scopes) != first
    assert len(tokens.log) == 2


def test_a_token_is_asked_for_by_scope(registry_bearer: Registry) -> None:
    tokens = registry_bearer.tokens
    assert tokens is not None
    auth = Authenticator(
        Http(), ImageRef("x.io", "a"), Login(LOGIN.user, LOGIN.password), url="http://127.0.0.1"
    )
    auth.challenged([f'Bearer realm="{tokens.realm}?fixed=1",service="a service"'])
    auth.header(("repository:a:pull,push", "repository:b:pull"))
    query = parse_qs(urlsplit(tokens.log[0].path).query)
    assert query == {
        "fixed": ["1"],
        "service": ["a service"],
        "scope": ["repository:a:pull,push", "repository:b:pull"],
    }


def test_tokens_that_the_registry_no_longer_takes_are_fetched_anew(
    registry_bearer: Registry, folder: Path
) -> None:
    """A 401 in the middle of a build, on a request of each kind, is answered with a new token."""
    challenge = f'Bearer realm="{registry_bearer.tokens.realm}",service="registry-of-the-tests"'  # type: ignore[union-attr]
    expired = Answer(401, {"WWW-Authenticate": challenge}, b"{}")
    rules = [
        Rule(expired, method="POST", path="/blobs/uploads/", first=3),
        Rule(expired, method="PATCH"),
        Rule(expired, method="PUT", path="/blobs/uploads/"),
        Rule(expired, method="PUT", path="/manifests/"),
    ]
    with Proxy(registry_bearer.url, rules) as proxy:
        document = ferry(from_folder(folder), _through(proxy, registry_bearer)).document
    assert registry_bearer.tags("org/tiny") == {"v1": str(document.digest)}


def test_a_token_server_that_refuses_is_named_without_the_password(
    registry_bearer: Registry,
) -> None:
    tokens = registry_bearer.tokens
    assert tokens is not None
    auth = Authenticator(
        Http(), ImageRef("x.io", "a"), Login("ferry", "not-the-password"), url="http://127.0.0.1"
    )
    auth.challenged([f'Bearer realm="{tokens.realm}"'])
    with pytest.raises(
        AuthenticationFailed, match=r"log in to x\.io.*token server said .*\(401\)"
    ) as caught:
        auth.header(("repository:a:pull",))
    assert "not-the-password" not in repr(caught.value) + str(caught.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"token": ""}', b"<html>"])
def test_a_token_server_that_talks_nonsense_is_an_error_in_words(body: bytes) -> None:
    class Nonsense(Handler):
        def answer(self) -> None:
            self.reply(200, body)

    with Serving(Nonsense) as server:
        auth = Authenticator(Http(), ImageRef("x.io", "a"), None)
        auth.challenged([f'Bearer realm="{server.endpoint}/token"'])
        with pytest.raises(AuthenticationFailed, match="sent no token"):
            auth.header(("repository:a:pull",))


def test_an_identity_token_is_traded_by_post() -> None:
    class Trader(Handler):
        def answer(self) -> None:
            form = parse_qs(self.body().decode())
            self.reply(200, json.dumps({"access_token": form["refresh_token"][0] + "!"}).encode())

    with Serving(Trader) as server:
        auth = Authenticator(
            Http(), ImageRef("x.io", "a"), Login(identity_token="it"), url="http://127.0.0.1"
        )
        auth.challenged([f'Bearer realm="{server.endpoint}/token",service="x.io"'])
        header = auth.header(("repository:a:pull",))
        (asked,) = server.log
    assert header == {"Authorization": "Bearer it!"}
    assert (asked.method, "it" in asked.path, "authorization" in asked.headers) == (
        "POST",
        False,
        False,
    )


class Elsewhere(Handler):
    """Another host: it serves blobs without a login and takes any upload."""

    answers: dict[str, bytes]

    def answer(self) -> None:
        self.body()
        self.reply(200 if self.command == "GET" else 201, self.answers.get(self.path, b""))


@pytest.fixture
def storage() -> Iterator[Serving]:
    """A storage host beside the registry."""
    Elsewhere.answers = {}
    with Serving(Elsewhere) as server:
        yield server


@pytest.mark.parametrize("kind", ["registry_basic", "registry_bearer"])
def test_a_redirected_blob_is_fetched_without_our_login(
    kind: str, folder: Path, storage: Serving, request: pytest.FixtureRequest
) -> None:
    server: Registry = request.getfixturevalue(kind)
    document = ferry(from_folder(folder), to_registry(server)).document
    layer = document.layers[0].digest
    Elsewhere.answers["/stored"] = b"elsewhere"
    moved = Answer(307, {"Location": f"{storage.endpoint}/stored"})
    with Proxy(server.url, [Rule(moved, method="GET", path="/blobs/", times=None)]) as proxy:
        target = _through(proxy, server)
        assert manifest(target) == document
        assert blob(target, layer) == b"elsewhere"
        assert any("authorization" in exchange.headers for exchange in proxy.log)
    (asked,) = storage.log
    assert "authorization" not in asked.headers


@pytest.mark.parametrize("kind", ["registry_basic", "registry_bearer"])
def test_an_upload_sent_elsewhere_goes_without_our_login(
    kind: str, storage: Serving, request: pytest.FixtureRequest
) -> None:
    server: Registry = request.getfixturevalue(kind)
    away = EditReply(lambda head: head.with_("Location", f"{storage.endpoint}/up?state=1"))
    with Proxy(server.url, [Rule(away, method="POST", path="uploads", times=None)]) as proxy:
        target = _through(proxy, server)
        upload = target.start_upload(5)
        upload.send([b"bytes"])
        upload.commit(Digest.of(b"bytes"))
        upload.cancel()
    assert {exchange.method for exchange in storage.log} >= {"PATCH", "PUT"}
    assert [e.path for e in storage.log if "authorization" in e.headers] == []


def test_an_unknown_scheme_is_named(registry: Registry, folder: Path) -> None:
    asks = Answer(401, {"WWW-Authenticate": "Negotiate"}, b"")
    with Proxy(registry.url, [Rule(asks, times=None)]) as proxy:
        target = to_registry(registry, host=proxy.host)
        with pytest.raises(AuthenticationFailed, match="'negotiate'"):
            target.check_push()


def test_no_error_shows_the_login(registry_basic: Registry, folder: Path) -> None:
    """Whatever a registry echoes back, password and Authorization stay out of the message."""
    pair = base64.b64encode(f"{LOGIN.user}:{LOGIN.password}".encode()).decode()
    echo = json.dumps({"errors": [{"code": "X", "message": f"got Basic {pair}"}]}).encode()
    with (
        Proxy(registry_basic.url, [Rule(Answer(400, {}, echo), times=None)]) as proxy,
        pytest.raises(CarferryError) as caught,
    ):
        _through(proxy, registry_basic).check_push()
    assert "got Basic ***" in str(caught.value)
    assert pair not in str(caught.value)


def _rehosted(server: Registry, host: str) -> Path:
    """Write the registry's login for another host in front of it."""
    text = server.auth_file.read_text().replace(server.host, host)
    path = server.auth_file.with_name(f"{host.replace(':', '-')}.json")
    path.write_text(text)
    return path


def _through(proxy: Proxy, server: Registry) -> Target:
    given = access(proxy.host, auth_file=_rehosted(server, proxy.host))
    return given.open(ImageRef(proxy.host, "org/tiny", "v1"), write=True)


def test_what_another_host_asks_for_gets_no_login(registry_basic: Registry, tmp_path: Path) -> None:
    """A blob may be kept elsewhere; that place must not choose where the login goes."""

    class Elsewhere(Handler):
        def answer(self) -> None:
            realm = f'Bearer realm="{self.server.owner.endpoint}/token"'
            self.reply(401, b"{}", WWW_Authenticate=realm)

    digest = put_blob(to_registry(registry_basic), b"{}")
    with Serving(Elsewhere) as elsewhere:
        away = Answer(307, {"Location": f"{elsewhere.endpoint}/blob"})
        rule = Rule(away, method="GET", path="/blobs/sha256", times=None)
        with Proxy(registry_basic.url, [rule]) as proxy:
            logins = json.loads(registry_basic.auth_file.read_text())["auths"]
            file = tmp_path / "auth.json"
            file.write_text(json.dumps({"auths": {proxy.host: logins[registry_basic.host]}}))
            given = access(proxy.host, auth_file=file)
            target = given.open(ImageRef(proxy.host, "org/tiny", "v1"))
            assert target.blob_size(digest) == 2
            with pytest.raises(TargetError):
                b"".join(target.open_blob(digest))
        asked = list(elsewhere.log)
    assert [entry.path for entry in asked] == ["/blob", "/blob"]
    assert not any("authorization" in each.headers for each in asked)
