"""Each shape of a login that kubelet, podman or docker takes gives the login they get."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ferrying import access
from servers.registry import Registry

from carferry.errors import InputError
from carferry.refs import ImageRef
from carferry.registry.blobs import put_blob
from carferry.registry.logins.login import Login
from carferry.registry.logins.places import find_login

REF = ImageRef.parse("quay.io/team/model:1")


def coded(text: str, encoding: str = "utf-8") -> str:
    """Return text in base64."""
    return base64.b64encode(text.encode(encoding)).decode()


ENTRIES: dict[str, tuple[Any, Login]] = {
    "padded": ({"auth": coded("me:pass")}, Login("me", "pass")),
    "without padding": ({"auth": coded("me:pass").rstrip("=")}, Login("me", "pass")),
    "in lines": ({"auth": "bWU6\r\ncGFzcw==\n"}, Login("me", "pass")),
    "for addresses": ({"auth": "bWU6Pz8_Pz8-"}, Login("me", "?????>")),
    "a colon in the password": ({"auth": coded("me:a:b")}, Login("me", "a:b")),
    "OpenShift's Secret": (
        {"username": "<token>", "password": "jwt", "email": "x@y", "auth": coded("<token>:jwt")},
        Login("<token>", "jwt"),
    ),
    "a ServiceAccount's name": (
        {"auth": coded("system:serviceaccount:a:b:jwt")},
        Login("system", "serviceaccount:a:b:jwt"),
    ),
    "no password": ({"auth": coded("me:")}, Login("me", "")),
    "no user": ({"auth": coded(":pass")}, Login("", "pass")),
    "bytes behind": ({"auth": coded("me:pass\0\0")}, Login("me", "pass")),
    "Latin letters": ({"auth": coded("me:\xe9", "latin-1")}, Login("me", "\udce9")),
    "auth wins": ({"auth": coded("me:pass"), "username": "you", "password": "x"},
                  Login("me", "pass")),
    "apart": ({"username": "me", "password": "pass"}, Login("me", "pass")),
    "an empty auth": ({"auth": "", "username": "me", "password": "pass"}, Login("me", "pass")),
    "null beside": ({"auth": None, "username": "me", "password": None}, Login("me", "")),
    "an identity token": ({"auth": coded("me:"), "identitytoken": "it"}, Login("me", "", "it")),
    "Azure's": ({"auth": coded("00000000-0000-0000-0000-000000000000:"), "identitytoken": "it"},
                Login("00000000-0000-0000-0000-000000000000", "", "it")),
    "tokens alone": ({"identitytoken": "it"}, Login("", "", "it")),
    "a registry token": ({"registrytoken": "rt\n", "auth": coded("me:x")},
                         Login("me", "x", "", "rt")),
    "names in any case": ({"Auth": coded("me:pass"), "identityToken": "it"},
                          Login("me", "pass", "it")),
}  # fmt: skip


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_is_read_as_docker_reads_it(name: str, tmp_path: Path) -> None:
    entry, login = ENTRIES[name]
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {"quay.io": entry}}))
    assert find_login(REF, env={}, auth_file=file) == login


DOCUMENT = json.dumps({"auths": {"quay.io": {"auth": coded("me:pass")}}})
LEGACY = json.dumps({"https://quay.io": {"auth": coded("me:pass")}})
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"}}
UNLIKE = {"kind": "Secret", "data": {"password": coded("sesame")}}
OTHER = {"kind": "Secret", "data": {".dockerconfigjson": coded('{"auths": {"x.io": null}}')}}
FILES: dict[str, str | bytes] = {
    "a byte order mark": b"\xef\xbb\xbf" + DOCUMENT.encode(),
    "UTF-16, as PowerShell writes it": DOCUMENT.encode("utf-16"),
    "blanks around": f"\n\n {DOCUMENT}\n",
    "names in any case": DOCUMENT.replace("auths", "Auths"),
    "the inner map": LEGACY,
    "a Secret in JSON": json.dumps(SECRET | {"data": {".dockerconfigjson": coded(DOCUMENT)}}),
    "a Secret in YAML": yaml.dump(SECRET | {"data": {".dockerconfigjson": coded(DOCUMENT)}}),
    "a Secret in folded lines": "kind: Secret\ndata:\n  .dockerconfigjson: >-\n    "
    + "\n    ".join(coded(DOCUMENT)[i : i + 20] for i in range(0, 200, 20)),
    "an old Secret": yaml.dump(SECRET | {"data": {".dockercfg": coded(LEGACY)}}),
    "stringData": yaml.dump(SECRET | {"stringData": {".dockerconfigjson": DOCUMENT}}),
    "both": yaml.dump(
        SECRET
        | {"data": {".dockerconfigjson": coded("{}")}}
        | {"stringData": {".dockerconfigjson": DOCUMENT}}
    ),
    "documents": yaml.dump_all(
        [OTHER, None, UNLIKE, SECRET | {"data": {".dockerconfigjson": coded(DOCUMENT)}}]
    ),
    "a List": json.dumps(
        {
            "kind": "List",
            "items": [
                OTHER, {"kind": "ConfigMap"}, SECRET | {"stringData": {"config.json": DOCUMENT}}
            ],
        }
    ),
    "comments before": "# of the robot\n---\n"
    + yaml.dump(SECRET | {"stringData": {".dockercfg": LEGACY}}),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_any_shape_gives_the_login(name: str, tmp_path: Path) -> None:
    content, file = FILES[name], tmp_path / "logins"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert find_login(REF, env={}, auth_file=file) == Login("me", "pass")


@pytest.mark.parametrize("named", ["/dev/null", "empty", "blank"])
def test_nothing_is_nobody_wherever_else_a_login_is(named: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "blank").write_bytes(b"\n")
    (tmp_path / "config.json").write_text(DOCUMENT)
    path = str(tmp_path / named)
    env = {"REGISTRY_AUTH_FILE": path, "DOCKER_CONFIG": str(tmp_path)}
    assert find_login(REF, env=env) is None
    assert find_login(REF, env={}, auth_file=Path(path)) is None
    assert find_login(REF, env={"DOCKER_CONFIG": str(tmp_path)}) == Login("me", "pass")


def test_a_file_without_end_is_not_read_to_it() -> None:
    with pytest.raises(InputError, match=r"/dev/zero: over \d+ bytes"):
        find_login(REF, env={"REGISTRY_AUTH_FILE": "/dev/zero"})


@pytest.mark.parametrize("tool", ["podman", "skopeo"])
@pytest.mark.parametrize("kind", ["registry_basic", "registry_bearer"])
def test_what_login_commands_write_opens_the_registry(
    tool: str, kind: str, tools: Callable[..., str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: Registry = request.getfixturevalue(kind)
    file = tmp_path / "auth.json"
    command = [tools(tool), "login", "--authfile", file, "--tls-verify=false", server.host]
    login = ["--username", server.login.user, "--password-stdin"]
    subprocess.run(
        [*command, *login], input=server.login.password, text=True, check=True, capture_output=True
    )
    found = find_login(ImageRef(server.host, "org/tiny"), env={}, auth_file=file)
    assert found == Login(server.login.user, server.login.password)


@pytest.mark.parametrize("key", ["{}", "{}/org", "{}/org/tiny", "http://{}", "https://{}/v1/"])
@pytest.mark.parametrize("good", [True, False])
def test_skopeo_takes_the_same_login_from_the_same_file(
    key: str, good: bool, registry_basic: Registry, tools: Callable[..., str], tmp_path: Path
) -> None:
    """A shorter key beside it holds a login that does not open it, and longer ones win."""
    host, file = registry_basic.host, tmp_path / "auth.json"
    pair = coded(f"{registry_basic.login.user}:{registry_basic.login.password}")
    entries = {"127.0.0.1": coded("x:y"), f"{host}/org/tin": coded("x:y")}
    entries |= {key.format(host): pair if good else coded("x:y")}
    file.write_text(json.dumps({"auths": {name: {"auth": each} for name, each in entries.items()}}))
    skopeo = [tools("skopeo"), "list-tags", "--authfile", file, "--tls-verify=false"]
    done = subprocess.run([*skopeo, f"docker://{host}/org/tiny"], capture_output=True, text=True)
    by_skopeo = "unauthorized" not in done.stderr and "authentication" not in done.stderr
    target = access(host, auth_file=file).open(ImageRef(host, "org/tiny"), write=True)
    try:
        put_blob(target, b"{}")
        by_us = True
    except Exception:
        by_us = False
    assert by_us == by_skopeo == good
