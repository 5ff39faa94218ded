"""Tables of the generated reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, each row on one line."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([_cell(cell) for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _cell(text: str) -> str:
    """Return text that ends no cell and begins no HTML; in code ``<`` is no HTML."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(part if i % 2 else part.replace("<", "\\<") for i, part in enumerate(parts))
