"""Tables of the generated reference, and their places in pages that people write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, each row on one line."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([_cell(cell) for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def renewed(page: str, name: str, block: str) -> str:
    """Return a page with the part between ``<!-- name -->`` and ``<!-- /name -->`` made anew.

    The rest is written by hand. A page without that part stays as it is.
    """
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, begin, rest = page.partition(opening)
    _, end, after = rest.partition(closing)
    return f"{before}{opening}\n{block}{closing}{after}" if begin and end else page


def _cell(text: str) -> str:
    """Return text that ends no cell and begins no HTML; in code ``<`` is no HTML."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(part if i % 2 else part.replace("<", "\\<") for i, part in enumerate(parts))
