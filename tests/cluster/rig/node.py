"""A running node, as tests use it: kubectl, commands inside, its end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.rig.settings import NODE_IP, Rig

_TESTS = Path(__file__).resolve().parents[2]
_NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup")
_START_S = 120.0
_END_S = 40.0


class Refused(RuntimeError):
    """A command on the node failed; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node that runs.

    Attributes:
        folder: Its own.
        kubeconfig: The administrator's login.
        registry: Host and port of its registry, the same inside and outside; it speaks no TLS.
        kubectl_command: What runs kubectl.
        programs: What ``.ci/cluster`` built; None if somebody else made the node.
    """

    folder: Path
    kubeconfig: Path
    registry: str
    kubectl_command: tuple[str, ...]
    programs: Path | None = None

    @property
    def registry_of_pods(self) -> str:
        """The registry as pods reach it, whose loopback is their own; the kubelet does, too."""
        return f"{NODE_IP}:{self.registry.rpartition(':')[2]}"

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """Run kubectl as the administrator and return its standard output.

        Raises:
            Refused: It failed.
        """
        login = ("--kubeconfig", str(self.kubeconfig), "--cache-dir", str(self.folder / "kubectl"))
        return _output([*self.kubectl_command, *login, *words], stdin)

    def get(self, *words: str) -> Any:
        """Return an object, or a list of them, as kubectl finds it."""
        return json.loads(self.kubectl("get", "-o", "json", *words))

    def apply(self, *objects: Any) -> None:
        """Apply objects, server-side."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)

    def run(self, *command: str) -> str:
        """Run a command inside the node and return its standard output.

        Pods and services have addresses only there.

        Raises:
            Refused: It failed.
        """
        first = (self.folder / "run/init.pid").read_text()
        return _output(["nsenter", "--target", first, *_NAMESPACES, "--", *command])


def attach(folder: Path) -> Node:
    """Return a node that was started in a folder, by `start` or by somebody else.

    Raises:
        FileNotFoundError: None was started there.
    """
    login = folder / "etc/admin.kubeconfig"
    if not (folder / "run/init.pid").exists():
        raise FileNotFoundError(f"no node runs in {folder}")
    if not (folder / "run/rig.json").exists():
        return Node(folder, login, "127.0.0.1:5055", ("kubectl",))
    rig = Rig.load(folder)
    return Node(
        folder, login, rig.registry_host, (str(rig.programs / "node"), "kubectl"), rig.programs
    )


@contextmanager
def started(programs: Path) -> Iterator[Node]:
    """Start a node of its own on free ports, and end it.

    Args:
        programs: What was built.
    """
    folder = Path(tempfile.mkdtemp(prefix="carferry-node-"))
    keeper = start(folder, programs, watch=True)
    with keeper:
        try:
            yield wait(folder, keeper.poll)
        finally:
            _keep_logs(folder)
            keeper.terminate()


def start(
    folder: Path, programs: Path, *, api: int = 0, registry: int = 0, watch: bool = False
) -> subprocess.Popen[bytes]:
    """Start the process that keeps a node in a folder.

    Args:
        folder: Made if missing.
        programs: What was built.
        api: Port of the API server, 0 for any.
        registry: Likewise of the registry.
        watch: Whether the node goes, with its folder, when this process does.
    """
    (folder / "log").mkdir(parents=True, exist_ok=True)
    words = ["keep", str(folder), "--programs", str(programs)]
    words += ["--api", str(api), "--registry", str(registry), *(["--watch"] if watch else [])]
    with (folder / "log/keeper.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "cluster.rig", *words],
            env=os.environ | {"PYTHONPATH": str(_TESTS)},
            stdin=subprocess.PIPE if watch else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait(folder: Path, ended: Callable[[], int | None]) -> Node:
    """Wait until a node that was started answers and is Ready.

    Raises:
        RuntimeError: Its keeper ended, or it took too long.
    """
    until = time.monotonic() + _START_S
    said = ""
    while time.monotonic() < until and ended() is None:
        try:
            node = attach(folder)
            said = node.kubectl("get", "nodes", "node", "--no-headers")
            if said.split()[1] == "Ready":
                return node
        except (Refused, FileNotFoundError) as refused:
            said = str(refused)
        time.sleep(0.2)
    log = (folder / "log/keeper.log").read_text()[-2000:]
    raise RuntimeError(f"the node in {folder} is not ready: {said}\n{log}")


def stop(folder: Path) -> None:
    """End a node that stays, and wait until nothing of it is left."""
    keeper = int((folder / "run/keeper.pid").read_text())
    os.kill(keeper, signal.SIGTERM)
    until = time.monotonic() + _END_S
    while folder.exists():
        if time.monotonic() > until:
            raise RuntimeError(f"the node in {folder} does not end")
        time.sleep(0.1)


def _keep_logs(folder: Path) -> None:
    """Leave the last node's logs where somebody can read why a test failed."""
    kept = _TESTS.parent / "build/node-log"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder / "log", kept)


def _output(command: list[str], stdin: str = "") -> str:
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise Refused(f"{' '.join(command[:6])} ...: exit {done.returncode}: {said}")
    return done.stdout
