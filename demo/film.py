"""An asciicast (version 2) becomes an animated SVG: no script, nothing fetched, ASCII.

The terminal is as simple as what carferry writes: text, new lines, and `up n lines, erase what
follows`. Rows of text are written once and used in every frame that shows them; one step-wise
animation shows frame after frame, and whoever asks for less motion sees the last one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

_ESCAPE = re.compile(r"\x1b\[(\d*)([A-Za-z])|\r\n|\r|\n")
_CHAR_PX, _LINE_PX, _MARGIN_PX, _BAR_PX = 8.4, 19, 14, 30
_REST_S = 4.0
"""How long the last frame stays before it begins anew."""
_STYLE = """
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;
fill:#e4e8ec;white-space:pre}
.p{fill:#8ad8ff;font-weight:bold}.b{fill:#9be3a8}
.film{animation:film %(seconds).2fs step-end infinite}
@media(prefers-reduced-motion:reduce){.film{animation:none;transform:translateY(-%(end)dpx)}}
@media print{.film{animation:none;transform:translateY(-%(end)dpx)}}
@keyframes film{%(frames)s}
"""

Rows = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cast:
    """A recording.

    Attributes:
        columns: Of the terminal.
        title: What it shows.
        events: Seconds since the start, and what was written then.
    """

    columns: int
    title: str
    events: Sequence[tuple[float, str]]

    @classmethod
    def parse(cls, text: str) -> Cast:
        """Read an asciicast, version 2; what is no output is left out."""
        head, *lines = map(json.loads, text.splitlines())
        events = tuple((at, data) for at, kind, data in lines if kind == "o")
        return cls(head["width"], head["title"], events)

    def text(self, rows: int) -> str:
        """Return it as an asciicast for a terminal of so many rows."""
        head = {"version": 2, "width": self.columns, "height": rows, "title": self.title}
        lines = [json.dumps(head), *(json.dumps([at, "o", data]) for at, data in self.events)]
        return "".join(f"{line}\n" for line in lines)


class Screen:
    """A terminal that is never full: its rows, the last one where the cursor stands."""

    def __init__(self) -> None:
        self.rows = [""]

    def write(self, text: str) -> None:
        """Obey what a program writes.

        Raises:
            ValueError: A sequence that no screen of ours knows.
        """
        end = 0
        for found in _ESCAPE.finditer(text):
            self.rows[-1] += text[end : found.start()]
            end = found.end()
            self._obey(found)
        self.rows[-1] += text[end:]

    def _obey(self, found: re.Match[str]) -> None:
        count, command = int(found[1] or 1), found[2]
        if command == "F":  # up, to the first column; what carferry writes next erases from there
            del self.rows[-count:]
            self.rows[-1:] = [""]
        elif command == "J" or found[0] == "\r":
            self.rows[-1] = ""
        elif command:
            raise ValueError(f"{found[0]!a} is not known here")
        else:
            self.rows.append("")


def frames(cast: Cast) -> list[tuple[float, Rows]]:
    """Return what is seen from when on; what changes nothing makes no frame."""
    screen, seen = Screen(), list[tuple[float, Rows]]()
    for at, text in cast.events:
        screen.write(text)
        rows = tuple(part for row in screen.rows for part in _folded(row, cast.columns))
        if seen and seen[-1][0] == at:
            seen.pop()
        if not seen or seen[-1][1] != rows:
            seen.append((at, rows))
    return seen


def _folded(row: str, columns: int) -> Iterator[str]:
    """Yield a row as a terminal shows it: what is too long goes on in the next."""
    for start in range(0, max(1, len(row)), columns):
        yield row[start : start + columns]


def height(cast: Cast) -> int:
    """Return the most rows that are seen at one time."""
    return max(len(rows) for _, rows in frames(cast))


def svg(cast: Cast) -> str:
    """Return the recording as an animated picture."""
    seen, most = frames(cast), height(cast)
    tall = most * _LINE_PX + 2 * _MARGIN_PX
    wide = round(cast.columns * _CHAR_PX) + 2 * _MARGIN_PX
    ids = {row: f"r{n}" for n, row in enumerate(dict.fromkeys(_shown(seen)))}
    defined = "".join(_row(name, row) for row, name in ids.items())
    drawn = "".join(_frame(n * tall, rows, ids) for n, (_, rows) in enumerate(seen))
    seconds = seen[-1][0] + _REST_S
    steps = "".join(
        f"{at / seconds:.3%}{{transform:translateY(-{n * tall}px)}}"
        for n, (at, _) in enumerate(seen)
    )
    style = _STYLE % {"seconds": seconds, "end": (len(seen) - 1) * tall, "frames": steps}
    title, told = escape(cast.title), escape("; ".join(row for row in seen[-1][1] if row.strip()))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall + _BAR_PX}"'
        f' width="{wide}" height="{tall + _BAR_PX}" role="img" aria-labelledby="title desc">'
        f'<title id="title">{title}</title><desc id="desc">A terminal, at its end: {told}</desc>'
        f"<style>{style}</style><defs>{defined}</defs>"
        f'<rect x=".5" y=".5" width="{wide - 1}" height="{tall + _BAR_PX - 1}" rx="8"'
        ' fill="#171c22" stroke="#58626d"/>'
        f"{_dots()}"
        f'<svg y="{_BAR_PX}" width="{wide}" height="{tall}" overflow="hidden">'
        f'<g class="film">{drawn}</g></svg></svg>\n'
    )


def _shown(seen: Iterable[tuple[float, Rows]]) -> Iterator[str]:
    for _, rows in seen:
        yield from (row for row in rows if row)


def _row(name: str, row: str) -> str:
    """Return the text of a row, as wide on every machine whatever its font."""
    kind = ' class="p"' if row.startswith("$ ") else ' class="b"' if row.startswith("[") else ""
    wide = f' textLength="{len(row) * _CHAR_PX:.1f}"'
    return (
        f'<text id="{name}"{kind}{wide} x="{_MARGIN_PX}" xml:space="preserve">{escape(row)}</text>'
    )


def _frame(top: int, rows: Rows, ids: dict[str, str]) -> str:
    first = top + _MARGIN_PX + 11
    return "".join(
        f'<use href="#{ids[row]}" y="{first + n * _LINE_PX}"/>' for n, row in enumerate(rows) if row
    )


def _dots() -> str:
    return "".join(
        f'<circle cx="{20 + 18 * n}" cy="17" r="5" fill="{colour}"/>'
        for n, colour in enumerate(("#e0685c", "#e2b347", "#62b357"))
    )
