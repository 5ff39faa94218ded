"""The steps of a run as one table in a notebook, updated in place, here or on a cluster.

It takes the lines that a local run and a followed one tell: ``STEP: state`` and, of a local run,
``STEP: what the step says``.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from google.protobuf.json_format import MessageToDict
from kfp.dsl.graph_component import GraphComponent

from carferry.io.markup import element, in_html
from carferry.io.show.amounts import human_seconds
from carferry.io.show.display import Ticker
from carferry.io.show.notebook import GROUND, Spot
from carferry.pipelines.runs import outline

_STATE = re.compile(
    r"(?P<word>started|running|done|failed|stopped|skipped|not run|"
    r"\d+ of \d+ done(?:, \d+ failed)?)"
    r"(?: \((?P<why>.*)\))?"
)
_SHARE = re.compile(r" \d+/\d+$")
_APPS = re.compile(r"[^.]+\.(apps\..+)")
_MOST_LINES, _MOST_NOTES = 200, 5
_MARKS = {
    "waiting": ("o", "#59606a"),
    "running": (">", "#2f5d8a"),
    "done": ("+", "#1d6b3f"),
    "failed": ("x", "#a32020"),
    "stopped": ("x", "#8a5200"),
    "skipped": ("-", "#59606a"),
    "not run": ("-", "#59606a"),
}
_STYLE = """
p{margin:0 0 6px;color:#1c2127;overflow-wrap:anywhere}a{color:#1f5fa8}
.wide{overflow-x:auto}
table{border-collapse:collapse;table-layout:auto;margin:0;font-size:13px;width:100%}
td,th{border-bottom:1px solid #e3e6ea;padding:4px 10px 4px 0;text-align:left;vertical-align:top;
color:#1c2127;background:#fff;white-space:nowrap}
td:last-child{white-space:normal;overflow-wrap:anywhere;width:60%}
pre,code{font-family:monospace;background:#f1f3f5;color:#1c2127;font-size:12px}
pre{margin:4px 0;padding:6px 8px;white-space:pre-wrap;overflow-wrap:anywhere;max-height:260px;
overflow-y:auto}
code{padding:1px 4px}
summary{cursor:pointer;color:#1c2127}
"""


@dataclass(slots=True)
class Row:
    """One step, as far as it is known.

    Attributes:
        state: In words.
        why: What holds it up, or what it said last.
        since: Monotonic seconds; None before it began.
        took_s: Seconds, once it is over; None before.
        pod: That ran it last.
        going: Of a step that runs several times: those that have begun and not ended.
        ended: How many have.
        lines: What it said.
    """

    state: str = "waiting"
    why: str = ""
    since: float | None = None
    took_s: float | None = None
    pod: str = ""
    going: set[str] = field(default_factory=set)
    ended: int = 0
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_LINES))

    @property
    def word(self) -> str:
        """The state as the table colours it."""
        if self.state in _MARKS:
            return self.state
        return "failed" if "failed" in self.state else "running" if self.took_s is None else "done"


@dataclass(frozen=True, slots=True)
class Page:
    """Where a browser finds the run.

    Attributes:
        run: Address of the run's page; empty: it has none.
        namespace: Its project.
    """

    run: str = ""
    namespace: str = ""

    @property
    def console(self) -> str:
        """OpenShift's console, which stands beside the pipeline server's route; else empty."""
        found = _APPS.fullmatch(urlsplit(self.run).netloc)
        return f"https://console-openshift-console.{found[1]}" if found else ""

    def log_of(self, pod: str) -> str:
        """Return HTML that leads to a pod's log: a link, or the command that reads it."""
        if self.console:
            path = f"k8s/ns/{quote(self.namespace)}/pods/{quote(pod)}/logs"
            return _link(f"{self.console}/{path}", "log")
        return f"<code>oc logs -n {in_html(self.namespace)} {in_html(pod)} -c main</code>"


class Board(AbstractContextManager["Board"]):
    """Context manager: the table is kept up to date inside.

    Args:
        pipeline: What runs, compiled or as its function.
        page: Where its run is found.
        spot: Where it is drawn.
        clock: Monotonic seconds.
        every_s: How often it is drawn while nothing is told.
    """

    def __init__(
        self,
        pipeline: GraphComponent | Mapping[str, Any],
        page: Page | None = None,
        *,
        spot: Spot | None = None,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = 1.0,
    ) -> None:
        self._page, self._spot, self._clock = page or Page(), spot or Spot(), clock
        self._every_s = every_s
        self.rows = {step.name: Row() for step in outline.steps(_document(pipeline))}
        self._notes: deque[str] = deque(maxlen=_MOST_NOTES)
        self._over = False

    def __enter__(self) -> Self:
        """Draw every step as waiting."""
        self._over = False
        self._draw()
        self._ticker = Ticker(self._draw, self._every_s)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Draw how it ended, with what the steps said."""
        self._ticker.stop()
        self._over = True
        self._draw()

    def say(self, line: str) -> None:
        """Take a line of progress."""
        name, colon, text = line.partition(": ")
        row = self.rows.get(_SHARE.sub("", name))
        if not colon or row is None:
            self._notes.append(line)
        elif found := _STATE.fullmatch(text):
            self._turn(row, name, found["word"], found["why"] or "")
        else:
            row.lines.append(text)
            row.why = text
        self._draw()

    def pods(self, found: Mapping[str, str]) -> None:
        """Take the name of each step's pod."""
        for name, pod in found.items():
            if name in self.rows:
                self.rows[name].pod = pod

    def _turn(self, row: Row, name: str, word: str, why: str) -> None:
        """Take a new state of a step, or of one of its turns."""
        now = self._clock()
        if row.since is None:
            row.since = now
        if word == "started":
            row.going.add(name)
            row.state, row.took_s, row.why = _turns(row), None, ""
            return
        row.ended += name in row.going
        row.going.discard(name)
        row.state, row.why = word, why
        if row.going or row.ended > 1:
            row.state = _turns(row) if word == "done" else word
        if not row.going and row.word != "running":
            row.took_s = now - row.since
        count = re.match(r"(\d+) of (\d+) done", word)
        if count:
            row.took_s = now - row.since if count[1] == count[2] else None

    def _draw(self) -> None:
        rows = "".join(self._cells(name, row) for name, row in self.rows.items())
        head = "<tr><th></th><th>step</th><th>state</th><th>time</th><th></th></tr>"
        body = (
            f'{self._head()}<div class="wide"><table><thead>{head}</thead>'
            f"<tbody>{rows}</tbody></table></div>{self._told()}"
        )
        text = "\n".join(f"{name}: {row.state}" for name, row in self.rows.items())
        self._spot.show(element("carferry-run", GROUND, _STYLE, body), text)

    def _head(self) -> str:
        done = sum(row.word in ("done", "skipped", "not run") for row in self.rows.values())
        link = f" &middot; {_link(self._page.run, 'open the run')}" if self._page.run else ""
        return f"<p><b>{done} of {len(self.rows)} steps</b>{link}</p>"

    def _told(self) -> str:
        return "".join(f"<p>{in_html(note)}</p>" for note in self._notes)

    def _cells(self, name: str, row: Row) -> str:
        mark, colour = _MARKS[row.word]
        paint = f'style="color:{colour};font-weight:600"'
        return (
            f"<tr><td {paint}>{in_html(mark)}</td><td>{in_html(name)}</td>"
            f"<td {paint}>{in_html(row.state)}</td><td>{self._time(row)}</td>"
            f"<td>{''.join(self._more(row))}</td></tr>"
        )

    def _time(self, row: Row) -> str:
        if row.since is None or row.word in ("skipped", "not run"):
            return ""
        return human_seconds(row.took_s if row.took_s is not None else self._clock() - row.since)

    def _more(self, row: Row) -> Iterator[str]:
        """Yield what a step says: its log once all is over, as a fold that is redrawn closes."""
        if row.pod:
            yield f"{self._page.log_of(row.pod)} "
        if self._over and row.lines:
            lines = "\n".join(map(in_html, row.lines))
            count = "1 line" if len(row.lines) == 1 else f"{len(row.lines)} lines"
            yield f"<details><summary>log, {count}</summary><pre>{lines}</pre></details>"
        elif row.why:
            yield in_html(row.why)


def _turns(row: Row) -> str:
    """Return the state of a step of which some turns have begun."""
    begun = row.ended + len(row.going)
    if begun <= 1:
        return "running" if row.going else "done"
    return f"{row.ended} of {begun} done"


def _document(pipeline: GraphComponent | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(pipeline, GraphComponent):
        found: dict[str, Any] = MessageToDict(pipeline.pipeline_spec)
        return found
    return pipeline


def _link(address: str, text: str) -> str:
    """Return a link, or the text alone where the address is none of the web."""
    if urlsplit(address).scheme not in ("http", "https"):
        return in_html(text)
    where = in_html(address)
    return f'<a href="{where}" target="_blank" rel="noopener">{in_html(text)}</a>'
