"""The programs of a node, as ``.ci/cluster`` builds them."""

from __future__ import annotations

import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]


class NotBuilt(RuntimeError):
    """This machine has no programs of a node, and the text says why."""


def programs() -> Path:
    """Return the folder of programs, built now if they are not there.

    Raises:
        NotBuilt: They cannot be.
    """
    done = _script()
    folder = Path(_script("--where").stdout.strip())
    if done.returncode or not folder.is_dir():
        raise NotBuilt((done.stderr or done.stdout).strip().splitlines()[-1])
    return folder


def _script(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(_ROOT / ".ci/cluster"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)
