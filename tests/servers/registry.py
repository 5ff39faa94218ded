"""Debian's docker-registry (distribution 2.8) as a process, with each kind of login and TLS."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from servers.certs import Certificates
from servers.tokens import ISSUER, SERVICE, Login, TokenServer
from servers.tools import need

LOGIN = Login("ferry", "ferry-test")
_HTPASSWD = "ferry:$2b$04$bXcuK8ZKKherQ8Zmarv.pebm/Oykh1CByNaYIyFzvWKKYINmzOgHu\n"  # of LOGIN
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")
_ACCESS = re.compile(r'"(\S+) (\S+) HTTP/[\d.]+" (\d{3}) (\d+)')
_START_S = 15.0
_V2 = Path("docker/registry/v2")

Auth = Literal["none", "basic", "bearer"]


@dataclass(frozen=True, slots=True)
class Access:
    """One line of the registry's access log; sent counts body bytes."""

    method: str
    path: str
    status: int
    sent: int


class Registry:
    """A registry on a free port, storing under a folder; a context manager.

    Attributes:
        root: Everything this registry writes.
        host: ``127.0.0.1:port``, as image references have it.
        url: With the scheme.
        pid: Of its process.
        login: The only user, if there is a login.
        certificates: What clients must trust, if there is TLS.
        tokens: The token server, if the login is by bearer.
        auth_file: A docker ``config.json`` with this registry's login.
    """

    def __init__(self, root: Path, *, auth: Auth = "none", tls: bool = False) -> None:
        self.root, self.login = root, LOGIN
        root.mkdir(parents=True, exist_ok=True)
        self.certificates = Certificates.make(root / "certs") if tls else None
        self.tokens: TokenServer | None = None
        self._auth: Auth = auth
        self._stack = ExitStack()
        self.host = self.url = ""
        self.pid = 0
        self.auth_file = root / "auth" / "config.json"

    def __enter__(self) -> Self:
        program = need("docker-registry")
        with self._stack as stack:
            config = self.root / "config.json"
            config.write_text(json.dumps(self._config(stack)))
            stack.enter_context(self._run(program, config))
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
        lines = _ACCESS.findall((self.root / "access.log").read_text())
        return [Access(method, path, int(code), int(sent)) for method, path, code, sent in lines]

    def tags(self, repository: str) -> dict[str, str]:
        """Return tag to manifest digest, read from the registry's disk."""
        folder = self.root / "data" / _V2 / "repositories" / repository / "_manifests/tags"
        links = folder.glob("*/current/link")
        return {link.parent.parent.name: link.read_text() for link in links}

    def blobs(self) -> dict[str, Path]:
        """Return every stored blob, manifests too: digest to the file that holds it."""
        files = (self.root / "data" / _V2 / "blobs/sha256").glob("*/*/data")
        return {f"sha256:{file.parent.name}": file for file in files}

    def links(self, repository: str) -> set[str]:
        """Return the digests of the layers and configs that a repository can be asked for."""
        folder = self.root / "data" / _V2 / "repositories" / repository / "_layers/sha256"
        return {f"sha256:{link.parent.name}" for link in folder.glob("*/link")}

    def _config(self, stack: ExitStack) -> dict[str, Any]:
        http: dict[str, Any] = {"addr": "127.0.0.1:0", "secret": "of the tests"}
        if self.certificates:
            chain, key = self.certificates.chain, self.certificates.key
            http["tls"] = {"certificate": str(chain), "key": str(key)}
        config = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.root / "data")},
                "delete": {"enabled": True},
            },
            "http": http,
        }
        auth = self._auth_config(stack)
        return config | ({"auth": auth} if auth else {})

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

    def _run(self, program: str, config: Path) -> ExitStack:
        stack = ExitStack()
        with stack:
            out = stack.enter_context((self.root / "access.log").open("wb"))
            err = stack.enter_context((self.root / "registry.log").open("wb"))
            process = subprocess.Popen([program, "serve", str(config)], stdout=out, stderr=err)
            stack.callback(_stop, process)
            self.pid = process.pid
            self.host = _wait(process, self.root / "registry.log")
            return stack.pop_all()

    def _write_auth_file(self) -> None:
        pair = f"{self.login.user}:{self.login.password}".encode()
        entry = {"auth": base64.b64encode(pair).decode()}
        self.auth_file.parent.mkdir(exist_ok=True)
        auths = {} if self._auth == "none" else {self.host: entry}
        self.auth_file.write_text(json.dumps({"auths": auths}))


def _wait(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        if match := _LISTENING.search(log.read_text()):
            return match[1]
        time.sleep(0.01)
    raise RuntimeError(f"docker-registry did not start: {log.read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
