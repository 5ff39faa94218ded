"""Shapes and words of the docs' pictures, as SVG: no script, no web font, one palette per scheme.

A picture stands on a card of its own, so it reads on any page; where the reader's system asks for
dark, the card is dark. Widths of words are reckoned, never measured: a browser's fonts differ.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from xml.sax.saxutils import escape

_LIGHT = {
    "card": "#ffffff",
    "edge": "#c7c7c7",
    "field": "#ffffff",
    "group": "#f5f7fa",
    "ink": "#1f1f1f",
    "pale": "#5c6066",
    "link": "#0059b3",
    "must": "#b1380b",
}
_DARK = {
    "card": "#1f2226",
    "edge": "#6b7178",
    "field": "#2a2e33",
    "group": "#282c31",
    "ink": "#f0f0f0",
    "pale": "#b5bac0",
    "link": "#92c5f9",
    "must": "#f4a07a",
}
_WIDEST = 0.52
"""Width of a letter in parts of its size: what common sans-serif fonts stay below in sentences."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Part of a picture.

    Attributes:
        shapes: SVG elements.
        bottom: Where the next part may begin.
    """

    shapes: tuple[str, ...]
    bottom: float

    def then(self, other: Drawn) -> Drawn:
        """Return both, the other being the lower."""
        return Drawn((*self.shapes, *other.shapes), other.bottom)


def words(
    x: float, y: float, text: str, kind: str = "ink", *, size: int = 14, starred: bool = False
) -> str:
    """Return one line of text; ``kind`` is a color of the palette, with more classes behind it."""
    shown = escape(text) + ('<tspan class="must"> *</tspan>' if starred else "")
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" font-size="{size}">{shown}</text>'


def paragraph(x: float, y: float, text: str, width: float, *, size: int = 13) -> Drawn:
    """Return pale text, wrapped to a width; ``y`` is its top."""
    lines = textwrap.wrap(text, int(width / (size * _WIDEST)), break_long_words=False)
    height = size + 5
    shapes = (
        words(x, y + height * (n + 0.75), line, "pale", size=size) for n, line in enumerate(lines)
    )
    return Drawn(tuple(shapes), y + height * len(lines))


def box(x: float, y: float, width: float, height: float, kind: str, *, round_by: int = 4) -> str:
    """Return a rectangle; ``kind`` names its fill, the edge is the palette's."""
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<rect {place} rx="{round_by}" class="b-{kind}"/>'


def rule(x: float, y: float, width: float) -> str:
    """Return a horizontal line."""
    return f'<path d="M{x:g} {y:g}h{width:g}" class="line"/>'


def document(title: str, about: str, width: float, height: float, shapes: Iterable[str]) -> str:
    """Return the SVG of a picture upon its card."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    role = f'role="img" aria-label="{escape(title)}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}',
            f'     {role} font-family="Helvetica, Arial, sans-serif">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(about)}</desc>",
            "<style>",
            *_rules(_LIGHT),
            ".b { font-weight: bold }",
            "@media (prefers-color-scheme: dark) {",
            *_rules(_DARK),
            "}",
            "</style>",
            box(0.5, 0.5, width - 1, height - 1, "card", round_by=8),
            *shapes,
            "</svg>\n",
        ]
    )


def _rules(palette: dict[str, str]) -> list[str]:
    fills = [f".{name} {{ fill: {palette[name]} }}" for name in ("ink", "pale", "link", "must")]
    fills += [
        f".b-{name} {{ fill: {palette[name]}; stroke: {palette['edge']} }}"
        for name in ("card", "field", "group")
    ]
    return [
        *fills,
        f".b-link {{ fill: {palette['link']} }}",
        f".on {{ fill: {palette['card']} }}",
        f".line {{ fill: none; stroke: {palette['edge']} }}",
        f".arrow {{ fill: none; stroke: {palette['pale']} }}",
        f".ring {{ fill: {palette['field']}; stroke: {palette['edge']} }}",
    ]
