"""What a login may not do is told apart from a login that is wrong; neither is asked twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ferrying import access, blob, carferry, ferry, from_folder, quick, to_layout
from servers.chaos import Answer, EditReply, Rule
from servers.models import tiny, write
from servers.proxy import Proxy
from servers.registry import Registry
from servers.serving import Handler, Serving
from servers.tokens import Login as User
from servers.wire import Head

from carferry.errors import AuthenticationFailed, CarferryError, PushDenied
from carferry.io.net.http import Http
from carferry.refs import ImageRef
from carferry.registry.blobs import put_blob
from carferry.registry.logins.auth import Authenticator, Sources
from carferry.registry.logins.login import Login
from carferry.registry.target import Target

ROBOT = User("team+robot", "r0b0t")
SCOPES = ("repository:a:pull,push",)


def opened(host: str, user: User | None, folder: Path) -> Target:
    """Return a repository as this user sees it."""
    entry = {"username": user.user, "password": user.password} if user else None
    file = folder / "auth.json"
    file.write_text(json.dumps({"auths": {host: entry}}))
    given = access(host, auth_file=file, retry=quick(attempts=2))
    return given.open(ImageRef(host, "org/tiny", "v1"), write=True)


@pytest.fixture
def robots(registry_bearer: Registry) -> Registry:
    """A registry with one more login, which may pull and nothing else."""
    assert registry_bearer.tokens is not None
    registry_bearer.tokens.robots[ROBOT] = frozenset({"pull"})
    return registry_bearer


def test_a_robot_that_may_only_pull_is_told_so(robots: Registry, tmp_path: Path) -> None:
    owner = opened(robots.host, robots.login, tmp_path)
    digest = put_blob(owner, b"{}")
    target = opened(robots.host, ROBOT, tmp_path)
    assert blob(target, digest) == b"{}"
    assert robots.tokens is not None
    robots.tokens.clear_log()
    before = len(robots.log)
    with pytest.raises(PushDenied) as caught:
        target.check_push()
    said = str(caught.value)
    assert f"this login may not push to {robots.host}/org/tiny: it needs push rights" in said
    assert "check the login" not in said
    assert len([each for each in robots.log[before:] if each.method == "POST"]) <= 2
    assert len(robots.tokens.log) <= 1


def test_a_robot_that_may_do_nothing_is_told_so(robots: Registry, tmp_path: Path) -> None:
    assert robots.tokens is not None
    robots.tokens.robots[ROBOT] = frozenset()
    with pytest.raises(PushDenied, match=r"this login may not pull from .*/org/tiny"):
        opened(robots.host, ROBOT, tmp_path).get_manifest("v1")


@pytest.mark.parametrize("kind", ["registry_basic", "registry_bearer"])
def test_a_wrong_password_is_sent_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Accounts are locked after a few."""
    server: Registry = request.getfixturevalue(kind)
    wrong = replace(server.login, password="wrong")
    with pytest.raises(AuthenticationFailed, match=rf"check the login in {tmp_path}/auth\.json"):
        opened(server.host, wrong, tmp_path).check_push()
    if server.tokens:
        assert len(server.tokens.log) == 1
    else:
        assert len([each for each in server.log if each.method == "POST"]) == 2


COMMANDS = {
    "build": ["build", "MODEL", "IMAGE", "--base", "scratch"],
    "build, any tag believed": [
        *("build", "MODEL", "IMAGE", "--base", "scratch"),
        *("--reuse", "repository"),
    ],
    "plan": ["plan", "MODEL", "IMAGE", "--base", "scratch"],
    "stream": ["stream", "MODEL", "IMAGE", "--base", "scratch", "--worker", "1/2"],
    "seal": ["seal", "MODEL", "IMAGE", "--base", "scratch"],
    "push": ["push", "LAYOUT", "IMAGE"],
    "pull": ["push", "IMAGE", "oci:elsewhere"],
    "inspect": ["inspect", "IMAGE", "--verify"],
    "as a model": ["plan", "oci://HOST/org/tiny:v1", "oci:elsewhere"],
}


@pytest.mark.parametrize("kind", ["registry_basic", "registry_bearer"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_sends_a_wrong_password_again_and_again(
    command: str,
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A build sent it 69 times when it guessed the tags that it could not list."""
    server: Registry = request.getfixturevalue(kind)
    model = write(tiny(), tmp_path / "model")
    ferry(from_folder(model), to_layout(tmp_path / "built"))
    file = tmp_path / "auth.json"
    entry = {"username": server.login.user, "password": "wrong"}
    file.write_text(json.dumps({"auths": {server.host: entry}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    monkeypatch.chdir(tmp_path)
    named = {"MODEL": str(model), "IMAGE": f"docker://{server.host}/org/tiny:v1"}
    named["LAYOUT"] = f"oci:{tmp_path / 'built'}:v1"
    words = [named.get(word, word).replace("HOST", server.host) for word in COMMANDS[command]]
    done = carferry(capsys, *words)
    assert done.code == 1
    assert f"check the login in {file}" in done.err
    sent = server.tokens.log if server.tokens else [e for e in server.log if e.status == 401]
    assert len(sent) <= 3


@pytest.mark.parametrize(
    ("challenge", "error", "words"),
    [
        ("", PushDenied, "this login may not push to"),  # Quay, Harbor
        (',error="insufficient_scope"', PushDenied, "this login may not push to"),
        (',error=insufficient_scope,scope="repository:org/tiny:push,pull"', PushDenied, "may not"),
        (',error="invalid_token"', AuthenticationFailed, "log in to"),
    ],
)
def test_a_new_token_that_is_refused_is_about_rights(
    robots: Registry, tmp_path: Path, challenge: str, error: type[CarferryError], words: str
) -> None:
    assert robots.tokens is not None
    says = {"WWW-Authenticate": f'Bearer realm="{robots.tokens.realm}",service="s"{challenge}'}
    refuses = Answer(401, says, b'{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}')
    with Proxy(robots.url, [Rule(refuses, times=None)]) as proxy:
        with pytest.raises(error, match=words):
            opened(proxy.host, robots.login, tmp_path).check_push()
        # Without a token, with one, and with another: clocks of replicas differ by a moment.
        assert len(proxy.log) == 3
    assert len(robots.tokens.log) == 2


def test_a_wider_scope_is_asked_for_once(robots: Registry, tmp_path: Path) -> None:
    assert robots.tokens is not None
    realm = f'Bearer realm="{robots.tokens.realm}",error="insufficient_scope"'
    says = {"WWW-Authenticate": f'{realm},scope="repository:org/other:pull registry:catalog:*"'}
    with Proxy(robots.url, [Rule(Answer(401, says, b""), times=None)]) as proxy:
        with pytest.raises(PushDenied):
            opened(proxy.host, robots.login, tmp_path).check_push()
        assert len(proxy.log) <= 3
    assert "catalog" in robots.tokens.log[0].path


def test_without_a_login_a_refusal_says_that_there_is_none(
    robots: Registry, tmp_path: Path
) -> None:
    assert robots.tokens is not None
    robots.tokens.anonymous = True
    with pytest.raises(AuthenticationFailed, match="no login was found"):
        opened(robots.host, None, tmp_path).check_push()


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (403, PushDenied, r"token server said DENIED: no \(403\); this login may not push to"),
        (401, AuthenticationFailed, r"token server said DENIED: no \(401\); check the login"),
        (503, AuthenticationFailed, r"\(503\)"),
    ],
)
def test_a_token_server_is_quoted(status: int, error: type[CarferryError], words: str) -> None:
    class Refuses(Handler):
        def answer(self) -> None:
            self.reply(status, b'{"errors":[{"code":"DENIED","message":"no"}]}')

    with Serving(Refuses) as server:
        auth = Authenticator(Http(), ImageRef("x.io", "a"), Login("me", "x"), url=server.endpoint)
        auth.challenged([f'Bearer realm="{server.endpoint}/token"'])
        with pytest.raises(error, match=words) as caught:
            auth.header(SCOPES)
    assert caught.value.temporary == (status == 503)


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_second_challenge_does_not_change_the_first(
    robots: Registry, tmp_path: Path, joined: bool, first: bool
) -> None:
    """Gitea offers Basic beside Bearer, its realm the registry's own address."""

    def edit(head: Head) -> Head:
        own = head.get("WWW-Authenticate")
        if own is None:
            return head
        ways = [own, 'Basic realm="http://evil.invalid/v2",service=container_registry']
        ways = ways if first else ways[::-1]
        names = [", ".join(ways)] if joined else ways
        kept = head.without("WWW-Authenticate")
        return replace(kept, headers=(*kept.headers, *(("WWW-Authenticate", n) for n in names)))

    with Proxy(robots.url, [Rule(EditReply(edit), times=None)]) as proxy:
        target = opened(proxy.host, robots.login, tmp_path)
        done = ferry(from_folder(write(tiny(), tmp_path / "model")), target).document
        assert target.get_manifest("v1") == done


def test_basic_serves_where_bearer_must_not(registry_basic: Registry, tmp_path: Path) -> None:
    def edit(head: Head) -> Head:
        if head.get("WWW-Authenticate") is None:
            return head
        return head.with_("WWW-Authenticate", 'Bearer realm="http://evil.invalid/t", basic realm=x')

    with Proxy(registry_basic.url, [Rule(EditReply(edit), times=None)]) as proxy:
        opened(proxy.host, registry_basic.login, tmp_path).check_push()


def test_a_realm_that_nobody_vouches_for_gets_no_login(
    registry_basic: Registry, tmp_path: Path
) -> None:
    says = {"WWW-Authenticate": 'Bearer realm="http://evil.invalid/token"'}
    with Proxy(registry_basic.url, [Rule(Answer(401, says, b""), times=None)]) as proxy:
        with pytest.raises(AuthenticationFailed, match=r"another host, evil\.invalid"):
            opened(proxy.host, registry_basic.login, tmp_path).check_push()
        assert [each for each in proxy.log if "authorization" in each.headers] == []


def test_a_registry_that_says_only_at_its_root_what_it_wants(
    registry_basic: Registry, tmp_path: Path
) -> None:
    """Source: containers/image, docker_client.go: gcr.io does so."""
    silent = EditReply(lambda head: head.without("WWW-Authenticate"))
    with Proxy(registry_basic.url, [Rule(silent, path="/org/tiny/", times=None)]) as proxy:
        opened(proxy.host, registry_basic.login, tmp_path).check_push()


def test_a_401_that_names_no_scheme_is_told(registry_basic: Registry, tmp_path: Path) -> None:
    with Proxy(registry_basic.url, [Rule(Answer(401, {}, b""), times=None)]) as proxy:
        with pytest.raises(AuthenticationFailed, match="does not say of which kind"):
            opened(proxy.host, registry_basic.login, tmp_path).check_push()
        with pytest.raises(AuthenticationFailed, match="no login was found"):
            opened(proxy.host, None, tmp_path).check_push()


def test_a_registry_token_is_sent_as_it_is() -> None:
    auth = Authenticator(Http(), ImageRef("x.io", "a"), Login("me", "x", "it", "rt"))
    assert auth.challenged(['Bearer realm="https://x.io/token", Basic realm="x"'])
    assert auth.header(SCOPES) == {"Authorization": "Bearer rt"}
    assert not auth.challenged(['Bearer realm="https://x.io/token"'], SCOPES, "Bearer rt")


def test_an_identity_token_alone_is_no_password() -> None:
    auth = Authenticator(Http(), ImageRef("x.io", "a"), Login(identity_token="it"))
    with pytest.raises(AuthenticationFailed, match="it wants a password, and the login is a token"):
        auth.challenged(['Basic realm="x"'])


def test_a_login_that_changed_meanwhile_is_taken() -> None:
    """Helpers give logins for an hour, and builds take longer."""
    found = [Login("me", "new")]
    sources = Sources(again=lambda: found[0])
    auth = Authenticator(Http(), ImageRef("x.io", "a"), Login("me", "old"), sources=sources)
    old, new = Login("me", "old").basic, Login("me", "new").basic
    assert auth.challenged(["Basic realm=x"])
    assert auth.header(SCOPES) == {"Authorization": old}
    assert auth.challenged(["Basic realm=x"], SCOPES, old)
    assert auth.header(SCOPES) == {"Authorization": new}
    assert not auth.challenged(["Basic realm=x"], SCOPES, new)


def test_a_login_does_not_follow_a_token_server_to_another_host() -> None:
    class Moves(Handler):
        def answer(self) -> None:
            self.reply(307, b"", Location="http://evil.invalid/token")

    with Serving(Moves) as server:
        auth = Authenticator(Http(), ImageRef("x.io", "a"), Login("me", "x"), url=server.endpoint)
        auth.challenged([f'Bearer realm="{server.endpoint}/token"'])
        with pytest.raises(AuthenticationFailed, match="sends the login on to another"):
            auth.header(SCOPES)
        assert len(server.log) == 1
