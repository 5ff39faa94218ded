"""Record docs/images/build.cast and build.svg: a real build, in a real terminal.

The model is the test hub's, of a size that fits a short recording; its links are as slow as a
good connection. What differs from run to run and says nothing is written alike: the registry's
port, and when a thing was drawn, to a fifth of a second. The picture is made of the cast alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from demo.film import Cast, height, svg
from servers import models
from servers.content import Given
from servers.hub import Hub
from servers.registry import Registry

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
CAST, PICTURE = IMAGES / "build.cast", IMAGES / "build.svg"
TITLE = "carferry build: a model of four shards goes into a registry, and once more: nothing moves"
MODEL, COLUMNS, ROWS = "team/ferry-200m", 92, 24
SHOWN, HUB_PORT = "127.0.0.1:5000", 8931
_SHARDS, _SHARD_BYTES, _RATE = 4, 64 << 20, 8_000_000
_STEP_S, _KEY_S, _READ_S = 0.2, 0.05, 2.0

Events = list[tuple[float, str]]


def main() -> int:
    """Record and write both files."""
    with tempfile.TemporaryDirectory() as home:
        cast = record(Path(home))
    IMAGES.mkdir(exist_ok=True)
    CAST.write_text(cast.text(height(cast)), encoding="ascii")
    PICTURE.write_text(svg(cast), encoding="ascii")
    return 0


def record(home: Path) -> Cast:
    """Build twice against a hub and a registry of this machine."""
    events: Events = []
    # An image says where its model came from: at another port it would have another digest.
    with (
        Hub(bytes_per_s=_RATE, port=HUB_PORT) as hub,
        Registry(home / "registry") as registry,
    ):
        hub.add(MODEL, shards())
        command = ["carferry", "build", MODEL, f"docker://{registry.host}/{MODEL}:1"]
        command += ["--base", "embedded"]
        environment = clean(home) | {"HF_ENDPOINT": hub.endpoint}
        for _ in range(2):
            began = events[-1][0] + _READ_S if events else 0.0
            events += typed(f"$ {' '.join(command).replace(registry.host, SHOWN)}", began)
            events += watched(command, environment, events[-1][0] + 0.3)
        events.append((events[-1][0] + 0.1, "$ "))
        host = registry.host
    return Cast(COLUMNS, TITLE, alike(events, host))


def alike(events: Events, host: str) -> Events:
    """Return events of equal times as one, and a registry whose port says nothing of this run."""
    told: dict[float, str] = {}
    for at, text in events:
        when = round(round(at / _STEP_S) * _STEP_S, 1)
        told[when] = told.get(when, "") + text
    return [(when, text.replace(host, SHOWN)) for when, text in told.items()]


def shards() -> dict[str, Given]:
    """Return a model of some large files."""
    names = [f"model-{n:05}-of-{_SHARDS:05}.safetensors" for n in range(1, _SHARDS + 1)]
    weight_map = {f"filled.{n}": name for n, name in enumerate(names)}
    index = json.dumps({"metadata": {}, "weight_map": weight_map}).encode()
    weights: dict[str, Given] = {
        name: models.synthetic(_SHARD_BYTES, seed) for seed, name in enumerate(names)
    }
    small = {name: body for name, body in models.tiny().items() if name != "model.safetensors"}
    return {**small, **weights, "model.safetensors.index.json": index}


def clean(home: Path) -> dict[str, str]:
    """Return an environment of somebody who has set nothing."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {"CARFERRY_PARALLEL": "4"}  # whatever machine records
    return {"PATH": programs, "HOME": str(home), "TERM": "xterm-256color", **settings}


def typed(line: str, began: float) -> Events:
    """Return a line as a person types it, after the prompt."""
    keys = [line[:2], *(line[n : n + 4] for n in range(2, len(line), 4)), "\r\n"]
    return [(began + n * _KEY_S * 2, key) for n, key in enumerate(keys)]


def watched(
    command: list[str], environment: dict[str, str], began: float
) -> list[tuple[float, str]]:
    """Run a command in a terminal and return what it wrote when.

    Raises:
        CalledProcessError: It failed.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    started, events = time.monotonic(), Events()
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        while text := _read(ours):
            events.append((began + time.monotonic() - started, text))
    os.close(ours)
    if process.returncode:
        output = "".join(text for _, text in events)
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return events


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 1 << 16).decode("ascii")
    except OSError:  # so Linux says that nobody has the other end open
        return ""


if __name__ == "__main__":
    sys.exit(main())
