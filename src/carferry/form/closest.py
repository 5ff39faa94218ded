"""The known word that a mistyped one was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 100
_LIKE = 0.6


def closest(word: str, known: Iterable[str]) -> str:
    """Return the known word most like this one; empty if none is."""
    from difflib import get_close_matches  # only what is mistyped pays for it

    said, words = word[:_LONGEST].lower(), {each.lower(): each for each in known}
    if begun := [each for each in words if len(said) > 2 and each.startswith(said)]:
        return words[min(begun, key=len)]
    found = get_close_matches(said, words, n=1, cutoff=_LIKE)
    return words[found[0]] if found else ""


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a remedy for a word that is not known.

    Args:
        word: As it was written.
        known: What it may be.
        otherwise: Said as well, where to look for all of them.
    """
    found = closest(word, known)
    return " ".join(filter(None, (f"did you mean {found}?" if found else "", otherwise)))
