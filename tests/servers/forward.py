"""A real forward proxy, proxy.py, as a process: CONNECT, a password, TLS, and a log.

It alone knows the names ``*.site.test``, which are this machine: what is reached by such a name
was reached through it.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from servers.certs import Certificates
from servers.forward_names import DOOR, INSIDE

USER, PASSWORD = "me", "p@ss:w/rd%"
ESCAPED = "me:p%40ss%3Aw%2Frd%25"
_START_S = 20.0
_LINE = re.compile(r" - (?P<method>[A-Z]+) (?P<where>\S+) - ")


class Forward:
    """A forward proxy on a free port; a context manager.

    Attributes:
        login: Whether it asks for USER and PASSWORD.
        host: ``127.0.0.1:port``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        login: bool = False,
        certificates: Certificates | None = None,
        door: int = 0,
    ) -> None:
        """Ask for a login, speak TLS, or bring everybody who asks for port 443 to one door."""
        folder.mkdir(parents=True, exist_ok=True)
        self._door = door
        self._folder, self.login, self._certificates = folder, login, certificates
        self.host = ""

    def __enter__(self) -> Self:
        port_file, tests = self._folder / "port", Path(__file__).resolve().parents[1]
        command = [
            *(sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0"),
            *("--port-file", str(port_file), "--log-file", str(self._folder / "log")),
            *("--plugins", f"servers.forward_names.{'Door' if self._door else 'Names'}"),
            *("--num-workers", "1", "--num-acceptors", "1", "--threaded"),
        ]
        if self.login:
            command += ["--basic-auth", f"{USER}:{PASSWORD}"]
        if made := self._certificates:
            command += ["--cert-file", str(made.chain), "--key-file", str(made.key)]
        env = {**os.environ, "PYTHONPATH": str(tests), "HOME": str(self._folder)}
        env |= {DOOR: str(self._door)}
        with (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen(command, env=env, stdout=output, stderr=output)
        self.host = f"127.0.0.1:{self._wait(port_file)}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def url(self) -> str:
        """The address for a variable, the login escaped."""
        scheme = "https" if self._certificates else "http"
        return f"{scheme}://{ESCAPED}@{self.host}" if self.login else f"{scheme}://{self.host}"

    def saw(self, line: str) -> bool:
        """Return whether it passed on ``CONNECT host:port`` or ``GET host:port/path``, or so begun.

        It writes a line when a connection ends, which clients leave to the garbage collector.
        """
        gc.collect()
        deadline = time.monotonic() + _START_S
        while not any(each.startswith(line) for each in self.log):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    @property
    def log(self) -> list[str]:
        """Requests of connections that have ended."""
        text = (self._folder / "log").read_text()
        return [f"{line['method']} {line['where']}" for line in _LINE.finditer(text)]

    def _wait(self, port_file: Path) -> int:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if port_file.is_file() and (text := port_file.read_text().split()):
                return int(text[0])
            time.sleep(0.02)
        raise RuntimeError((self._folder / "output").read_text()[-2000:])


def inside(address: str, name: str) -> str:
    """Return a server's address, URL or host and port, by a name that only the proxy knows."""
    return address.replace("127.0.0.1", f"{name}{INSIDE}")
