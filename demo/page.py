"""The page that the demo ends with: self-contained, ASCII, no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import carferry
from carferry.io.markup import in_html
from carferry.io.show.terminal import human_bytes
from carferry.steps.fitted import Fit

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2127;--ground:#fff;--soft:#f1f3f5;
--line:#d5dade;--ok:#1d6b3f}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--ground:#14171a;--soft:#23282d;
--line:#3c444c;--ok:#6fd19a}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);
max-width:960px;margin:24px auto;padding:0 16px}
h1{font-size:26px;margin:0}h2{font-size:19px;margin:36px 0 8px}
pre{background:var(--soft);padding:10px 14px;overflow:auto;font-size:13px}
code{font-size:13px;overflow-wrap:anywhere}
table{border-collapse:collapse;font-size:14px}
th,td{border-bottom:1px solid var(--line);padding:4px 12px 4px 0;text-align:left;vertical-align:top}
.wide{overflow-x:auto}.ok{color:var(--ok);font-weight:600}
nav a{margin-right:14px;color:inherit}summary{cursor:pointer}
"""


def html(
    summary: Mapping[str, str],
    fit: Fit,
    found: carferry.Inspected,
    objects: str,
    commands: Sequence[str],
) -> str:
    """Return the page."""
    sections = {
        "What there is now": _pairs(summary),
        "The plan": fit._repr_html_(),
        "The image": _image(found),
        "What KServe needs of it": _rules(found),
        "The objects that serve it": f"<pre>{_lines(objects.splitlines())}</pre>",
        "What to try next": f"<pre>{_lines(commands)}</pre>",
    }
    links = "".join(f'<a href="#{_id(name)}">{name}</a>' for name in sections)
    body = "".join(f'<h2 id="{_id(name)}">{name}</h2>{text}' for name, text in sections.items())
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>carferry: the demo</title><style>{_STYLE}</style></head><body>"
        f"<h1>A model became an image that KServe serves</h1><nav>{links}</nav>{body}"
        "</body></html>\n"
    )
    return page.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _image(found: carferry.Inspected) -> str:
    layers = [(name, human_bytes(size), digest) for name, size, digest in found.layers]
    files = [(path, human_bytes(size)) for path, size in found.files]
    return (
        f"{_table(('layer', 'size', 'digest'), layers)}"
        f"<details><summary>{len(files)} files under /models</summary>"
        f"{_table(('file', 'size'), files)}</details>"
    )


def _rules(found: carferry.Inspected) -> str:
    words = {True: '<td class="ok">ok</td>', False: "<td>BROKEN</td>", None: "<td>not read</td>"}
    rows = "".join(
        f"<tr>{words[ok]}<td>{in_html(name)}</td><td>{in_html(detail)}</td></tr>"
        for name, ok, detail in found.rules
    )
    return f'<div class="wide"><table>{rows}</table></div>'


def _pairs(pairs: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><th>{in_html(name)}</th><td><code>{in_html(value)}</code></td></tr>"
        for name, value in pairs.items()
    )
    return f'<div class="wide"><table>{rows}</table></div>'


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    lines = "".join(
        "<tr>" + "".join(f"<td><code>{in_html(cell)}</code></td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{lines}</table></div>'


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(map(in_html, lines))


def _id(name: str) -> str:
    return name.lower().replace(" ", "-")
