"""Install this clone into a virtual environment, made if missing, and say how far it is.

Usage: python3 .ci/install.py FOLDER WHAT [ARGUMENT OF PIP...]
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from pip_shown import run, say

_OLDEST = (3, 11)


def main(folder: str, what: str, *arguments: str) -> int:
    """Make the environment, run pip and return an exit code."""
    missing = lacking(sys.version_info[:2], bool(importlib.util.find_spec("ensurepip")))
    if missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    python = Path(folder) / "bin" / "python"
    if not _runs(python):
        say(f"Making a virtual environment in {folder} with {sys.executable}")
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=False)
        if made.returncode:
            sys.stderr.write(f"cannot make a virtual environment in {folder}: see above\n")
            return 1
    say(f"Installing {what} into {folder}, once")
    # Python compiles what it imports when it does; to compile all takes longer than all else.
    return run(str(python), ["install", "--no-compile", "--editable", what, *arguments])


def lacking(version: tuple[int, ...], has_ensurepip: bool) -> str:
    """Return what a Python lacks to hold carferry and what to do; empty if nothing."""
    found = ".".join(map(str, version))
    if version < _OLDEST:
        return f"carferry needs Python 3.11 or later, this is {found}: make PYTHON=python3.12"
    if not has_ensurepip:
        return (
            f"this Python {found} cannot make virtual environments:"
            " sudo apt-get install python3-venv"
        )
    return ""


def _runs(python: Path) -> bool:
    """Return whether there is an environment and its Python is still on this machine."""
    try:
        return not subprocess.run([str(python), "-m", "pip", "-V"], capture_output=True).returncode
    except OSError:
        return False


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on where it was\n")
        sys.exit(130)
