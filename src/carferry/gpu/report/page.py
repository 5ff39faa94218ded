"""The HTML report, as a page or a fragment: self-contained, ASCII, no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from carferry.gpu.report.chart import chart
from carferry.gpu.report.rows import MOST_ROWS, columns, facts, place, rows, ruled_out, shown
from carferry.gpu.report.words import BADGES, change, headline, reasons, title
from carferry.gpu.search.plan import GpuPlan, Option
from carferry.gpu.sizing.estimate import Verdict
from carferry.io.markup import GROUND, element, in_ascii, in_html

# Colours are set on every element that a notebook's dark theme colours itself.
STYLE = """
h1,h2{color:#1c2127;overflow-wrap:anywhere;line-height:1.25}
h1{font-size:22px;margin:0 0 4px}h2{font-size:17px;margin:28px 0 8px}
p,li,summary,td:last-child{overflow-wrap:anywhere}p{margin:6px 0}
.answer{border-left:8px solid;padding:12px 14px;background:#f6f7f9}
.answer.fits{border-color:#2e8b57}.answer.tight{border-color:#d08700}
.answer.unchecked{border-color:#6a4fb3}.answer.no{border-color:#c0392b}
.badge{display:inline-block;color:#fff;border-radius:3px;padding:1px 10px;font-weight:600;
font-size:13px;text-transform:uppercase;letter-spacing:.04em}
.badge.fits{background:#237346}.badge.tight{background:#9a6200}
.badge.unchecked{background:#6a4fb3}.badge.no{background:#c0392b}
.change{border:1px solid #d08700;background:#fff8ea;padding:8px 12px;margin-top:12px}
.option{margin:14px 0 18px}.option p{margin:0}
.word{font-weight:700;text-transform:uppercase;font-size:13px}
.word.fits{color:#1d6b3f}.word.tight{color:#8a5200}
.word.unchecked{color:#5a3fa3}.word.no{color:#a32020}
.small{font-size:13px;color:#59606a}
svg{display:block;overflow:visible;width:100%;height:34px;margin:4px 0 2px}
.capacity{fill:none;stroke:#111;stroke-width:2;vector-effect:non-scaling-stroke}
.share{stroke:#111;stroke-dasharray:3 3;vector-effect:non-scaling-stroke}
.cut{fill:none;stroke:#fff;stroke-width:2;vector-effect:non-scaling-stroke}
.missing{fill:#c0392b}
.key{display:inline-block;margin-right:12px;font-size:13px;color:#1c2127}
.key i{display:inline-block;width:12px;height:12px;margin-right:4px;vertical-align:-1px}
.wide{overflow-x:auto}
table{border-collapse:collapse;table-layout:auto;font-size:13px;margin:0}
td,th{border-bottom:1px solid #e3e6ea;padding:5px 8px;text-align:left;vertical-align:top;
color:#1c2127;background:#fff;white-space:nowrap}
td:last-child{white-space:normal;min-width:160px}
pre{background:#f1f3f5;color:#1c2127;padding:10px 14px;overflow:auto;font:13px monospace}
details,summary{font-size:13px}summary{cursor:pointer}
"""


def html(plan: GpuPlan) -> str:
    """Return the report as one HTML page."""
    style = f"\nbody{{{GROUND};margin:16px auto;\npadding:0 12px}}{STYLE}"
    return in_ascii(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{in_html(title(plan))}</title><style>{style}</style></head>"
        f"<body>{_body(plan)}</body></html>\n"
    )


def fragment(plan: GpuPlan) -> str:
    """Return the same report as one element, for a notebook's ``_repr_html_``.

    Its style applies to the element alone, and a white ground keeps it legible on a dark theme.
    """
    return element("carferry-plan", f"{GROUND};padding:8px 12px", STYLE, _body(plan))


def _body(plan: GpuPlan) -> str:
    mood = plan.verdict.value
    return (
        f'<div class="answer {mood}"><h1>{in_html(title(plan))}</h1>'
        f'<p><span class="badge {mood}">{BADGES[plan.verdict]}</span> '
        f"<b>{in_html(headline(plan))}</b></p>"
        f"<p>{in_html(' '.join(reasons(plan)))}</p>{_change(plan)}</div>"
        f"{_bars(plan)}{_arguments(plan)}<h2>Every option weighed</h2>{_options(plan)}"
        f"<h2>Planned for</h2>{_table(('what', 'value'), facts(plan))}{_notes(plan)}"
    )


def _bars(plan: GpuPlan) -> str:
    bars = chart(_drawn(plan))
    if not bars:
        return ""
    return (
        '<h2>Memory of one GPU, per option</h2><p class="small">The black frame is one GPU of that '
        "option, whatever it holds: each bar has its own scale, sizes are in GiB. The dashed line "
        "is the share that vLLM takes; a bar that passes it does not start, and the red strip is "
        f"what is missing; of what is unchecked, sizes may differ.</p>{bars}"
    )


def _drawn(plan: GpuPlan) -> Iterator[tuple[str, Option]]:
    """Yield (label, option) for the options worth a bar and the one the change leads to."""
    for option in shown(plan, 10):
        yield place(option), option
    if plan.change:
        yield f"changed: {place(plan.change.option)}", plan.change.option


def _change(plan: GpuPlan) -> str:
    mood = "" if plan.verdict is Verdict.FITS else ' class="change"'
    return f"<div{mood}><b>What to change:</b> {in_html(change(plan))}</div>"


def _arguments(plan: GpuPlan) -> str:
    if not plan.arguments:
        return ""
    return f"<h2>vLLM arguments</h2><pre>{chr(10).join(map(in_html, plan.arguments))}</pre>"


def _options(plan: GpuPlan) -> str:
    found = rows(plan)
    left = len(found) - MOST_ROWS
    more = f"<p>{left} more options, none better.</p>" if left > 0 else ""
    return _table(columns(plan), found[:MOST_ROWS]) + more + _ruled_out(plan)


def _ruled_out(plan: GpuPlan) -> str:
    """Fold what only says that vLLM would refuse it: a line for each GPU."""
    lines = ruled_out(plan)
    if not lines:
        return ""
    items = "".join(f"<li>{in_html(line)}</li>" for line in lines)
    summary = "<summary>Ways that a rule forbids before any sum</summary>"
    return f"<details>{summary}<ul>{items}</ul></details>"


def _table(heads: Iterable[str], cells: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{in_html(name)}</th>" for name in heads)
    lines = "".join(
        "<tr>" + "".join(f"<td>{in_html(cell)}</td>" for cell in row) + "</tr>" for row in cells
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _notes(plan: GpuPlan) -> str:
    if not plan.notes:
        return ""
    items = "".join(f"<li>{in_html(note)}</li>" for note in plan.notes)
    return f"<h2>What to know</h2><ul>{items}</ul>"
