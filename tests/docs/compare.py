"""What a page says is printed, and what is: line by line, ``...`` standing for anything."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache

ANY = "..."


def difference(shown: str, printed: str) -> str:
    """Return how what is printed differs from what the page shows; empty if it does not."""
    wanted, got = _lines(shown), _lines(printed)
    if _matches(tuple(wanted), tuple(got)):
        return ""
    alike = [next((each for each in wanted if _alike(each, line)), line) for line in got]
    lines = difflib.unified_diff(wanted, alike, "the page shows", "is printed", lineterm="", n=2)
    said = "\n".join(lines)
    return said or "the lines come in another order or number:\n" + "\n".join(got)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").split("\n")] if text.strip() else []


def _matches(wanted: Sequence[str], got: Sequence[str]) -> bool:
    """Return whether the lines match; kept by rows, so that many ``...`` cost no more."""
    row = [True] + [False] * len(got)
    for each in wanted:
        if each.strip() == ANY:
            first = row.index(True) if True in row else len(row)
            row = [at >= first for at in range(len(row))]
        else:
            row = [False, *(row[at] and _alike(each, line) for at, line in enumerate(got))]
    return row[-1]


def _alike(wanted: str, line: str) -> bool:
    return wanted.strip() != ANY and _pattern(wanted).fullmatch(line) is not None


@cache
def _pattern(wanted: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in wanted.split(ANY)))
