"""Python sources without comments and docstrings; what is left means the same."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache

# An f-string is one token until Python 3.12, and several, its middles among them, from then on.
_TEXTS = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


@cache
def shrink(source: str) -> str:
    """Drop comments and docstrings, keep every line's number, so that tracebacks point right.

    Works on positions, not on re-printed syntax: ``ast.unparse`` differs between Pythons.
    """
    lines = source.split("\n")
    cuts = [*_docstrings(source), *_comments(source)]
    for row, column, end_row, end_column, filler in sorted(cuts, reverse=True):
        head, tail = lines[row][:column], lines[end_row][end_column:]
        lines[row : end_row + 1] = [(head + filler + tail).rstrip(), *[""] * (end_row - row)]
    return "\n".join(lines).rstrip() + "\n"


def compact(source: str) -> str:
    """Drop comments, docstrings and empty lines, for source that stands in an argument."""
    text = shrink(source)
    kept: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in _TEXTS:
            kept |= set(range(token.start[0], token.end[0]))
    lines = enumerate(text.split("\n"), start=1)
    return "".join(f"{line}\n" for number, line in lines if line.strip() or number in kept)


def _docstrings(source: str) -> Iterator[tuple[int, int, int, int, str]]:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, holders):
            for statement in node.body:
                value = statement.value if isinstance(statement, ast.Expr) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield _span(value)


def _span(node: ast.Constant) -> tuple[int, int, int, int, str]:
    end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
    return node.lineno - 1, node.col_offset, end_line - 1, end_column, '""'


def _comments(source: str) -> Iterator[tuple[int, int, int, int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start[0] - 1, token.start[1]
            yield row, column, row, token.end[1], ""
