"""The process outside that keeps a node: starts it, forwards ports into it, clears up after it.

It is told to end by SIGTERM or, where it watches its standard input, by that input's end: which
comes when the process that started it ends, however that happens.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.rig import cgroups
from cluster.rig.files import write_files
from cluster.rig.forward import forward, listen
from cluster.rig.namespaces import trial_overlay
from cluster.rig.settings import Rig

_PATIENCE_S = 20.0
_TESTS = Path(__file__).resolve().parents[2]


def main(folder: Path, programs: Path, api: int, registry: int, *, watch: bool) -> None:
    """Keep a node until told to end.

    Args:
        folder: A node's; removed at the end.
        programs: What was built.
        api: Port of the API server, 0 for any.
        registry: Likewise of the registry.
        watch: Whether the end of standard input is an order to end.
    """
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    listeners = [listen(port) for port in (api, registry)]
    ports = [listener.getsockname()[1] for listener in listeners]
    rig = Rig(folder.resolve(), programs, ports[0], ports[1], f"carferry-node-{os.getpid()}")
    try:
        with _running(rig) as first:
            forward(listeners, _inner(rig, first))
            (rig.run / "keeper.pid").write_text(str(os.getpid()))
            if watch:
                threading.Thread(target=_await_end, args=(told,), daemon=True).start()
            while not told.wait(1) and first.poll() is None:
                pass
    finally:
        shutil.rmtree(rig.folder, ignore_errors=True)


@contextmanager
def _running(rig: Rig) -> Iterator[subprocess.Popen[bytes]]:
    rig.folder.mkdir(parents=True, exist_ok=True)
    rig.save()
    with trial_overlay(rig.folder) as layered:
        write_files(rig, "overlayfs" if layered else "native")
    groups = cgroups.hierarchies()
    try:
        for group in groups:
            group.make(rig.group)
        first = _start(rig)
        try:
            yield first
        finally:
            # Its child, the node's first process, is killed by the kernel with it.
            first.kill()
            first.wait()
    finally:
        for group in groups:
            group.drop(rig.group)


def _start(rig: Rig) -> subprocess.Popen[bytes]:
    (rig.run / "init.pid").unlink(missing_ok=True)
    with (rig.log / "first.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "cluster.rig.first", str(rig.folder)],
            env=os.environ | {"PYTHONPATH": str(_TESTS)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _inner(rig: Rig, first: subprocess.Popen[bytes]) -> int:
    """Return the id of the node's first process, once it is there.

    Raises:
        RuntimeError: It ended, or did not come.
    """
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and first.poll() is None:
        try:
            return int((rig.run / "init.pid").read_text())
        except (FileNotFoundError, ValueError):
            time.sleep(0.02)
    raise RuntimeError("the node did not start: " + (rig.log / "first.log").read_text()[-2000:])


def _await_end(told: threading.Event) -> None:
    sys.stdin.buffer.read()
    told.set()
