"""The images of a node's registry, made of files of this machine and pushed by skopeo."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from servers.busybox import add_busybox
from servers.images import write_layout
from servers.python_base import python_base
from servers.tools import find

_STANDIN = Path(__file__).resolve().parents[1] / "images/vllm"
_SITE = "usr/lib/python3/dist-packages"
VLLM = "vllm-openai:v0.24.0"
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
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted({*_STANDIN.rglob("*.py"), *_STANDIN.rglob("*.json")}):
            tar.add(path, f"{_SITE}/{path.relative_to(_STANDIN)}", filter=_plain)
    return packed.getvalue()


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
