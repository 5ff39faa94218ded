"""What a plan or a build came to, as Markdown for a pipeline's artifact view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from carferry.io.terminal import human_bytes
from carferry.steps.results import Built, Inspected, Planned

_MOST_ROWS = 200
_ESCAPED = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "`": "'", "\n": " "})


@dataclass(frozen=True, slots=True)
class Column:
    """A table column: its heading, and whether numbers stand right-aligned in it."""

    title: str
    right: bool = False


def plan_markdown(planned: Planned) -> str:
    """Return a plan: what moves, what does not, who takes it."""
    rows = [
        (layer.name, human_bytes(layer.size_bytes), layer.how, str(layer.worker))
        for layer in planned.layers
    ]
    columns = (Column("Layer"), Column("Size", right=True), Column("How"), Column("Worker", True))
    return "\n".join(
        [
            f"# Plan for {_text(planned.dest)}",
            "",
            f"- Model: {_text(planned.repo or 'a folder')} {planned.commit}".rstrip(),
            f"- {planned.files} files, {human_bytes(planned.size_bytes)} in "
            f"{len(planned.layers)} layers",
            f"- To move: {human_bytes(planned.bytes_to_move)} by {planned.workers} workers, "
            f"about {planned.seconds:.0f} s",
            "",
            *_table(columns, rows),
        ]
    )


def image_markdown(built: Built, found: Inspected) -> str:
    """Return a finished image: reference, contract, layers and files."""
    layers = [(held, human_bytes(size), digest[7:19]) for held, size, digest in found.layers]
    rules = [(name, "ok" if ok else "**broken**", detail) for name, ok, detail in found.rules]
    files = [(path, human_bytes(size)) for path, size in found.files]
    return "\n".join(
        [
            f"# {_text(built.uri)}",
            "",
            f"- Model: {_text(found.source or 'a folder')} {built.commit}".rstrip(),
            f"- {human_bytes(built.size_bytes)} in {built.layers} layers, {len(files)} files",
            "",
            *_table((Column("Contract"), Column(""), Column("Found")), rules),
            "",
            *_table((Column("Layer"), Column("Size", right=True), Column("Digest")), layers),
            "",
            *_table((Column("File"), Column("Size", right=True)), files),
        ]
    )


def flat(built: Built) -> dict[str, object]:
    """Return a build as the metadata of a pipeline's artifact."""
    return asdict(built)


def numbers(result: Built | Planned) -> dict[str, float]:
    """Return the numbers of a result, for charts over many runs."""
    names = ("size_bytes", "bytes_to_move", "moved_bytes", "reused_bytes", "retries", "seconds")
    found = {name: getattr(result, name, None) for name in names}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> list[str]:
    every = list(rows)
    lines = [" | ".join(column.title for column in columns)]
    lines += [" | ".join("---:" if column.right else "---" for column in columns)]
    lines += [" | ".join(_text(cell) for cell in row) for row in every[:_MOST_ROWS]]
    left = len(every) - _MOST_ROWS
    return [f"| {line} |" for line in lines] + ([f"\nand {left} more."] if left > 0 else [])


def _text(value: str) -> str:
    """File names come from strangers and must not become markup."""
    return value.translate(_ESCAPED)
