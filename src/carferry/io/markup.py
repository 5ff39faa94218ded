"""Text of strangers inside Markdown and HTML: shown, never obeyed."""

from __future__ import annotations

from html import escape

from carferry.shown import printable

# References, which no renderer takes for markup; a backslash before a bar means two things.
_MARKUP = str.maketrans({each: f"&#{ord(each)};" for each in "&<>|`[]\\"})


def in_markdown(text: str) -> str:
    """Return text on one line that Markdown takes for text: no cell, tag, link or code."""
    return printable(text).translate(_MARKUP)


def in_html(text: str) -> str:
    """Return text on one line that HTML takes for text, in an attribute too."""
    return escape(printable(text))
