"""The images of a node's registry, made of files of this machine and pushed by skopeo."""

from __future__ import annotations

import io
import marshal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path
from typing import Any

from servers.busybox import add_busybox
from servers.images import write_layout
from servers.python_base import python_base
from servers.tools import find

_STANDIN = Path(__file__).resolve().parents[1] / "images/vllm"
_SITE = "usr/lib/python3/dist-packages"
_NAME_IMPORTED = """
import sys
sys.path.insert(0, sys.argv[1])
import encodings.ascii, encodings.idna, encodings.latin_1, runpy
import vllm.entrypoints.cli.main, vllm.entrypoints.openai.api_server
files = [getattr(each, "__file__", None) or "" for each in list(sys.modules.values())]
print("\\n".join({each for each in files if each.endswith(".py")}))
"""
VLLM = "vllm:v0.24.0"
KSERVE = "kserve-manager:v0.20.0"


def push_all(registry: str, programs: Path) -> None:
    """Push what every node has: pause, busybox, python, KServe's manager, vLLM's stand-in.

    Args:
        registry: Host and port.
        programs: What was built.
    """
    with tempfile.TemporaryDirectory() as scratch:
        for name, layers, settings in _made(programs):
            folder = Path(scratch) / name.partition(":")[0]
            write_layout(folder, layers, settings=settings)
            _push(folder, registry, name)
    push_standin(registry)


def push_standin(registry: str) -> str:
    """Push vLLM's stand-in as a layer on Python, and Python; return the former, by digest.

    Args:
        registry: Host and port.
    """
    with tempfile.TemporaryDirectory() as scratch:
        python, standin = Path(scratch) / "python", Path(scratch) / "vllm"
        python_base(python)
        _push(python, registry, "python:1")
        base = max((python / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
        entry = ["python3", "-m", "vllm.entrypoints.openai.api_server"]
        settings = {"Entrypoint": entry, "Env": ["PATH=/usr/bin:/bin", f"PYTHONPATH=/{_SITE}"]}
        digest = write_layout(standin, [base.read_bytes(), _standin()], settings=settings)
        _push(standin, registry, VLLM)
    return f"{registry}/rig/{VLLM}@{digest}"


def _made(programs: Path) -> Iterable[tuple[str, list[bytes], dict[str, Any]]]:
    pause = {"Entrypoint": ["/pause"], "User": "65535:65535"}
    yield "pause:1", [_program(programs / "pause", "pause")], pause
    busybox = {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]}
    yield "busybox:1", [_busybox()], busybox
    manager = {"Entrypoint": ["/manager"], "User": "1000:1000"}
    yield KSERVE, [_program(programs / "kserve-manager", "manager")], manager


def _program(path: Path, name: str) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = 0o755, path.stat().st_size
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar, path.open("rb") as program:
        tar.addfile(entry, program)
    return packed.getvalue()


def _busybox() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        add_busybox(tar)
    return packed.getvalue()


def _standin() -> bytes:
    """Return the stand-in's files, and whatever it imports in compiled form.

    A server with a twentieth of a CPU compiles for half a minute what it imports otherwise.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted({*_STANDIN.rglob("*.py"), *_STANDIN.rglob("*.json")}):
            tar.add(path, f"{_SITE}/{path.relative_to(_STANDIN)}", filter=_plain)
        for path in _imported():
            inside = path if _STANDIN not in path.parents else _inside(path)
            code = _compiled(path, inside)
            entry = tarfile.TarInfo(cache_from_source(str(inside)).lstrip("/"))
            entry.mode, entry.size = 0o644, len(code)
            tar.addfile(entry, io.BytesIO(code))
    return packed.getvalue()


def _inside(path: Path) -> Path:
    return Path("/", _SITE, path.relative_to(_STANDIN))


def _imported() -> list[Path]:
    """Return the source of every module that the stand-in imports."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", _NAME_IMPORTED, str(_STANDIN)],
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(Path(line) for line in done.stdout.splitlines())


def _compiled(path: Path, inside: Path) -> bytes:
    """Return a module's code, to be believed whatever the time of its source."""
    source = path.read_bytes()
    code = compile(source, str(inside), "exec", dont_inherit=True)
    unchecked = (1).to_bytes(4, "little") + source_hash(source)
    return MAGIC_NUMBER + unchecked + marshal.dumps(code)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o644
    return entry


def _push(folder: Path, registry: str, name: str) -> None:
    words = ["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"]
    target = f"docker://{registry}/rig/{name}"
    subprocess.run(
        [find("skopeo"), "--insecure-policy", *words, f"oci:{folder}:latest", target], check=True
    )
