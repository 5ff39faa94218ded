"""A Git repository as GitOps tools watch one: served by Git's own daemon, and an image with git."""

from __future__ import annotations

import contextlib
import io
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from servers.busybox import add_busybox
from servers.images import write_layout
from servers.python_base import needed
from servers.tools import need

_START_S = 10.0


def git_image(folder: Path) -> str:
    """Write an image with this machine's git and a busybox into a layout, and return its name."""
    program = Path(need("git"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        add_busybox(tar)
        for path in sorted({program, *needed([program])}):
            tar.add(path.resolve(), str(path).lstrip("/"))
    write_layout(folder, [packed.getvalue()], settings={"Env": ["PATH=/usr/bin:/bin"]})
    return f"oci:{folder}:latest"


class Repository:
    """A bare repository, and its history as an outsider reads it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "models.git"
        _git("init", "--quiet", "--bare", "--initial-branch", "main", str(self.path))
        work = folder / "first"
        _git("clone", "--quiet", str(self.path), str(work))
        (work / "README.md").write_text("what is served\n")
        _git("-C", str(work), "add", ".")
        me = ("-c", "user.name=me", "-c", "user.email=me@example.com")
        _git("-C", str(work), *me, "commit", "--quiet", "--message", "first")
        _git("-C", str(work), "push", "--quiet", "origin", "HEAD:main")

    @property
    def commits(self) -> list[str]:
        """Subjects, the newest first."""
        return _git("-C", str(self.path), "log", "--format=%s", "main").splitlines()

    def file(self, name: str) -> str:
        """Return a file of the newest commit."""
        return _git("-C", str(self.path), "show", f"main:{name}")


@contextlib.contextmanager
def served(repository: Repository) -> Iterator[int]:
    """Serve it to whoever asks, to be written too; return the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    folder = repository.path.parent
    words = ["daemon", "--reuseaddr", "--export-all", "--enable=receive-pack"]
    words += [f"--base-path={folder}", "--listen=127.0.0.1", f"--port={port}", str(folder)]
    process = subprocess.Popen([need("git"), *words], stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait(port: int) -> None:
    until = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _git(*words: str) -> str:
    done = subprocess.run([need("git"), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
