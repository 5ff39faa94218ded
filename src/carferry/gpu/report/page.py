"""The HTML report, as a page or a fragment: self-contained, ASCII, no script, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from carferry.gpu.memory.estimate import Verdict
from carferry.gpu.report.chart import chart, legend
from carferry.gpu.report.words import (
    COLUMNS,
    change,
    facts,
    headline,
    option_row,
    place,
    reasons,
    shown,
)
from carferry.gpu.search.plan import GpuPlan, Option
from carferry.io.markup import in_html

_BODY = "font:15px/1.5 system-ui,sans-serif;color:#1c2127;max-width:960px"
_STYLE = """
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:28px 0 8px}
.answer{border-left:8px solid;padding:14px 18px;background:#f6f7f9}
.fits{border-color:#2e8b57}.tight{border-color:#d08700}.no{border-color:#c0392b}
.badge{display:inline-block;color:#fff;border-radius:3px;padding:1px 10px;font-weight:600;
font-size:13px;text-transform:uppercase;letter-spacing:.04em}
.badge.fits{background:#2e8b57}.badge.tight{background:#b87700}.badge.no{background:#c0392b}
.change{border:1px solid #d08700;background:#fff8ea;padding:10px 16px;margin-top:14px}
svg{width:100%;height:auto}text{font:13px system-ui,sans-serif;fill:#1c2127}
text.part{font-size:12px}text.small{font-size:12px;fill:#59606a}
text.verdict{font-weight:700}text.name{font-weight:600}
.grid{stroke:#e3e6ea}.capacity{fill:none;stroke:#111;stroke-width:2}
.share{stroke:#111;stroke-dasharray:3 3}
.legend{margin:0}.key{margin-right:16px;white-space:nowrap;font-size:13px}
.key i{display:inline-block;width:13px;height:13px;margin-right:5px;vertical-align:-2px}
.key i.cap{border:2px solid #111;width:10px;height:10px}
table{border-collapse:collapse;width:100%;font-size:13px}
td,th{border-bottom:1px solid #e3e6ea;padding:5px 8px;text-align:left;vertical-align:top}
pre{background:#f1f3f5;padding:10px 14px;overflow:auto}
"""
_SCOPE = "carferry-plan"


def html(plan: GpuPlan) -> str:
    """Return the report as one HTML page."""
    style = f"\nbody{{{_BODY};margin:24px auto;\npadding:0 20px}}{_STYLE}"
    return _ascii(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{in_html(headline(plan))}</title><style>{style}</style></head>"
        f"<body>{_body(plan)}</body></html>\n"
    )


def fragment(plan: GpuPlan) -> str:
    """Return the same report as one element, for a notebook's ``_repr_html_``.

    Its style applies to the element alone, and a white ground keeps it legible on a dark theme.
    """
    style = f".{_SCOPE}{{{_BODY};background:#fff;padding:8px 20px}}{_scoped(_STYLE)}"
    return _ascii(f'<div class="{_SCOPE}"><style>{style}</style>{_body(plan)}</div>\n')


def _scoped(style: str) -> str:
    """Return rules of CSS with every selector limited to the fragment's element."""
    return re.sub(
        r"([^{}]+)\{",
        lambda rule: ",".join(f".{_SCOPE} {each.strip()}" for each in rule[1].split(",")) + "{",
        style,
    )


def _ascii(source: str) -> str:
    return source.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _body(plan: GpuPlan) -> str:
    mood = plan.verdict.value
    return (
        f'<div class="answer {mood}"><h1>{in_html(headline(plan))}</h1>'
        f'<span class="badge {mood}">{_badge(plan)}</span>'
        f"<p>{in_html(' '.join(reasons(plan)))}</p>{_change(plan)}</div>"
        f"<h2>Memory of one GPU, per option</h2>{legend()}{chart(_drawn(plan))}"
        '<p class="legend">The black frame is the GPU; the dashed line is the share vLLM takes. '
        "A bar that passes the line does not start.</p>"
        f"{_arguments(plan)}<h2>Every option weighed</h2>{_options(plan)}"
        f"<h2>Planned for</h2>{_table(('what', 'value'), facts(plan))}{_notes(plan)}"
    )


def _drawn(plan: GpuPlan) -> Iterator[tuple[str, Option]]:
    """Yield (label, option) for the options worth a bar and the one the change leads to."""
    for option in shown(plan, 10):
        yield place(option), option
    if plan.change:
        yield f"changed: {place(plan.change.option)}", plan.change.option


def _badge(plan: GpuPlan) -> str:
    return "does not fit" if plan.verdict is Verdict.NO else plan.verdict.value


def _change(plan: GpuPlan) -> str:
    mood = "" if plan.verdict is Verdict.FITS else ' class="change"'
    return f"<div{mood}><b>What to change:</b> {in_html(change(plan))}</div>"


def _arguments(plan: GpuPlan) -> str:
    if not plan.arguments:
        return ""
    return f"<h2>vLLM arguments</h2><pre>{chr(10).join(map(in_html, plan.arguments))}</pre>"


def _options(plan: GpuPlan) -> str:
    most = 40
    rows = [option_row(option) for option in plan.options[:most]]
    left = len(plan.options) - most
    more = f"<p>{left} more options, none better.</p>" if left > 0 else ""
    return _table(COLUMNS, rows) + more


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{in_html(name)}</th>" for name in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{in_html(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _notes(plan: GpuPlan) -> str:
    if not plan.notes:
        return ""
    items = "".join(f"<li>{in_html(note)}</li>" for note in plan.notes)
    return f"<h2>What to know</h2><ul>{items}</ul>"
