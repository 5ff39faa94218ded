"""The result of a test for readers: lines of a terminal, and a page without script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from carferry.endpoint.load import Level
from carferry.endpoint.tested import COLUMNS, Measured
from carferry.io.markup import GROUND, element, in_ascii, in_html

# Colours are set on every element that a notebook's dark theme colours itself.
_STYLE = """
h1,h2,li,p{color:#1c2127;overflow-wrap:anywhere}
h1{font-size:20px;line-height:1.3;margin:0 0 4px}h2{font-size:17px;margin:24px 0 8px}
.answer{border-left:8px solid #2e8b57;padding:14px 18px;background:#f6f7f9}
.answer.no{border-color:#d08700}
svg{display:block;width:100%;max-width:920px;height:auto}
text{font:13px system-ui,sans-serif;fill:#1c2127}
.wide{overflow-x:auto}
table{border-collapse:collapse;table-layout:auto;width:100%;font-size:13px;margin:10px 0}
td,th{border-bottom:1px solid #e3e6ea;padding:5px 8px;text-align:right;color:#1c2127;
background:#fff}
td:first-child,th:first-child{text-align:left}
"""
_LEFT, _WIDTH, _ROW, _BAR, _RIGHT = 130, 600, 34, 20, 190
_COLOUR = "#3b6ea5"


def lines(measured: Measured) -> list[str]:
    """Return the result as lines, the load as a table."""
    rows = [COLUMNS, *measured.rows()]
    table = _aligned(rows) if measured.levels else []
    return [measured.headline, *measured.facts, *table]


def html(measured: Measured) -> str:
    """Return the result as one page: ASCII, no script, nothing fetched."""
    title = in_html(measured.headline)
    style = f"body{{{GROUND};margin:24px auto;padding:0 20px}}{_STYLE}"
    return in_ascii(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style></head><body>{_body(measured)}</body></html>\n"
    )


def fragment(measured: Measured) -> str:
    """Return the same as one element, for a notebook's ``_repr_html_``."""
    return element("carferry-test", f"{GROUND};padding:8px 12px", _STYLE, _body(measured))


def _body(measured: Measured) -> str:
    mood = " no" if measured.failures else ""
    facts = "".join(f"<li>{in_html(fact)}</li>" for fact in measured.facts)
    load = _load(measured) if measured.levels else ""
    title = in_html(measured.headline)
    return f'<div class="answer{mood}"><h1>{title}</h1><ul>{facts}</ul></div>{load}'


def _load(measured: Measured) -> str:
    heads = "".join(f"<th>{in_html(name)}</th>" for name in COLUMNS)
    rows = "".join(
        f"<tr>{''.join(f'<td>{in_html(cell)}</td>' for cell in row)}</tr>"
        for row in measured.rows()
    )
    return (
        f"<h2>Under load</h2>{_chart(measured.levels)}"
        f'<div class="wide"><table><tr>{heads}</tr>{rows}</table></div>'
        "<p>A few seconds each: enough to see a fault, no benchmark.</p>"
    )


def _chart(levels: Sequence[Level]) -> str:
    """Draw what all streams of each level got together."""
    streams = any(level.first for level in levels)
    what = "tokens/s" if streams else "answers/s"
    rates = [level.tokens_per_s if streams else level.requests_per_s for level in levels]
    scale = _WIDTH / (max(rates, default=0.0) or 1.0)
    bars = "".join(
        f'<text x="{_LEFT - 10}" y="{_middle(n)}" text-anchor="end">{level.streams} at once</text>'
        f'<rect x="{_LEFT}" y="{n * _ROW + 7}" width="{max(rate * scale, 0.5):.1f}" '
        f'height="{_BAR}" fill="{_COLOUR}"/>'
        f'<text x="{_LEFT + rate * scale + 8:.1f}" y="{_middle(n)}">{rate:.1f} {what}</text>'
        for n, (level, rate) in enumerate(zip(levels, rates, strict=True))
    )
    size = f"{_LEFT + _WIDTH + _RIGHT} {_ROW * len(levels)}"
    return f'<svg viewBox="0 0 {size}" role="img" aria-label="{what} in all">{bars}</svg>'


def _middle(row: int) -> int:
    return row * _ROW + 22


def _aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    every = [*rows]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in every
    ]
