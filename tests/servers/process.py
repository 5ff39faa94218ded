"""The hub in a process of its own, so that its work is not counted into the client's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SCRIPT = Path(__file__).resolve().parents[1] / "serve_hub.py"


@contextmanager
def hub_process(*options: str) -> Iterator[str]:
    """Start ``serve_hub.py`` with these options and yield its endpoint."""
    command = [sys.executable, str(_SCRIPT), *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            if process.stdout is None:
                raise RuntimeError("the hub has no output to read its endpoint from")
            endpoint = process.stdout.readline().strip()
            if not endpoint:
                raise RuntimeError("the hub ended before it served: see its standard error")
            yield endpoint
        finally:
            process.terminate()
