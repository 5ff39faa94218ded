"""What a page's commands meet: a home, a copy of the clone, and servers behind the names.

A `Stage` stands for a whole session of tests: the port behind all names, the forward proxy, the
registry with the base image. A `World` is made on it for one page.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from servers.busybox import busybox_base
from servers.dsp import PipelineServer
from servers.forward import Forward
from servers.hub import Hub
from servers.registry import LOGIN, Registry
from servers.tools import need

from docs import models
from docs.blocks import Block, read
from docs.doors import OWN, PUBLIC, Doors
from docs.pages import ROOT, file
from docs.scenes import scenes
from docs.session import PATIENCE_S, Session
from docs.shims import write_names, write_shims

BASE = "registry.access.redhat.com"
HUB, CDN, MIRROR = "huggingface.co", "cdn-lfs.hf.co", "hub.example.com"
QUAY, COMPANY = "quay.io", "registry.example.com"
PIPELINES = "ds-pipeline-dspa-models.apps.example.com"
PIPELINE_TOKEN = "sha256~of-the-pipeline-server"
PROXY = "proxy.example.com"
_USED = ("curl", "git", "jq", "skopeo")  # on pages, beside ours
_LEFT_OUT = ("tests/", "benchmarks/results/")


class Stage:
    """What all pages share; a context manager.

    Attributes:
        doors: Where the names lead.
        forward: The proxy by which programs get there.
        folder: Of everything.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.doors = Doors(folder / "doors")

    def __enter__(self) -> Self:
        for program in _USED:
            need(program)
        with ExitStack() as stack:
            stack.enter_context(self.doors)
            door = self.doors.port
            self.forward = stack.enter_context(Forward(self.folder / "proxy", door=door))
            self._base = stack.enter_context(_base_registry(self.folder / "base"))
            names = {f"{name}:443": door for name in (*PUBLIC, *OWN)}
            names[f"{PROXY}:3128"] = int(self.forward.host.rpartition(":")[2])
            self.names = write_names(self.folder / "names", names)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def base(self) -> str:
        """Host and port of the registry with the base image."""
        return self._base.host


class World:
    """What one page's commands meet; a context manager, within which its scenes are set.

    Attributes:
        page: Its name from ``docs/``; the README by its name.
        blocks: Of the page.
        home: Its ``$HOME``.
        cwd: Where its commands start: a copy of the clone.
        env: Its commands' variables, all of them; change it before the first command.
        hub: What ``huggingface.co`` and ``hub.example.com`` are, with the models of `models`.
        stack: What is entered here, ends with the page.
        node: The node that ``oc`` speaks to; None for pages that need none.
    """

    node: object = None
    patience_s = PATIENCE_S

    def __init__(self, stage: Stage, page: str, folder: Path) -> None:
        self.stage, self.page, self.folder = stage, page, folder
        self.path = file(page)
        self.blocks: list[Block] = read(self.path)
        self.home, self.cwd = folder / "home", folder / "carferry"
        self._registries: dict[str, Registry] = {}
        self._pipelines: PipelineServer | None = None

    def __enter__(self) -> Self:
        with ExitStack() as self.stack:
            self.home.mkdir(parents=True)
            copy_clone(self.cwd)
            self.env = self._variables()
            self._set_names()
            self.enter()
            self._set_scenes()
            self._kept = self.stack.pop_all()
        self.stack = self._kept
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stack.close()
        self.stage.doors.close_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def enter(self) -> None:
        """Add what a kind of page has more."""

    def session(self) -> Session:
        """Return the shell of the page."""
        return Session(self.cwd, self.env, self.folder / "session", self.patience_s)

    # What scenes use.

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file into the folder where the commands start."""
        path = self.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def run(self, command: str) -> str:
        """Run a shell command as the page would, before its first; return what it prints."""
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=self.cwd,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{command!r} of the scene failed: {done.stdout}")
        return done.stdout

    def lead(self, name: str, server: str | Callable[[], str]) -> None:
        """Have a name lead to a server of this machine: ``127.0.0.1:port``, plain HTTP."""
        self.stage.doors.lead(name, server if callable(server) else lambda: server)

    def registry(self, name: str) -> Registry:
        """Return the registry behind a name, `LOGIN` wanted; started at the first call."""
        if name not in self._registries:
            made = Registry(self.store(name), auth="basic", relative_urls=True)
            self._registries[name] = self.stack.enter_context(made)
        return self._registries[name]

    def store(self, name: str) -> Path:
        """Return the folder of the registry behind a name."""
        return self.folder / "registries" / name

    @property
    def pipelines(self) -> PipelineServer:
        """The pipeline server; its token is in the file ``token`` where a page names the server."""
        if self._pipelines is None:
            made = PipelineServer(token=PIPELINE_TOKEN)
            self._pipelines = self.stack.enter_context(made)
        return self._pipelines

    def log_in(self, *names: str, to: str = "") -> None:
        """Write logins as ``podman login`` does, ``to`` a file as its ``--authfile``.

        Without names: none are left.
        """
        pair = base64.b64encode(f"{LOGIN.user}:{LOGIN.password}".encode()).decode()
        path = self.cwd / to if to else self.home / ".config/containers/auth.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"auths": {name: {"auth": pair} for name in names}}))

    def private_authority(self) -> None:
        """Let the company's names be trusted by none but ``ca-bundle.crt``, which lies there."""
        self.write("ca-bundle.crt", self.stage.doors.company.read_bytes())
        self._trust(self.stage.doors.public)

    # How it is set up.

    def _variables(self) -> dict[str, str]:
        shims = write_shims(self.folder / "bin")
        tools = Path(sys.executable).parent
        proxy = f"http://{self.stage.forward.host}"
        env = {
            "HOME": str(self.home),
            "PATH": f"{shims}:{tools}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "USER": "me",
            "TMPDIR": str(self._temporary()),
            "HTTPS_PROXY": proxy,
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONPATH": str(self.stage.names),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        self._trust(self._both(), env)
        return env

    def _temporary(self) -> Path:
        folder = self.folder / "tmp"
        folder.mkdir()
        return folder

    def _both(self) -> Path:
        both = self.folder / "authorities.pem"
        doors = self.stage.doors
        both.write_bytes(doors.public.read_bytes() + doors.company.read_bytes())
        return both

    def _trust(self, authorities: Path, env: dict[str, str] | None = None) -> None:
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")
        target = self.env if env is None else env
        target |= dict.fromkeys(names, str(authorities))

    def _set_names(self) -> None:
        self.hub = self.stack.enter_context(Hub())
        self.hub.cdn_endpoint, cdn = f"https://{CDN}", _host(self.hub.cdn_endpoint)
        models.fill(self.hub)
        for name in (HUB, MIRROR):
            self.lead(name, _host(self.hub.endpoint))
        self.lead(CDN, cdn)
        self.lead(BASE, self.stage.base)
        for name in (QUAY, COMPANY):
            self.lead(name, lambda name=name: self.registry(name).host)
        self.log_in(QUAY, COMPANY)
        self.lead(PIPELINES, lambda: _host(self.pipelines.url))
        if PIPELINES in self.path.read_text():
            self.write("token", PIPELINE_TOKEN)

    def _set_scenes(self) -> None:
        for setting in scenes(self.page):
            made = setting(self)
            if made is not None:
                self.stack.enter_context(contextmanager(lambda made=made: made)())


def copy_clone(target: Path) -> None:
    """Copy what Git keeps of the clone and what is not ignored, but for its tests."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        source, copy = ROOT / name, target / name
        if name.startswith(_LEFT_OUT) or not (source.is_symlink() or source.exists()):
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy, follow_symlinks=False)


@contextmanager
def _base_registry(folder: Path) -> Iterator[Registry]:
    """Serve a small image with a shell as ``ubi9/ubi-micro``."""
    with Registry(folder / "registry", relative_urls=True) as registry:
        words = [need("skopeo"), "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]
        target = f"docker://{registry.host}/ubi9/ubi-micro:latest"
        subprocess.run([*words, busybox_base(folder / "layout"), target], check=True)
        yield registry


def _host(url: str) -> str:
    return url.partition("://")[2]
