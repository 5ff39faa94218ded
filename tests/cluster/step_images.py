"""The images of pipeline steps: this machine's Python, and packages of the tests' environment."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from pathlib import Path

from backend.rootfs import HOME
from servers.images import write_layout
from servers.python_base import python_base
from servers.tools import find

_ENV = [f"PATH={HOME}/bin:/usr/bin:/bin", f"HOME={HOME}/src", "PIP_NO_INDEX=1",
        "PYTHONDONTWRITEBYTECODE=1"]  # fmt: skip


def push_step_image(root: Path, registry: str, name: str) -> str:
    """Push an image of a root that `backend.rootfs` made, its links followed; return its name.

    Args:
        root: Holds the environment.
        registry: Host and port.
        name: Repository and tag below ``steps``.
    """
    target = f"{registry}/steps/{name}"
    with tempfile.TemporaryDirectory() as scratch:
        python, layout = Path(scratch) / "python", Path(scratch) / "layout"
        python_base(python)
        base = max((python / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
        write_layout(layout, [base.read_bytes(), _environment(root)], settings={"Env": _ENV})
        words = ["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"]
        source = f"oci:{layout}:latest"
        subprocess.run(
            [find("skopeo"), "--insecure-policy", *words, source, f"docker://{target}"], check=True
        )
    return target


def _environment(root: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        _add(tar, root / HOME.strip("/"), HOME.strip("/"))
    return packed.getvalue()


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a file or folder; a package is a link, the interpreter stays one."""
    if path.name == "__pycache__":
        return
    if path.is_dir():
        tar.add(path.resolve(), name, recursive=False, filter=_of_root)
        for each in sorted(path.iterdir()):
            _add(tar, each, f"{name}/{each.name}")
    elif "site-packages" in path.parts:
        tar.add(path.resolve(), name, filter=_of_root)
    else:
        tar.add(path, name, filter=_of_root)


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.mode |= 0o644 | (0o111 if entry.isdir() else 0)
    return entry
