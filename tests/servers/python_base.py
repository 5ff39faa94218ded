"""A base image with Python: the interpreter of these tests, at its own paths, and a busybox."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from servers.busybox import add_busybox
from servers.images import write_layout
from servers.tools import need

VERSION = "{}.{}".format(*sys.version_info[:2])
_PATH = re.compile(r"(?:=> )?(/\S+) \(0x")
_LEFT_OUT = {"__pycache__", "site-packages", "dist-packages", "test", "idlelib", "ensurepip"}
_PROMISED = (
    "libgcc_s.so.1", "libstdc++.so.6", "libpthread.so.0",
    "librt.so.1", "libdl.so.2", "libutil.so.1",
)  # fmt: skip


def python_base(folder: Path) -> str:
    """Write the image into an OCI layout and return its reference, ``oci:path:latest``."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        add_busybox(tar)
        for path in sorted(_files()):
            tar.add(path.resolve(), str(path).lstrip("/"), filter=_without_owner)
        tar.addfile(_link("usr/bin/python3", _interpreter()))
    env = ["PATH=/usr/bin:/bin", f"PYTHON_VERSION={VERSION}.1"]
    write_layout(folder, [packed.getvalue()], settings={"Env": env, "User": "1001"})
    return f"oci:{folder}:latest"


def _interpreter() -> Path:
    return Path(sys._base_executable).resolve()  # type: ignore[attr-defined]


def _files() -> set[Path]:
    """Return the interpreter, its library, and every shared object that they load."""
    library = Path(sysconfig.get_path("stdlib"))
    modules = {path for path in library.rglob("*") if path.is_file() and _is_wanted(path, library)}
    loaded = [_interpreter(), *(path for path in modules if path.suffix == ".so")]
    return {_interpreter(), *modules, *needed(loaded), *_promised()}


def _is_wanted(path: Path, library: Path) -> bool:
    return not _LEFT_OUT & set(path.relative_to(library).parts) and not path.name.endswith(".a")


def needed(programs: list[Path]) -> Iterator[Path]:
    """Yield every shared object that programs load, and the loader."""
    done = subprocess.run(
        [need("ldd", "libc-bin"), *map(str, programs)], capture_output=True, text=True, check=False
    )
    for name in _PATH.findall(done.stdout):
        # The loader and what it loads are asked for by name, whatever they link to.
        yield Path(os.path.normpath(name))


def _promised() -> Iterable[Path]:
    """Yield what manylinux wheels may count on in every Linux (PEP 600)."""
    done = subprocess.run(
        [need("ldconfig", "libc-bin"), "-p"], capture_output=True, text=True, check=True
    )
    found = dict(re.findall(r"(\S+) \(libc6,(?:x86-64|AArch64).*?\) => (\S+)", done.stdout))
    return (Path(found[name]) for name in _PROMISED)


def _without_owner(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755
    return entry


def _link(name: str, target: Path) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, str(target)
    return entry
