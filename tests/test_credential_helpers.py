"""Credential helpers are run as docker and podman run them, and their logins are never shown."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ferrying import access
from servers.registry import Registry

from carferry.errors import CarferryError, InputError, ToolFailed
from carferry.refs import ImageRef
from carferry.registry.logins.helpers import ask_helper
from carferry.registry.logins.login import Login
from carferry.registry.logins.places import find_login

REF = ImageRef.parse("quay.io/team/model:1")
GIVES = """read server; echo "$1 $server" >> "$0.asked"
echo '{"ServerURL":"'"$server"'","Username":"me","Secret":"sesame"}'"""
NOT_FOUND = "echo 'credentials not found in native keychain'; exit 1"

Make = Callable[[str, str], Path]


@pytest.fixture
def helper(tmp_path: Path) -> Make:
    """Write a real helper program on a PATH of its own."""

    def make(name: str, script: str) -> Path:
        path = tmp_path / "bin" / f"docker-credential-{name}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment with the helpers on its PATH."""
    return {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def found(tmp_path: Path, document: object, ref: ImageRef = REF) -> Login | None:
    """Return the login that a file gives."""
    file = tmp_path / "auth.json"
    file.write_text(json.dumps(document))
    return find_login(ref, env=env(tmp_path), auth_file=file)


@pytest.mark.parametrize(
    ("document", "image", "asked"),
    [
        ({"credHelpers": {"quay.io": "own"}}, "quay.io/a/b", "quay.io"),
        ({"credHelpers": {"quay.io:443": "own"}}, "quay.io/a/b", "quay.io:443"),
        ({"credHelpers": {"QUAY.IO": "own"}}, "quay.io/a/b", "QUAY.IO"),
        ({"credHelpers": {"https://quay.io": "own"}}, "quay.io/a/b", "https://quay.io"),
        ({"credHelpers": {"docker.io": "own"}}, "docker.io/a/b", "docker.io"),
        ({"credHelpers": {"https://index.docker.io/v1/": "own"}}, "docker.io/a/b",
         "https://index.docker.io/v1/"),
        ({"credsStore": "own"}, "quay.io/a/b", "quay.io"),
        ({"credsStore": "own"}, "docker.io/a/b", "https://index.docker.io/v1/"),
        ({"auths": {"quay.io": {}}, "credsStore": "own"}, "quay.io/a/b", "quay.io"),
        ({"auths": {"quay.io": {"auth": "eDp5"}}, "credHelpers": {"quay.io": "own"}},
         "quay.io/a/b", "quay.io"),
        ({"credHelpers": {"quay.io": "own"}, "credsStore": "none"}, "quay.io/a/b", "quay.io"),
        ({"credHelpers": {"quay.io": ""}, "credsStore": "own"}, "quay.io/a/b", "quay.io"),
    ],
)  # fmt: skip
def test_a_helper_is_asked_as_docker_and_podman_ask(
    helper: Make, tmp_path: Path, document: object, image: str, asked: str
) -> None:
    program = helper("own", GIVES)
    assert found(tmp_path, document, ImageRef.parse(image)) == Login("me", "sesame")
    assert Path(f"{program}.asked").read_text() == f"get {asked}\n"


@pytest.mark.parametrize(
    ("written", "login"),
    [
        ('{"Username":"<token>","Secret":"it"}', Login(identity_token="it")),
        ('{"username":"me","secret":"x","more":1}', Login("me", "x")),
        ('{"Username":"","Secret":"x"}', Login("", "x")),
        ('{"Username":"","Secret":""}', None),
        ("{}", None),
        ('{"Username":null,"Secret":null}', None),
    ],
)
def test_what_a_helper_writes_is_a_login(
    helper: Make, tmp_path: Path, written: str, login: Login | None
) -> None:
    helper("own", f"cat > /dev/null; echo '{written}'")
    assert found(tmp_path, {"credHelpers": {"quay.io": "own"}}) == login


def test_a_helper_without_the_login_leaves_the_word_to_the_next_file(
    helper: Make, tmp_path: Path
) -> None:
    helper("own", NOT_FOUND)
    document = {"credHelpers": {"quay.io": "own"}, "auths": {"quay.io": {"auth": "eDp5"}}}
    assert found(tmp_path, document) is None
    assert found(tmp_path, {"credsStore": "own", "auths": {"quay.io": {}}}) is None
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text('{"auths": {"quay.io": {"auth": "bWU6eA"}}}')
    named = env(tmp_path) | {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    assert find_login(REF, env=named) == Login("me", "x")


def test_a_plain_login_wins_over_the_store_of_all_hosts(helper: Make, tmp_path: Path) -> None:
    helper("own", GIVES)
    document = {"credsStore": "own", "auths": {"quay.io": {"auth": "eDp5"}}}
    assert found(tmp_path, document) == Login("x", "y")


FAILS: dict[str, tuple[str, str]] = {
    "its words": ("echo 'keychain is locked'; exit 1", r"exit 1: keychain is locked"),
    "its words on stderr": ("echo 'no D-Bus' >&2; exit 2", r"exit 2: no D-Bus"),
    "none": ("exit 3", r"exit 3: it said nothing"),
    "its address": ("echo 'no credentials server URL'; exit 1", "no credentials server URL"),
    "no login": ("echo hello", "no login that can be read"),
    "an array": ("echo '[]'", "no login that can be read"),
    "a number": ("""echo '{"Username":1,"Secret":"sesame"}'""", "no login that can be read"),
    "cut short": ("""echo '{"Username":"me","Secret":"sesame'""", "no login that can be read"),
    "a login and a failure": ("""echo '{"Secret":"sesame"}'; exit 1""", "its output is not shown"),
    "a token": ("echo 'bad token hf_abcdefghijk'; exit 1", r"bad token \*\*\*"),
    "a terminal's codes": ("printf '\\033[2Jgone'; exit 1", r"exit 1: \\x1b\[2Jgone"),
    "endless": ("yes sesame", "over 1048576 bytes"),
    "endless errors": ("yes sesame >&2", "over 1048576 bytes"),
    "no program": ("exec /nowhere/to/be/found", "exit 12[67]"),
}


@pytest.mark.parametrize("name", FAILS)
def test_a_helper_that_fails_gives_its_reason_and_no_secret(
    name: str, helper: Make, tmp_path: Path
) -> None:
    script, words = FAILS[name]
    helper("own", script)
    with pytest.raises(ToolFailed, match=words) as caught:
        found(tmp_path, {"credHelpers": {"quay.io": "own"}})
    assert "sesame" not in str(caught.value) + repr(caught.value.__cause__)
    assert len(str(caught.value).splitlines()) == 1


def test_a_helper_that_hangs_is_ended(helper: Make, tmp_path: Path) -> None:
    helper("own", "sleep 60 & sleep 60")
    start = time.monotonic()
    with pytest.raises(ToolFailed, match=r"no answer within 0\.3 seconds"):
        ask_helper("own", "quay.io", where="f", env=env(tmp_path), timeout_s=0.3)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("document", [
    {"credHelpers": {"quay.io": "gone"}}, {"credsStore": "gone", "auths": {"quay.io": {}}},
])  # fmt: skip
def test_a_helper_that_is_missing_is_named_with_the_remedy(
    tmp_path: Path, document: object
) -> None:
    with pytest.raises(
        InputError, match=r"docker-credential-gone is installed; install it, or run podman login"
    ):
        found(tmp_path, document)


@pytest.mark.parametrize("name", ["../own", "/bin/own", "own get", "-own", "a;b", "own\n", 7, []])
def test_a_name_that_is_no_helper_runs_nothing(helper: Make, tmp_path: Path, name: object) -> None:
    helper("own", GIVES)
    with pytest.raises(InputError, match="is no name of a credential helper"):
        found(tmp_path, {"credHelpers": {"quay.io": name}})


def test_a_store_that_fails_does_not_stop_the_reading_of_a_public_image(
    helper: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    helper("own", "echo 'Cannot autolaunch D-Bus'; exit 1")
    assert found(tmp_path, {"credsStore": "own"}) is None
    assert "Cannot autolaunch D-Bus" in caplog.text
    with pytest.raises(CarferryError, match="Cannot autolaunch"):
        found(tmp_path, {"credsStore": "own", "auths": {"https://quay.io": {}}})


@pytest.mark.parametrize("kind", ["registry_basic", "registry_bearer"])
def test_a_helper_opens_a_real_registry(
    kind: str, helper: Make, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: Registry = request.getfixturevalue(kind)
    login = {"Username": server.login.user, "Secret": server.login.password}
    helper("own", f"cat > /dev/null; echo '{json.dumps(login)}'")
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"credHelpers": {server.host: "own"}}))
    for variable in ({"REGISTRY_AUTH_FILE": str(file)}, {"DOCKER_CONFIG": str(tmp_path)}):
        given = access(server.host, env=env(tmp_path) | variable)
        given.open(ImageRef(server.host, "org/tiny", "v1"), write=True).check_push()


def runs(program: Path) -> int:
    """Return how often a helper was run that writes down what it is asked."""
    asked = Path(f"{program}.asked")
    return len(asked.read_text().splitlines()) if asked.exists() else 0


def test_a_helper_runs_once_for_all_places_of_a_host(helper: Make, tmp_path: Path) -> None:
    program = helper("own", GIVES)
    document = {"credHelpers": {"quay.io": "own", "ghcr.io": "own"}}
    for repository in ("a/b", "a/c", "a/b"):
        assert found(tmp_path, document, ImageRef("quay.io", repository)) == Login("me", "sesame")
    assert runs(program) == 1
    found(tmp_path, document, ImageRef("ghcr.io", "a/b"))
    assert runs(program) == 2


def test_a_helper_without_a_login_is_asked_once_too(helper: Make, tmp_path: Path) -> None:
    program = helper("own", f'echo x >> "$0.asked"; {NOT_FOUND}')
    for _ in range(3):
        assert found(tmp_path, {"credHelpers": {"quay.io": "own"}}) is None
    assert runs(program) == 1


def test_a_helper_is_asked_anew_after_minutes_and_after_a_failure(
    helper: Make, tmp_path: Path
) -> None:
    program = helper("own", GIVES)
    given = {"where": "f", "env": env(tmp_path)}
    for now in (0.0, 200.0, 400.0):
        ask_helper("own", "quay.io", clock=lambda now=now: now, **given)  # type: ignore[misc]
    assert runs(program) == 2
    helper("weak", 'echo x >> "$0.asked"; exit 1')
    for _ in range(2):
        with pytest.raises(ToolFailed):
            ask_helper("weak", "quay.io", **given)  # type: ignore[arg-type]
    assert runs(tmp_path / "bin/docker-credential-weak") == 2


def test_a_login_that_is_refused_is_forgotten(
    helper: Make, tmp_path: Path, registry_basic: Registry
) -> None:
    right = {"Username": registry_basic.login.user, "Secret": registry_basic.login.password}
    wrong = json.dumps({"Username": "ferry", "Secret": "of-yesterday"})
    script = f"""cat > /dev/null; echo x >> "$0.asked"
[ $(wc -l < "$0.asked") = 1 ] && echo '{wrong}' || echo '{json.dumps(right)}'"""
    program = helper("own", script)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"credHelpers": {registry_basic.host: "own"}}))
    given = access(registry_basic.host, env=env(tmp_path), auth_file=file)
    for _ in range(3):
        given.open(ImageRef(registry_basic.host, "org/tiny", "v1"), write=True).check_push()
    assert runs(program) == 2


def test_nothing_of_a_helper_that_hangs_lives_on(helper: Make, tmp_path: Path) -> None:
    helper("own", 'sh -c \'echo $$ > "$0.child"; exec sleep 60\' "$0" & wait')
    child = tmp_path / "bin/docker-credential-own.child"
    with pytest.raises(ToolFailed, match="no answer"):
        ask_helper("own", "quay.io", where="f", env=env(tmp_path), timeout_s=1.0)
    number = int(child.read_text())
    until = time.monotonic() + 5
    while is_alive(number) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_alive(number)


def is_alive(number: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for is over."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
