"""What a look at a model shows: within 24 rows of 80 cells, whatever its names are."""

from __future__ import annotations

from collections.abc import Sequence

from carferry.cli.following import NEXT
from carferry.gpu.search.notes import is_doubt
from carferry.io.shell import word
from carferry.io.show.cells import cut
from carferry.shown import one_line
from carferry.steps.looked import Look

_COLUMNS, _ROWS = 80, 23  # the last row is the shell's
_HEAD = ("GPU", "GiB", "GPUs", "verdict", "context", "why not")
_WIDTHS = (9, 3, 4, 7, 7)  # so that 50 columns hold a row
_RIGHT = (1, 2, 4)
_COMMIT_DIGITS = 12


def look_lines(found: Look, *, with_remarks: bool = True, choice: str = "") -> list[str]:
    """Return the screen; remarks that have no room are counted, and --json has them all.

    Args:
        found: What was found.
        choice: Options that the commands which follow need too.
        with_remarks: And which commands follow; else what the model is, and the table.
    """
    name = f"{found.repo or found.model} {found.commit[:_COMMIT_DIGITS]}".rstrip()
    head = [name, *found.facts]
    if not with_remarks:
        doubts = [f"warning {note}" for note in found.notes if is_doubt(note)]
        return [cut(one_line(line), _COLUMNS) for line in [*head, *doubts, *_table(found)]]
    tail = [*_table(found), *_next(found, choice)]
    noted = [f"note    {note}" for note in found.notes]
    said = [*noted, *(f"left    {line}" for line in found.left_out)]
    room = _ROWS - len(head) - len(tail)
    if len(said) > room:
        more = len(said) - room + 1
        said = [*said[: room - 1], f"        {more} more remarks: --json"]
    return [cut(one_line(line), _COLUMNS) for line in [*head, *said]] + tail


def _table(found: Look) -> list[str]:
    if not found.fits:
        return ["", cut(one_line(f"no table of GPUs: {found.no_fits}"), 2 * _COLUMNS)]
    rows = [_row(_HEAD), *map(_row, found.rows)]
    return ["", *(cut(one_line(row), _COLUMNS) for row in rows)]


def _row(cells_of: Sequence[str]) -> str:
    cells = [
        cell.rjust(width) if place in _RIGHT else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells_of, _WIDTHS, strict=False))
    ]
    return " ".join([*cells, *cells_of[len(_WIDTHS) :]]).rstrip()


def _next(found: Look, choice: str) -> list[str]:
    """Return the commands that follow; the arithmetic of a GPU is another question."""
    model = word(found.model)
    fits = [each for each in found.fits if each.verdict != "no"]
    gpu = [f"carferry plan {model} --gpu '{fits[0].gpu} x{fits[0].count}'{choice}"] if fits else []
    build = f"carferry build {model} docker://REGISTRY/NAME:TAG{choice}"
    return ["", *(f"{NEXT}{command}" for command in [*gpu, build])]
