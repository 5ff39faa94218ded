"""What the demo says while it works: never silent for long, and at its end a page."""

from __future__ import annotations

import os
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_EVERY_S = 2.5
_said_at = time.monotonic()


def say(text: str) -> None:
    """Print a line at once: what a child prints must not overtake it."""
    global _said_at
    _said_at = time.monotonic()
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def step(number: str, text: str) -> None:
    """Print where the demo is."""
    say(f"\n{number} {text}")


@contextmanager
def heard(what: str) -> Iterator[None]:
    """Say that something is still under way, whenever nothing was said for a while."""
    began, ended = time.monotonic(), threading.Event()

    def watch() -> None:
        while not ended.wait(max(0.1, _said_at + _EVERY_S - time.monotonic())):
            if time.monotonic() - _said_at >= _EVERY_S:
                say(f"  {what}: {time.monotonic() - began:.0f} s")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def look_at(page: Path) -> str:
    """Open a page if somebody sits in front of a display; return a line that says where it is."""
    if _is_seen(sys.stdout.isatty(), os.environ) and webbrowser.open(page.as_uri()):
        return f"Opened in your browser: {page.as_uri()}"
    return f"Open in a browser: {page.as_uri()}"


def _is_seen(terminal: bool, environ: Mapping[str, str]) -> bool:
    """Return whether a browser would be seen: a person at a terminal of a machine with a screen."""
    screen = sys.platform == "darwin" or environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    return bool(terminal and screen and not environ.get("CI"))
