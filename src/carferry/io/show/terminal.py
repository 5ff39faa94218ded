"""Progress for people and logs: bars on a terminal or in a notebook, lines in a pod, or JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import IO

from carferry.io.show.amounts import human_bytes
from carferry.io.show.bars import Bars
from carferry.io.show.display import Display, Face
from carferry.io.show.events import Events
from carferry.io.show.lines import Lines
from carferry.io.show.notebook import in_notebook
from carferry.io.show.panel import Panel
from carferry.io.show.progress import Progress, Silent

__all__ = ["human_bytes", "open_progress"]


def open_progress(
    style: str, stream: IO[str] | None = None, environ: Mapping[str, str] = os.environ
) -> Progress:
    """Return a display.

    Args:
        style: ``auto`` (bars on a terminal that can, in a notebook one output that is updated,
            lines elsewhere), ``bars``, ``lines``, ``json`` or ``none``.
        stream: Where it goes; default stderr, so that stdout stays for results.
        environ: With ``TERM=dumb`` or ``NO_COLOR``, ``auto`` means lines.
    """
    out = stream or sys.stderr
    if style == "auto" and stream is None and in_notebook():
        return Display(Panel())
    if style == "auto":
        style = "bars" if _draws(out, environ) else "lines"
    if style == "none":
        return Silent()
    faces: dict[str, Callable[[IO[str]], Face]] = {"bars": Bars, "lines": Lines, "json": Events}
    return Display(faces[style](out))


def _draws(out: IO[str], environ: Mapping[str, str]) -> bool:
    """Return whether there is a terminal that can move its cursor, and nobody forbids it."""
    plain = environ.get("TERM", "") in ("", "dumb") or environ.get("NO_COLOR")
    return out.isatty() and not plain
