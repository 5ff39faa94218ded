"""Results as Markdown: for a pipeline's artifact view and for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from carferry.io.markup import in_markdown

_MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Column:
    """A table column: its heading, and whether its cells are numbers, aligned to the right."""

    title: str
    right: bool = False


def page(title: str, facts: Sequence[str], *tables: Sequence[str]) -> str:
    """Return a heading, a list of facts, and tables."""
    listed = [f"- {in_markdown(fact)}" for fact in facts]
    parts = [f"# {in_markdown(title)}", *([""] if facts else []), *listed]
    for lines in tables:
        parts += ["", *lines]
    return "\n".join(parts)


def in_notebook(markdown: str) -> str:
    """Return a page as a notebook shows it, among others: a small title that may be broken.

    Nothing wraps a title there, and half of a digest is none.
    """
    title, rest = markdown.partition("\n")[::2]
    return f"###{title.replace('@', '@<wbr>')}\n{rest}" if title.startswith("# ") else markdown


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table's lines; rows beyond 200 are only counted."""
    every = list(rows)
    lines = [" | ".join(column.title for column in columns)]
    lines += [" | ".join("---:" if column.right else "---" for column in columns)]
    lines += [" | ".join(in_markdown(cell) for cell in row) for row in every[:_MOST_ROWS]]
    left = len(every) - _MOST_ROWS
    return [f"| {line} |" for line in lines] + ([f"\nand {left} more."] if left > 0 else [])
