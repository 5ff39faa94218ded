"""A build with passwords everywhere shows none of them, whatever is printed and kept."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ferrying import REPO
from servers.hub import Hub
from servers.mirror import Mirror
from servers.models import tiny
from servers.registry import Registry

PASSWORD, TOKEN, RUN = "pa/ss-WORD@1", "hf_" + "Qx7" * 8, "run-secret-0123456789"
"""As typed; in addresses it is escaped."""
QUOTED = "pa%2Fss-WORD%401"
PROXY = "proxy-PASS-77"


def basic(pair: str) -> str:
    """Return the header of a login."""
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Hub, Registry]]:
    with Hub() as hub, Registry(tmp_path / "registry", auth="basic") as registry:
        hub.mirror = Mirror(login=basic(f"me:{PASSWORD}"))
        hub.add(REPO, tiny())
        yield hub, registry


def secrets_of(registry: Registry) -> list[str]:
    assert registry.login is not None
    own = registry.login.password
    pairs = [f"me:{PASSWORD}", f"{registry.login.user}:{own}", f"proxy-user:{PROXY}"]
    return [
        PASSWORD, QUOTED, TOKEN, RUN, PROXY, own,
        *(base64.b64encode(pair.encode()).decode() for pair in pairs),
    ]  # fmt: skip


def environ(hub: Hub, registry: Registry) -> dict[str, str]:
    proxy = f"http://proxy-user:{PROXY}@127.0.0.1:9"
    return {
        **{n: v for n, v in os.environ.items() if not n.startswith("CARFERRY_")},
        "HF_ENDPOINT": hub.endpoint.replace("://", f"://me:{QUOTED}@"),
        "HF_TOKEN": TOKEN,
        "HTTPS_PROXY": proxy,
        "NO_PROXY": "127.0.0.1",
        "REGISTRY_AUTH_FILE": str(registry.auth_file),
        "CARFERRY_RUN": RUN,
    }


def carferry(env: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "carferry", *map(str, words)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def leaks(secrets: list[str], *texts: str) -> list[str]:
    return [secret for secret in secrets for text in texts if secret in text]


@pytest.mark.parametrize("how", ["bars", "lines", "json", "none"])
@pytest.mark.parametrize("more", [(), ("--json",), ("--debug", "-v")], ids=str)
def test_a_build_shows_no_secret(
    places: tuple[Hub, Registry], how: str, more: tuple[str, ...]
) -> None:
    hub, registry = places
    env, where = environ(hub, registry), f"docker://{registry.host}/org/tiny:v1"
    done = carferry(env, "build", REPO, where, "--base", "scratch", "--progress", how, *more)
    assert done.returncode == 0, done.stderr
    assert leaks(secrets_of(registry), done.stdout, done.stderr) == []
    kept = "".join(path.read_bytes().decode("latin-1") for path in registry.blobs().values())
    assert leaks(secrets_of(registry), kept) == []


@pytest.mark.parametrize("more", [(), ("--json",), ("--debug",), ("--progress", "json")], ids=str)
@pytest.mark.parametrize("fault", ["hub", "proxy", "registry", "no hub"])
def test_a_failure_shows_no_secret(
    places: tuple[Hub, Registry], fault: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    hub, registry = places
    env, where = environ(hub, registry), f"docker://{registry.host}/org/tiny:v1"
    if fault == "hub":
        hub.mirror = Mirror(login="Basic other")
    elif fault == "proxy":
        env["HF_ENDPOINT"] = f"http://me:{QUOTED}@hub.invalid"
        env |= {"HTTP_PROXY": env["HTTPS_PROXY"]}
    elif fault == "no hub":
        env["HF_ENDPOINT"] = f"http://me:{QUOTED}@127.0.0.1:9/hub"
    else:
        wrong = basic(f"someone:{PASSWORD}").split()[1]
        given = {registry.host: {"auth": wrong}}
        (tmp_path / "auth.json").write_text(json.dumps({"auths": given}))
        env["REGISTRY_AUTH_FILE"] = str(tmp_path / "auth.json")
    done = carferry(env, "build", REPO, where, "--base", "scratch", *more)
    assert done.returncode in (1, 2), done.stdout
    wrong_pair = basic(f"someone:{PASSWORD}").split()[1]
    assert leaks([*secrets_of(registry), wrong_pair], done.stdout, done.stderr) == []


def test_plans_and_downloads_show_no_secret(places: tuple[Hub, Registry], tmp_path: Path) -> None:
    hub, registry = places
    env, page = environ(hub, registry), tmp_path / "page.html"
    where, out = f"docker://{registry.host}/org/tiny:v1", tmp_path / "files"
    said = ""
    for words in (
        ("plan", REPO),
        ("plan", REPO, "--json"),
        ("plan", REPO, where, "--json", "--base", "scratch"),
        ("plan", REPO, "--gpu", "L4", "--html", page),
        ("download", REPO, out, "--json", "--debug"),
        ("stream", REPO, where, "--worker", "1/2", "--base", "scratch", "--json"),
        ("stream", REPO, where, "--worker", "2/2", "--base", "scratch", "--debug"),
        ("seal", REPO, where, "--base", "scratch", "--debug"),
        ("inspect", where, "--json", "--debug"),
    ):
        done = carferry(env, *words)
        said += done.stdout + done.stderr
    kept = [path.read_text() for path in tmp_path.rglob("*.html")]
    kept += [path.read_text(errors="replace") for path in out.rglob("*") if path.is_file()]
    assert leaks(secrets_of(registry), said, *kept) == []


@pytest.mark.parametrize("more", [(), ("--debug",)], ids=str)
def test_a_local_run_shows_no_secret(
    places: tuple[Hub, Registry], tmp_path: Path, more: tuple[str, ...]
) -> None:
    """Neither on its streams nor in the Markdown that a dashboard shows."""
    hub, registry = places
    root = tmp_path / "runs"
    command = [
        *(sys.executable, str(Path(__file__).parents[1] / "pipelines" / "modelcar.py"), "--local"),
        *("--root", str(root), f"model={REPO}", f"image=docker://{registry.host}/org/tiny:v1"),
        *("settings.base=scratch", "serve=no", *more),
    ]
    env = environ(hub, registry)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"]["plan-model"]["build"]["run"] == "***"
    secret = next(root.rglob("plan-model/executor_output.json")).read_text()
    made = json.loads(secret)["parameterValues"]["build"]["run"]
    pages = [
        path.read_text() for path in root.rglob("*") if path.is_file() and "report" in path.name
    ]
    assert pages
    assert leaks([*secrets_of(registry), made], done.stdout, done.stderr, *pages) == []
