"""Ctrl-C in the first moments, while modules load or an environment is made, is one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
# Ctrl-C comes when a module is looked for: the moment that was a traceback.
_AT_IMPORT = """
import os, signal, sys
wanted = sys.argv[1]
class Finder:
    def find_spec(self, name, *more):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from carferry.__main__ import main
sys.argv = ["carferry", "--version"]
sys.exit(main())
"""
_AT_CHILD = """
import runpy, subprocess, sys
def interrupted(*words, **more):
    raise KeyboardInterrupt
subprocess.run = interrupted
sys.argv = ["install.py", sys.argv[2], "."]
sys.path.insert(0, "CI")
runpy.run_path("CI/install.py", run_name="__main__")
""".replace("CI", str(_ROOT / ".ci"))


def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("module", ["carferry.cli", "carferry.cli.failures", "carferry.errors"])
def test_the_command_says_it_in_a_line(module: str) -> None:
    found = run(_AT_IMPORT, module)
    assert (found.returncode, found.stderr) == (130, "carferry: interrupted\n")


def test_the_command_of_the_package_starts_there() -> None:
    assert 'carferry = "carferry.__main__:main"' in (_ROOT / "pyproject.toml").read_text()


def test_the_installer_says_it_in_a_line(tmp_path: Path) -> None:
    found = run(_AT_CHILD, "", str(tmp_path / "venv"))
    assert found.returncode == 130
    assert found.stderr == "interrupted; the same command goes on where it was\n"
