"""A base image with a shell: one static busybox and links for what KServe calls."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from servers.images import write_layout
from servers.tools import need

TOOLS = (
    "sh",
    "ls",
    "ln",
    "sleep",
    "mkdir",
    "cat",
    "cp",
    "find",
    "rm",
    "sha256sum",
    "touch",
    "mktemp",
    "env",
)


def busybox_base(folder: Path) -> str:
    """Write the image into an OCI layout and return its reference, ``oci:path:latest``."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        add_busybox(tar)
    write_layout(folder, [packed.getvalue()])
    return f"oci:{folder}:latest"


def add_busybox(tar: tarfile.TarFile) -> None:
    """Add the program, its links and the folders that containers expect."""
    program = Path(need("busybox", "busybox-static")).read_bytes()
    for name in ("bin", "mnt", "out", "proc", "tmp"):
        folder = _entry(name, tarfile.DIRTYPE)
        folder.mode = 0o1777 if name == "tmp" else 0o755
        tar.addfile(folder)
    busybox = _entry("bin/busybox", tarfile.REGTYPE)
    busybox.size = len(program)
    tar.addfile(busybox, io.BytesIO(program))
    for tool in TOOLS:
        link = _entry(f"bin/{tool}", tarfile.SYMTYPE)
        link.linkname = "busybox"
        tar.addfile(link)


def _entry(name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, 0o755
    return entry
