"""Run pip and say how far it is, at least every three seconds; arguments go to pip.

pip alone is silent for a minute (``--quiet``) or prints hundreds of lines, and while it unpacks
nothing at all. Where it fails, the last line says what to do.
"""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

_EVERY_S = 2.5
_KEPT_LINES = 30
_FILE = re.compile(r"\s+(Using cached|Downloading) (\S+) \(([\d.]+) (\w+)\)")
_NAME = re.compile(r"[^A-Za-z0-9._-]")
_MB = {"bytes": 1e-6, "B": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}
_FAILURES = (
    (r"No space left", "the disk is full: make room, or name another folder in TMPDIR"),
    (r"CERTIFICATE_VERIFY_FAILED|SSLError", "the package index shows a certificate that is not"
     " trusted here: name your authority's PEM file in PIP_CERT"),
    (r"ProxyError|Tunnel connection failed", "the proxy refuses: check HTTPS_PROXY"),
    (r"NewConnectionError|ConnectTimeout|ReadTimeout|name resolution|[Nn]etwork is unreachable",
     "no package index is reached: check the network, set HTTPS_PROXY to your proxy or"
     " PIP_INDEX_URL to your mirror"),
    (r"No matching distribution found for (\S+)", "the package index has no {} for this Python:"
     " set PIP_INDEX_URL to one that has"),
)  # fmt: skip


class Told:
    """What pip has said so far.

    Attributes:
        last: The end of its output.
        total: How many packages it unpacks; 0 until it does.
    """

    def __init__(self) -> None:
        self.last: deque[str] = deque(maxlen=_KEPT_LINES)
        self.total = 0
        self._text = ""
        self._found, self._now = 0, ""
        self._mb = {"Using cached": 0.0, "Downloading": 0.0}
        self._under_way = self._arrived = 0.0

    def hear(self, line: str) -> None:
        """Take a line of pip."""
        self.last.append(line)
        if line.startswith("Collecting "):
            self._found += 1
            self._now, self._under_way = _NAME.split(line.split()[1])[0], 0.0
        elif file := _FILE.match(line):
            size = float(file[3]) * _MB.get(file[4], 0.0)
            self._mb[file[1]] += size
            self._under_way = size if file[1] == "Downloading" else 0.0
            self._arrived = 0.0
        elif line.startswith("Installing collected packages:"):
            self.total = line.count(",") + 1

    def status(self, unpacked: int, arrived_mb: float) -> str:
        """Return how far it is, in one line."""
        if self.total:
            return f"unpacking: {min(unpacked, self.total)} of {self.total} packages"
        words = "asking the package index"
        if self._found:
            words = f"{self._found} package{'s' if self._found > 1 else ''} found"
        if self._under_way >= 1:
            # pip moves away what is complete, and what it unpacks lies beside it.
            self._arrived = min(max(self._arrived, arrived_mb), self._under_way)
            return f"{words}; {self._now}: {self._arrived:.1f} of {self._under_way:.1f} MB"
        return f"{words}, now {self._now}" if self._now else words

    def sizes(self) -> str:
        """Return where the files came from."""
        cached, downloaded = self._mb.values()
        words = [f"{cached:.1f} MB from pip's cache"] if cached else []
        words += [f"{downloaded:.1f} MB downloaded"] if downloaded else []
        return ", ".join(words) or "nothing to download"

    def failure(self) -> str:
        """Return what to do about what went wrong; empty if that is unknown."""
        text = "".join(self.last)
        for pattern, advice in _FAILURES:
            if found := re.search(pattern, text):
                return advice.format(*found.groups())
        return ""


def run(python: str, arguments: list[str]) -> int:
    """Run pip of a Python and return its exit code; of a failure its end is shown."""
    began, told = time.monotonic(), Told()
    with tempfile.TemporaryDirectory() as work:
        process = subprocess.Popen(
            [python, "-m", "pip", *arguments, "--disable-pip-version-check", "--progress-bar=off"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env={**os.environ, "TMPDIR": work},
        )  # fmt: skip
        _listen(process, told, Path(python), Path(work))
    took = time.monotonic() - began
    if process.returncode == 0:
        say(f"  done in {took:.0f} s: {told.sizes()}")
        return 0
    advice = told.failure()
    sys.stderr.write("".join(told.last) if not advice else "")
    sys.stderr.write(f"pip failed after {took:.0f} s: {advice or 'its last lines are above'}\n")
    return process.returncode


def _listen(process: subprocess.Popen[str], told: Told, python: Path, work: Path) -> None:
    """Hear pip to its end and say how far it is whenever it was silent for long enough."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    there, due = _unpacked(python), time.monotonic() + _EVERY_S
    while True:
        try:
            line = lines.get(timeout=max(0.0, due - time.monotonic()))
            if line is None:
                break
            told.hear(line)
        except queue.Empty:
            pass
        if time.monotonic() >= due:
            say("  " + told.status(_unpacked(python) - there, _largest_mb(work)))
            due = time.monotonic() + _EVERY_S
    process.wait()


def _unpacked(python: Path) -> int:
    """Return how many packages the environment of a Python holds."""
    return sum(1 for _ in python.parent.parent.glob("lib/python*/site-packages/*.dist-info"))


def _largest_mb(folder: Path) -> float:
    """Return the size of the largest file: the one that pip downloads."""
    sizes = [0]
    for base, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append(Path(base, name).stat().st_size)
            except OSError:  # pip took it away meanwhile
                continue
    return max(sizes) / 1e6


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run(sys.executable, sys.argv[1:]))
