"""Real skopeo talks to each kind of registry the fixtures start."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from servers.images import write_layout
from servers.registry import Registry

Tools = Callable[..., str]


@pytest.fixture
def layout(tmp_path: Path) -> tuple[Path, str]:
    """An OCI layout and its manifest digest."""
    folder = tmp_path / "layout"
    return folder, write_layout(folder, [b"\0" * 10240])


def push(
    tools: Tools, layout: Path, target: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Copy the layout's image to a registry with skopeo."""
    command = [
        *(tools("skopeo"), "--insecure-policy", "copy", "--quiet", "--preserve-digests"),
        *("--dest-compress=false", *options, f"oci:{layout}:latest", f"docker://{target}"),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_anybody_may_push_to_an_open_registry(
    registry: Registry, layout: tuple[Path, str], tools: Tools
) -> None:
    folder, digest = layout
    done = push(tools, folder, f"{registry.host}/org/a:v1", "--dest-tls-verify=false")
    assert (done.returncode, done.stderr) == (0, "")
    assert registry.tags("org/a") == {"v1": digest}
    assert {path.name for path in (folder / "blobs/sha256").iterdir()} == {
        name.removeprefix("sha256:") for name in registry.blobs()
    }
    assert len(registry.links("org/a")) == 2
    assert ("PUT", "/v2/org/a/manifests/v1", 201) in [
        (access.method, access.path, access.status) for access in registry.log
    ]


@pytest.mark.parametrize("kind", ["registry_basic", "registry_bearer"])
def test_a_login_opens_the_registry_and_a_wrong_one_does_not(
    kind: str, layout: tuple[Path, str], tools: Tools, request: pytest.FixtureRequest
) -> None:
    server: Registry = request.getfixturevalue(kind)
    target, plain = f"{server.host}/org/a:v1", "--dest-tls-verify=false"
    denied = push(tools, layout[0], target, plain, "--dest-no-creds")
    wrong = push(tools, layout[0], target, plain, "--dest-creds=ferry:wrong")
    done = push(tools, layout[0], target, plain, f"--dest-authfile={server.auth_file}")
    assert (denied.returncode, wrong.returncode) == (1, 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert server.tags("org/a") == {"v1": layout[1]}


def test_a_token_may_grant_pulls_alone(
    registry_bearer: Registry, layout: tuple[Path, str], tools: Tools
) -> None:
    assert registry_bearer.tokens is not None
    registry_bearer.tokens.only = frozenset({"pull"})
    target = f"{registry_bearer.host}/org/a:v1"
    login = f"--dest-authfile={registry_bearer.auth_file}"
    done = push(tools, layout[0], target, "--dest-tls-verify=false", login)
    assert done.returncode == 1
    assert registry_bearer.tags("org/a") == {}
    assert any("scope=repository" in asked.path for asked in registry_bearer.tokens.log)


def test_an_expired_token_is_refused(
    registry_bearer: Registry, layout: tuple[Path, str], tools: Tools
) -> None:
    assert registry_bearer.tokens is not None
    registry_bearer.tokens.lifetime_s = -5
    target = f"{registry_bearer.host}/org/a:v1"
    login = f"--dest-authfile={registry_bearer.auth_file}"
    assert push(tools, layout[0], target, "--dest-tls-verify=false", login).returncode == 1


def test_tls_needs_the_authority_of_the_test(
    registry_tls: Registry, layout: tuple[Path, str], tools: Tools
) -> None:
    assert registry_tls.certificates is not None
    target = f"{registry_tls.host}/org/a:v1"
    unknown = push(tools, layout[0], target)
    trusted = push(tools, layout[0], target, f"--dest-cert-dir={registry_tls.certificates.folder}")
    assert (unknown.returncode, trusted.returncode) == (1, 0)
    assert "x509" in unknown.stderr


def test_a_missing_program_is_named_with_its_package(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception, match="apt-get install some-package"):
        tools("no-such-program", "some-package")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install some-package"):
        tools("no-such-program", "some-package")
