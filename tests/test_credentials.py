"""Logins are found where podman, docker and Kubernetes put them, and never shown."""

from __future__ import annotations

import base64
import json
import os
import threading
from pathlib import Path

import pytest
from servers.models import write

from carferry.errors import InputError
from carferry.refs import ImageRef
from carferry.registry.logins.login import Login
from carferry.registry.logins.places import find_login

REF = ImageRef.parse("quay.io/team/project/model:1")


def auth(user: str, password: str = "sesame") -> dict[str, str]:
    """Return an entry of a login file."""
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def found(tmp_path: Path, document: object, ref: ImageRef = REF) -> str | None:
    """Return the user that a login file gives for an image."""
    path = tmp_path / "auth.json"
    path.write_text(json.dumps(document))
    login = find_login(ref, env={}, auth_file=path)
    return login.username if login else None


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        ("quay.io", True),
        ("https://quay.io", True),
        ("https://quay.io/v2/", True),
        ("http://quay.io/v1", True),
        ("quay.io/team", True),
        ("quay.io/team/project", True),
        ("quay.io/team/project/model", True),
        ("quay.io/tea", False),
        ("quay.io/team/project/model/x", False),
        ("quay.io/other", False),
        ("quay.io:443", True),
        ("quay.io:80", True),
        ("quay.io:8443", False),
        ("QUAY.io", True),
        ("https://Quay.IO:443/v2/team/", True),
        ("HTTP://quay.io//", True),
        ("https://quay.io/accounts/login", True),
        ("quay.io/accounts/login", False),
        ("quay.io/v2", True),
        ("quay.io/team/", True),
        (" quay.io", True),
        ("notquay.io", False),
        ("quay.io.evil.com", False),
        ("*.io", True),
        ("*.io/team", True),
        ("qu*.io", True),
        ("*", False),
        ("*.quay.io", False),
        ("", False),
    ],
)
def test_a_key_fits_whole_parts_of_a_name(tmp_path: Path, key: str, fits: bool) -> None:
    assert found(tmp_path, {"auths": {key: auth("me")}}) == ("me" if fits else None)


def test_the_longest_key_wins_wherever_it_stands(tmp_path: Path) -> None:
    entries = {
        "quay.io/team": auth("team"),
        "quay.io": auth("everybody"),
        "quay.io/team/project": auth("project"),
        "*.io": auth("glob"),
    }
    assert found(tmp_path, {"auths": entries}) == "project"
    assert found(tmp_path, {"auths": dict(reversed(entries.items()))}) == "project"


def test_an_empty_entry_does_not_hide_a_shorter_key(tmp_path: Path) -> None:
    """Docker leaves empty entries behind for hosts whose login a helper keeps."""
    assert found(tmp_path, {"auths": {"quay.io": auth("me"), "quay.io/team": {}}}) == "me"


@pytest.mark.parametrize("key", ["docker.io", "index.docker.io", "https://index.docker.io/v1/"])
def test_docker_keeps_its_own_hub_under_a_name_of_its_own(tmp_path: Path, key: str) -> None:
    ref = ImageRef.parse("docker.io/library/model:1")
    assert found(tmp_path, {"auths": {key: auth("me")}}, ref) == "me"


def test_a_password_may_hold_colons_and_letters_of_any_script(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {"quay.io": auth("me", "a:b:\u00e9")}}))
    assert find_login(REF, env={}, auth_file=path) == Login("me", "a:b:\u00e9")


def test_user_and_password_may_stand_apart(tmp_path: Path) -> None:
    entry = {"username": "me", "password": "sesame", "email": "x@y"}
    assert found(tmp_path, {"auths": {"quay.io": entry}}) == "me"


def test_an_identity_token_is_kept_for_the_token_server(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {"quay.io": auth("<token>") | {"identitytoken": "it"}}}))
    assert find_login(REF, env={}, auth_file=path) == Login("<token>", "sesame", "it")


@pytest.mark.parametrize("name", [".dockerconfigjson", "config.json", "auth.json"])
def test_a_folder_is_a_mounted_secret(tmp_path: Path, name: str) -> None:
    write({name: json.dumps({"auths": {"quay.io": auth("me")}}).encode()}, tmp_path)
    login = find_login(REF, env={"REGISTRY_AUTH_FILE": str(tmp_path)})
    assert login == Login("me", "sesame")


def test_the_legacy_secret_is_the_inner_map_alone(tmp_path: Path) -> None:
    write({".dockercfg": json.dumps({"https://quay.io": auth("me")}).encode()}, tmp_path)
    assert find_login(REF, env={"REGISTRY_AUTH_FILE": str(tmp_path)}) == Login("me", "sesame")


def test_the_places_are_asked_in_the_usual_order(tmp_path: Path) -> None:
    places = {
        "REGISTRY_AUTH_FILE": "a/auth.json",
        "DOCKER_CONFIG": "b/config.json",
        "XDG_RUNTIME_DIR": "c/containers/auth.json",
        "XDG_CONFIG_HOME": "e/containers/auth.json",
        "HOME": "d/.docker/config.json",
    }
    folders = {"DOCKER_CONFIG": "b", "XDG_RUNTIME_DIR": "c", "HOME": "d", "XDG_CONFIG_HOME": "e"}
    env = {name: str(tmp_path / folders.get(name, path)) for name, path in places.items()}
    users = []
    for name, path in places.items():
        write({path: json.dumps({"auths": {"quay.io": auth(name)}}).encode()}, tmp_path)
    for path in places.values():
        login = find_login(REF, env=env)
        users.append(login.username if login else "")
        (tmp_path / path).unlink()
    assert users == list(places)
    assert find_login(REF, env=env) is None


def test_a_file_without_our_registry_leaves_the_word_to_the_next(tmp_path: Path) -> None:
    write({"a.json": json.dumps({"auths": {"other.io": auth("no")}}).encode()}, tmp_path)
    write({"config.json": json.dumps({"auths": {"quay.io": auth("me")}}).encode()}, tmp_path)
    env = {"REGISTRY_AUTH_FILE": str(tmp_path / "a.json"), "DOCKER_CONFIG": str(tmp_path)}
    assert find_login(REF, env=env) == Login("me", "sesame")


def test_an_optional_secret_that_is_not_mounted_is_no_error(tmp_path: Path) -> None:
    assert find_login(REF, env={"REGISTRY_AUTH_FILE": str(tmp_path / "none")}) is None
    assert find_login(REF, env={"REGISTRY_AUTH_FILE": str(tmp_path)}) is None


def test_a_named_file_that_is_not_there_is_passed_over_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write({"config.json": json.dumps({"auths": {"quay.io": auth("me")}}).encode()}, tmp_path)
    missing = tmp_path / "slip.json"
    env = {"REGISTRY_AUTH_FILE": str(missing), "DOCKER_CONFIG": str(tmp_path)}
    assert [find_login(REF, env=env) for _ in range(2)] == [Login("me", "sesame")] * 2
    (line,) = caplog.messages
    assert f"no file {missing}, which REGISTRY_AUTH_FILE names" in line


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none: no such file"):
        find_login(REF, env={}, auth_file=tmp_path / "none")


@pytest.mark.parametrize(
    "text",
    [
        "not json sesame",
        '["sesame"]',
        '"sesame"',
        '{"auths": {"quay.io": {"auth": "sesame!"}}}',
        '{"auths": {"quay.io": {"auth": "/////w=="}}}',
        '{"auths": {"quay.io": {"auth": 7}}}',
        '{"auths": {"quay.io": {"auth": "c2VzYW1l"}}}',
        '{"auths": {"quay.io": {"username": ["sesame"]}}}',
        '{"auths": {"quay.io": {"registrytoken": "sesame\\r\\nX-Evil: 1"}}}',
        '{"auths": {"quay.io": "sesame"}}',
        '{"auths": ["sesame"]}',
        "[" * 100_000,
        "{" * 100_000,
        "- [" * 100_000,
        "&a sesame: *b",
        "kind: Secret\ndata: {.dockerconfigjson: sesame}",
        "kind: Secret\ndata: {password: sesame}",
    ],
)
def test_a_broken_file_is_named_and_its_content_is_not(tmp_path: Path, text: str) -> None:
    path = tmp_path / "auth.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        find_login(REF, env={}, auth_file=path)
    assert str(path) in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"auths": {}},
        {"auths": None},
        {"auths": {"quay.io": None}},
        {"auths": {"quay.io": {"auth": None, "username": None, "password": None}}},
        {"auths": {"quay.io": {"email": "x@y"}}},
        {"credHelpers": None, "credsStore": None},
    ],
)
def test_a_file_without_logins_gives_none(tmp_path: Path, document: object) -> None:
    assert found(tmp_path, document) is None


@pytest.mark.parametrize("broken", [3, "x", [], {"auth": "!"}, {"auth": 7}, {"username": {}}])
def test_a_mistake_in_the_entry_of_another_host_breaks_nothing(
    tmp_path: Path, broken: object
) -> None:
    others = {"a.io": broken, "*.com": broken, "quay.io/other": broken, "": broken}
    assert found(tmp_path, {"auths": others | {"quay.io": auth("me")}}) == "me"
    wider = {"*.io": broken, "quay.io": broken, "quay.io/team": auth("me")}
    assert found(tmp_path, {"auths": wider}) == "me"


def test_a_login_beside_a_helper_for_another_host_counts(tmp_path: Path) -> None:
    document = {"auths": {"quay.io": auth("me")}, "credHelpers": {"x.io": "ecr"}}
    assert found(tmp_path, document) == "me"


def test_a_store_for_everything_says_nothing_of_a_host_without_a_login(
    tmp_path: Path,
) -> None:
    """Docker Desktop writes one; a public base must still be pulled without a login."""
    assert found(tmp_path, {"auths": {"x.io": {}}, "credsStore": "desktop"}) is None


def test_a_login_does_not_print_its_secrets() -> None:
    assert repr(Login("me", "sesame", "token", "token")) == "Login(username='me')"


def text(host: str, user: str) -> str:
    """Return a login file's text."""
    return json.dumps({"auths": {host: auth(user)}})


TEXTS = {
    "an object": (text("quay.io", "text"), "text"),
    "indented": (json.dumps({"auths": {"quay.io": auth("text")}}, indent=2) + "\n", "text"),
    "of another host": (text("ghcr.io", "text"), "file"),
    "empty": ("", "file"),
    "blanks": (" \n", "file"),
    "without logins": ("{}", "file"),
    "the inner map": (json.dumps({"quay.io": auth("text")}), "text"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_variable_may_hold_the_text_of_a_login_file(name: str, tmp_path: Path) -> None:
    written, user = TEXTS[name]
    (tmp_path / "config.json").write_text(text("quay.io", "file"))
    env = {"DOCKER_AUTH_CONFIG": written, "DOCKER_CONFIG": str(tmp_path)}
    login = find_login(REF, env=env)
    assert login is not None
    assert login.username == user


def test_a_named_file_comes_before_the_variable_with_text(tmp_path: Path) -> None:
    (tmp_path / "named.json").write_text(text("quay.io", "named"))
    env = {"DOCKER_AUTH_CONFIG": text("quay.io", "text")}
    login = find_login(REF, env=env | {"REGISTRY_AUTH_FILE": str(tmp_path / "named.json")})
    assert login is not None
    assert login.username == "named"


@pytest.mark.parametrize("written", ["sesame", "/home/me/config.json", "[]", '{"auths": []}'])
def test_a_variable_that_is_no_login_file_is_named_and_its_text_is_not(written: str) -> None:
    with pytest.raises(InputError, match="read logins DOCKER_AUTH_CONFIG: ") as caught:
        find_login(REF, env={"DOCKER_AUTH_CONFIG": written})
    assert "sesame" not in str(caught.value)


def test_a_pipe_is_read_once_for_all_registries(tmp_path: Path) -> None:
    ends = os.pipe()  # as a shell's <(...)
    with os.fdopen(ends[1], "w") as pipe:
        pipe.write(json.dumps({"auths": {"quay.io": auth("me"), "ghcr.io": auth("you")}}))
    env = {"REGISTRY_AUTH_FILE": f"/dev/fd/{ends[0]}"}
    users = [
        login.username if (login := find_login(ImageRef(host, "a/b"), env=env)) else None
        for host in ("quay.io", "ghcr.io", "quay.io")
    ]
    os.close(ends[0])
    assert users == ["me", "you", "me"]


def test_a_named_pipe_is_opened_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "auth.json")
    writer = threading.Thread(
        target=lambda: (tmp_path / "auth.json").write_text(text("quay.io", "me")), daemon=True
    )
    writer.start()
    for _ in range(2):
        login = find_login(REF, env={}, auth_file=tmp_path / "auth.json")
        assert login is not None
        assert login.username == "me"
    writer.join(5)
