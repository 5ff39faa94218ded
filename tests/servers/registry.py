"""A real registry as a process, with each kind of login and TLS."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from servers.certs import Certificates
from servers.registry_programs import PROGRAMS, Access, Kind, Setup
from servers.sockets import listening_port
from servers.tokens import ISSUER, SERVICE, Login, TokenServer

LOGIN = Login("ferry", "ferry-test")
_HTPASSWD = "ferry:$2b$04$bXcuK8ZKKherQ8Zmarv.pebm/Oykh1CByNaYIyFzvWKKYINmzOgHu\n"  # of LOGIN
_START_S = 15.0

Auth = Literal["none", "basic", "bearer"]


class Registry:
    """A registry on a free port, storing under a folder; a context manager.

    Args:
        root: Everything this registry writes; one that ran there before left its images.
        kind: Which program; distribution 2.8 by default.
        auth: What kind of login it asks for.
        tls: Whether it speaks TLS.
        rules: Other fields of ``Setup``: what it refuses.

    Attributes:
        root: Everything this registry writes.
        kind: Which program this is.
        host: ``127.0.0.1:port``, as image references have it.
        url: With the scheme.
        pid: Of its process.
        login: The only user, if there is a login.
        certificates: What clients must trust, if there is TLS.
        tokens: The token server, if the login is by bearer.
        auth_file: A docker ``config.json`` with this registry's login.
    """

    def __init__(
        self,
        root: Path,
        *,
        kind: Kind = "distribution2",
        auth: Auth = "none",
        tls: bool = False,
        **rules: Any,
    ) -> None:
        self.root, self.kind, self.login = root, kind, LOGIN
        root.mkdir(parents=True, exist_ok=True)
        self.certificates = Certificates.make(root / "certs") if tls else None
        self.tokens: TokenServer | None = None
        self._program, self._auth, self._rules = PROGRAMS[kind], auth, rules
        self._setup = Setup(root)
        self._stack = ExitStack()
        self.host = self.url = ""
        self.pid = 0
        self.auth_file = root / "auth" / "config.json"

    def __enter__(self) -> Self:
        with self._stack as stack:
            auth = self._auth_config(stack)
            self._setup = Setup(self.root, self.certificates, auth, **self._rules)
            stack.enter_context(self._run(self._program.command(self._setup)))
            self._stack = stack.pop_all()
        self.url = f"http{'s' if self.certificates else ''}://{self.host}"
        self._write_auth_file()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def log(self) -> list[Access]:
        """Requests the registry has answered, from its access log."""
        written = (self.root / name for name in ("access.log", "registry.log"))
        return self._program.log("".join(file.read_text() for file in written))

    def tags(self, repository: str) -> dict[str, str]:
        """Return tag to manifest digest, read from the registry's disk."""
        return self._program.tags(self._setup.data, repository)

    def blobs(self) -> dict[str, Path]:
        """Return every stored blob, manifests too: digest to the file that holds it."""
        return self._program.blobs(self._setup.data)

    def file(self, repository: str, digest: str) -> Path:
        """Return the file that holds a blob of a repository."""
        return self._program.file(self._setup.data, repository, digest)

    def links(self, repository: str) -> set[str]:
        """Return the digests of the layers and configs that a repository can be asked for."""
        return self._program.links(self._setup.data, repository)

    def uploads(self, repository: str) -> list[Path]:
        """Return what is on disk of uploads that were neither closed nor cancelled."""
        return self._program.uploads(self._setup.data, repository)

    def _auth_config(self, stack: ExitStack) -> dict[str, Any]:
        if self._auth == "basic":
            users = self.root / "htpasswd"
            users.write_text(_HTPASSWD)
            return {"htpasswd": {"realm": "tests", "path": str(users)}}
        if self._auth == "bearer":
            signing = Certificates.make(self.root / "signing")
            self.tokens = stack.enter_context(TokenServer(self.login, signing))
            return {
                "token": {
                    "realm": self.tokens.realm,
                    "service": SERVICE,
                    "issuer": ISSUER,
                    "rootcertbundle": str(signing.ca),
                }
            }
        return {}

    def _run(self, command: list[str]) -> ExitStack:
        stack = ExitStack()
        with stack:
            out = stack.enter_context((self.root / "access.log").open("wb"))
            err = stack.enter_context((self.root / "registry.log").open("wb"))
            # Distribution 3 would send traces to a collector that nobody runs.
            env = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
            process = subprocess.Popen(command, stdout=out, stderr=err, env=env)
            stack.callback(_stop, process)
            self.pid = process.pid
            self.host = f"127.0.0.1:{_wait(process, self.root / 'registry.log')}"
            return stack.pop_all()

    def _write_auth_file(self) -> None:
        pair = f"{self.login.user}:{self.login.password}".encode()
        entry = {"auth": base64.b64encode(pair).decode()}
        self.auth_file.parent.mkdir(exist_ok=True)
        auths = {} if self._auth == "none" else {self.host: entry}
        self.auth_file.write_text(json.dumps({"auths": auths}))


def _wait(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        if port := listening_port(process.pid):
            return port
        time.sleep(0.01)
    raise RuntimeError(f"{process.args!r} did not start: {log.read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
