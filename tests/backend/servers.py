"""ML Metadata and an S3 store as processes of .rig's Python, which ``.ci/rig`` makes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers.tools import lacking

ROOT = Path(__file__).parents[2]
_PYTHON = ROOT / ".rig" / "bin" / "python"
_SERVED = Path(__file__).with_name("served")


def rig_python() -> str:
    """Return the Python that has the servers; without it skip the test, or fail it in CI."""
    if not _PYTHON.exists():
        lacking(".rig is missing: sh .ci/rig --install (ml-metadata needs Python 3.11 or 3.10)")
    return str(_PYTHON)


@contextmanager
def served(name: str, *arguments: object) -> Iterator[int]:
    """Run ``served/NAME.py`` and yield the port that it prints."""
    command = [rig_python(), str(_SERVED / f"{name}.py"), *map(str, arguments)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"{command} ended before it served; run it to see why"
            yield int(line)
        finally:
            process.terminate()
