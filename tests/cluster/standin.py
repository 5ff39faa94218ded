"""vLLM's stand-in as a process of this machine: for tests that need no node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers.sockets import free_port

SOURCES = Path(__file__).parent / "images/vllm"
TABLE = json.loads((SOURCES / "vllm/standin/arguments.json").read_text())
_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Standin:
    """A server that runs.

    Attributes:
        address: Scheme, host and port.
    """

    address: str

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Return the status and the document that a request is answered with."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, _read(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, _read(refused.read())


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the stand-in until it ends."""
    return subprocess.run(
        _command(arguments),
        env=_environment(variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE_S,
    )


@contextmanager
def running(*arguments: str, **variables: str) -> Iterator[Standin]:
    """Start the stand-in on a free port."""
    port = free_port()
    command = _command([*arguments, f"--port={port}"])
    process = subprocess.Popen(command, env=_environment(variables), stdout=subprocess.DEVNULL)
    with process:
        try:
            made = Standin(f"http://127.0.0.1:{port}")
            _await(made)
            yield made
        finally:
            process.kill()


def _command(arguments: tuple[str, ...] | list[str]) -> list[str]:
    return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments]


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(SOURCES)} | dict(variables)


def _await(server: Standin) -> None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            server.ask("/health")
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        return body.decode()
