"""Text of strangers inside Markdown and HTML: shown, never obeyed."""

from __future__ import annotations

import re
from html import escape

from carferry.shown import printable

# References, which no renderer takes for markup; a backslash before a bar means two things.
_MARKUP = str.maketrans({each: f"&#{ord(each)};" for each in "&<>|`[]\\"})


GROUND = "font:15px/1.5 system-ui,sans-serif;color:#1c2127;background:#fff;max-width:960px"
"""Font, colour and ground of a report: on a page of its own, and on any theme of a notebook."""


def in_markdown(text: str) -> str:
    """Return text on one line that Markdown takes for text: no cell, tag, link or code."""
    return printable(text).translate(_MARKUP)


def in_html(text: str) -> str:
    """Return text on one line that HTML takes for text, in an attribute too."""
    return escape(printable(text))


def element(scope: str, ground: str, style: str, body: str) -> str:
    """Return an HTML element for a notebook: ASCII, no script, its style for itself alone.

    Notebooks in a dark theme colour text, not grounds, so both are given here.

    Args:
        scope: Class of the element.
        ground: CSS of the element itself: its font, its colour and its ground.
        style: CSS of what is in it; every selector is limited to it.
        body: HTML.
    """
    rules = re.sub(r"([^{}]+)\{", lambda rule: f"{_within(scope, rule[1])}{{", style)
    css = f"<style>.{scope}.{scope}{{{ground}}}{rules}</style>"
    return in_ascii(f'<div class="{scope}">{css}{body}</div>\n')


def in_ascii(source: str) -> str:
    """Return HTML whose other characters are references."""
    return source.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _within(scope: str, selectors: str) -> str:
    """Return selectors for what is in an element; its class twice outweighs a notebook's rules."""
    return ",".join(f".{scope}.{scope} {each.strip()}" for each in selectors.split(","))
