"""Programs of a page's PATH that stand before the real ones, and its names for Python.

What installs or takes minutes is not done but looked at: ``make TARGET`` must have the target,
``pip install`` must name what there is, and a new environment holds the programs of ours. That the
wheel installs and that the targets work is tested where it is the subject (docs/adr/0054).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

_CHECKS = Path(__file__).with_name("installs.py")
_NAMES = '''\
"""Names that lead to servers of this machine."""
import json, os, socket

_PLACES = json.loads({places!r})
_look_up = socket.getaddrinfo


def getaddrinfo(host, port, *rest, **named):
    name = host.decode() if isinstance(host, bytes) else host
    if (here := _PLACES.get(f"{{name}}:{{port}}")):
        host, port = "127.0.0.1", here
    return _look_up(host, port, *rest, **named)


socket.getaddrinfo = getaddrinfo
'''


def write_names(folder: Path, places: Mapping[str, int]) -> Path:
    """Write what Python reads at its start; return the folder for PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_NAMES.format(places=json.dumps(dict(places))))
    return folder


def write_shims(folder: Path) -> Path:
    """Write the programs into a folder, made if missing, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    python = Path(sys.executable)
    install = f'exec "{python}" "{_CHECKS}"'
    interpreter = (
        f'case "$1 $2" in "-m venv" | "-m pip") shift; {install} "$@" ;; esac\n'
        f'exec "{python}" "$@"\n'
    )
    _program(folder / "python3", interpreter)
    _program(folder / "python", interpreter)
    _program(folder / "pip", f'{install} pip "$@"\n')
    _program(folder / "make", 'exec /usr/bin/make --dry-run "$@" >/dev/null\n')
    return folder


def write_oc(folder: Path, kubectl: str) -> None:
    """Let ``oc`` and ``kubectl`` be a kubectl."""
    for name in ("oc", "kubectl"):
        _program(folder / name, f'exec {kubectl} "$@"\n')


def _program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}")
    path.chmod(0o755)
