"""One output of a notebook's cell that is replaced in place, by what IPython itself brings.

IPython is never imported unless this process is a notebook's kernel, which has loaded it already.
"""

from __future__ import annotations

import sys
from collections import deque
from contextlib import suppress
from importlib import import_module
from typing import Any

from carferry.io.markup import element, in_html

GROUND = (
    "font:13px/1.5 system-ui,sans-serif;color:#1c2127;background:#fff;max-width:960px;"
    "padding:8px 12px"
)
"""Font, colour and ground of what is shown: legible on a light and on a dark theme."""

_STYLE = """
pre{margin:0;padding:0;color:#1c2127;background:#fff;font:13px monospace;white-space:pre-wrap}
"""
_MOST_LINES = 20


def in_notebook() -> bool:
    """Return whether this is the kernel of a notebook, and not a terminal or a plain script."""
    loaded = sys.modules.get("IPython")
    shell = loaded.get_ipython() if loaded and hasattr(loaded, "get_ipython") else None
    return hasattr(shell, "kernel")


class Spot:
    """An output of the cell that runs when it is first shown; later ones take its place."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, html: str, text: str) -> None:
        """Show something, as HTML and for front ends without it as text.

        A front end that is gone does not end the work.
        """
        shown = {"text/html": html, "text/plain": text}
        with suppress(OSError, ValueError):
            if self._handle is None:
                display = import_module("IPython.display").display
                self._handle = display(shown, raw=True, display_id=True)
            else:
                self._handle.update(shown, raw=True)


class Roll:
    """Lines in one output, the latest at its end.

    Args:
        spot: Where.
    """

    def __init__(self, spot: Spot | None = None) -> None:
        self._spot = spot or Spot()
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)
        self._count = 0

    def say(self, line: str) -> None:
        """Add a line."""
        self._lines.append(line)
        self._count += 1
        left = self._count - len(self._lines)
        shown = [f"{left} lines before", *self._lines] if left else [*self._lines]
        body = f"<pre>{chr(10).join(map(in_html, shown))}</pre>"
        self._spot.show(element("carferry-lines", GROUND, _STYLE, body), "\n".join(shown))
