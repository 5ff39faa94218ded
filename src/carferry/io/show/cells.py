"""How wide text is on a terminal, and how it is cut to fit.

Source: Unicode Standard Annex 11: characters that are wide or full-width take two cells, marks
that combine with the one before them take none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_GAP = "..."
_NO_CELL = ("Mn", "Me", "Cf")
# Vowels and final consonants of Hangul are drawn into the syllable before them.
_JAMO = range(0x1160, 0x1200)


def cells(text: str) -> int:
    """Return how many cells of a terminal printable text takes."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def cut(text: str, width: int) -> str:
    """Return text that takes at most ``width`` cells, its middle left out if it is longer.

    The end says more than the middle: shards of a model differ in their last digits.
    """
    if cells(text) <= width:
        return text
    if width <= len(_GAP) + 1:
        return _first(text, width)
    room = width - len(_GAP)
    head = _first(text, room // 3)
    tail = _last(text, room - cells(head))
    return f"{head.rstrip('.')}{_GAP}{tail.lstrip('.')}"  # a dot more would be part of the gap


def folded(text: str, width: int, indent: int = 2) -> list[str]:
    """Return text as rows of at most ``width`` cells, broken at blanks.

    Args:
        text: One line.
        width: A word that is wider stays where it is, and the terminal breaks it: an address or
            a digest is copied whole.
        indent: Blanks before each row but the first.
    """
    if cells(text) <= width:
        return [text]
    first, *rest = re.split(r"(?<=\S)( +)", text)
    rows, room = [first], " " * min(indent, width // 2)
    for blanks, word in zip(rest[::2], rest[1::2], strict=True):
        is_too_wide = len(room) + cells(word) > width
        if is_too_wide or cells(rows[-1]) + len(blanks) + cells(word) <= width:
            rows[-1] += blanks + word
        else:
            rows.append(room + word)
    return rows


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in _NO_CELL or ord(character) in _JAMO:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _first(text: str, width: int) -> str:
    """Return the longest start that fits, marks on its last character included."""
    return text[: _fitting(text, width)]


def _last(text: str, width: int) -> str:
    """Return the longest end that fits; it does not begin with a mark of what was left out."""
    start = len(text) - _fitting(reversed(text), width)
    while start < len(text) and not _cells_of(text[start]):
        start += 1
    return text[start:]


def _fitting(characters: Iterable[str], width: int) -> int:
    """Return how many characters take at most ``width`` cells together."""
    count = 0
    for character in characters:
        width -= _cells_of(character)
        if width < 0:
            break
        count += 1
    return count
