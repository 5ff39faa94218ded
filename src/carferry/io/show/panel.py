"""Progress in a notebook: one output with a bar for all and one for each layer, drawn in place."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from carferry.io.markup import element, in_html
from carferry.io.show.amounts import human_bytes, human_seconds
from carferry.io.show.lines import ended_line, noted_line, totals, waiting
from carferry.io.show.notebook import GROUND, Spot
from carferry.io.show.tally import Phase, Tally

_EVERY_S = 0.2
_SILENT_S = 10.0
_MOST_ROWS, _MOST_NOTES = 12, 10
_STYLE = """
p{margin:0 0 6px;color:#1c2127}.how{color:#59606a}
.bar{background:#e3e6ea;border-radius:3px;height:14px;margin:2px 0 8px;overflow:hidden}
.bar i{display:block;height:100%;background:#3b6ea5}.bar.over i{background:#2e8b57}
.bar.short i{background:#d08700}
.row{display:flex;gap:10px;align-items:center;color:#1c2127;margin:1px 0}
.row .bar{flex:0 0 120px;height:8px;margin:0}
.row b{flex:0 0 76px;text-align:right;font-weight:400;white-space:nowrap}
.row em{flex:0 0 64px;font-style:normal;color:#59606a}
.row span{overflow-wrap:anywhere}
ul{margin:6px 0 0;padding-left:18px}li{color:#59606a;overflow-wrap:anywhere}
"""


class Panel:
    """A bar for all, a row for each item that moves or has ended, and the notes.

    Args:
        spot: Where it is drawn.
    """

    def __init__(self, spot: Spot | None = None) -> None:
        self._spot = spot or Spot()
        self._ended: deque[tuple[str, int, str]] = deque(maxlen=_MOST_ROWS)
        self._notes: deque[str] = deque(maxlen=_MOST_NOTES)
        self._began: float | None = None
        self._drawn = float("-inf")

    def expected(self, size_bytes: int, items: int, tally: Tally) -> None:
        """Show it with the next drawing."""

    def begun(self, name: str, size_bytes: int, tally: Tally) -> None:
        """Show it with the next drawing."""

    def moved(self, name: str, size_bytes: int, tally: Tally, now: float) -> None:
        """Draw, if the last time is long enough ago."""
        if now - self._drawn >= _EVERY_S:
            self._draw(tally, now)

    def ended(self, name: str, size_bytes: int, note: str, tally: Tally) -> None:
        """Keep a row of it."""
        self._ended.append((name, size_bytes, note))

    def noted(self, text: str, tally: Tally) -> None:
        """Keep the line; before the work begins and after it there is no next drawing."""
        self._notes.append(noted_line(text))
        if not tally.phases:
            self._show(tally, noted_line(text))

    def entered(self, phase: Phase, tally: Tally) -> None:
        """Draw: the cell that runs now is where all of it belongs."""
        if self._began is None:
            self._began = phase.since
            self._draw(tally, phase.since)

    def ticked(self, tally: Tally, now: float) -> None:
        """Draw."""
        self._draw(tally, now)

    def closed(self, tally: Tally) -> None:
        """Leave what was done, not how fast it went last."""
        began = tally.heard if self._began is None else self._began
        took = human_seconds(max(0.0, tally.heard - began))
        moved = f"{human_bytes(tally.done_bytes)} moved in {took}" if tally.done_bytes else ""
        if tally.size_bytes and tally.share < 1:
            head = f"stopped at {tally.share:.0%}, {moved or 'nothing moved'}"
        else:
            head = moved or ("nothing had to move" if tally.ended else "done")
        self._show(tally, head, over=bool(tally.ended))

    def _draw(self, tally: Tally, now: float) -> None:
        self._drawn = now
        tally.measure(now)
        self._show(tally, _head(tally, now))

    def _show(self, tally: Tally, head: str, *, over: bool = False) -> None:
        body = "".join(self._parts(tally, head, over))
        kept = "\n".join(ended_line(*each) for each in self._ended)
        text = f"{kept}\n{head}" if kept else head
        self._spot.show(element("carferry-progress", GROUND, _STYLE, body), text)

    def _parts(self, tally: Tally, head: str, over: bool) -> Iterator[str]:
        yield f"<p><b>{in_html(head)}</b></p>"
        if tally.size_bytes or over:
            yield _bar(tally.share if tally.size_bytes else 1.0, over)
        hidden = tally.ended.total() - len(self._ended)
        if hidden > 0:
            yield f'<p class="how">{hidden} more before these</p>'
        for name, size, note in self._ended:
            yield _row(name, size, 1.0, note or "done", over=True)
        moving = [*tally.items.items()]
        for name, item in moving[:_MOST_ROWS]:
            yield _row(name, item.size_bytes, item.share, f"{item.share:.0%}", over=False)
        if len(moving) > _MOST_ROWS:
            yield f'<p class="how">and {len(moving) - _MOST_ROWS} more</p>'
        if self._notes:
            yield f"<ul>{''.join(f'<li>{in_html(note)}</li>' for note in self._notes)}</ul>"


def _head(tally: Tally, now: float) -> str:
    """Return what is going on in one line."""
    if tally.silent_s(now) >= _SILENT_S:
        return waiting(tally, now)[0]
    if tally.size_bytes:
        return totals(tally)[0]
    return noted_line(tally.phases[-1].text) if tally.phases else ""


def _bar(share: float, over: bool) -> str:
    mood = (" over" if share >= 1 else " short") if over else ""
    return f'<div class="bar{mood}"><i style="width:{share:.1%}"></i></div>'


def _row(name: str, size_bytes: int, share: float, note: str, *, over: bool) -> str:
    return (
        f'<div class="row">{_bar(share, over)}<em>{in_html(note)}</em>'
        f"<b>{human_bytes(size_bytes)}</b><span>{in_html(noted_line(name))}</span></div>"
    )
