"""What a step says of the choice of files: what stayed out, with sizes, and what servers need."""

from __future__ import annotations

from typing import TypedDict

from carferry.io.show.terminal import human_bytes
from carferry.selection.notes import some
from carferry.selection.selection import Selection
from carferry.shown import one_line


class Remarks(TypedDict):
    """The fields of a result that say it."""

    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    trust_remote_code: bool


def remarks(selection: Selection) -> Remarks:
    """Return what a result says of a selection; a line per reason, however many files there are."""
    lines = (
        f"{some([each.path for each in group])}, "
        f"{human_bytes(sum(each.size_bytes for each in group))}: {reason}"
        for reason, group in selection.left_out_by_reason()
    )
    return {
        "left_out": tuple(one_line(line) for line in lines),
        "notes": tuple(one_line(note) for note in selection.notes),
        "trust_remote_code": selection.trust_remote_code,
    }
