"""What the comparison of a log gives: the terms side by side, which is off, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass

from carferry.gpu.log.compare import Line
from carferry.steps.markdown import Column, page, table
from carferry.steps.results import Result

_COLUMNS = (
    Column("Term"), Column("Predicted", True), Column("Logged", True), Column("Off", True),
    Column("Band", True), Column(""),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared(Result):
    """A start of vLLM beside its prediction.

    Attributes:
        model: What was predicted.
        ran: Version, GPUs and settings, in one line.
        verdict: Which term is off and by how much, in one sentence.
        ok: Whether every term is within our band.
        lines: A row for each term that the log tells.
        image: What a calibration is for: an image, or ``vLLM`` and its version.
        gpu: What it is for.
        kept: The calibration in words; empty if none was kept.
        file: Where it was kept; empty likewise.
        not_kept: Why nothing was kept; empty if something was.
        notes: What a reader should know, a line each.
    """

    model: str
    ran: str
    verdict: str
    ok: bool
    lines: tuple[Line, ...]
    image: str
    gpu: str
    kept: str = ""
    file: str = ""
    not_kept: str = ""
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The cells of each row: term, predicted, logged, off, band, and whether it is off."""
        return tuple(
            (
                f"{line.term} {line.unit}" if line.unit == "GiB" else line.term,
                _number(line.predicted, line.unit),
                _number(line.logged, line.unit),
                f"{line.off:+,.{0 if line.unit == 'tokens' else 2}f}",
                _number(line.band, line.unit),
                "" if line.is_within else "off",
            )
            for line in self.lines
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was kept or why not, and the notes."""
        kept = f"kept for later plans in {self.file}: {self.kept}"
        return (kept if self.kept else f"nothing kept: {self.not_kept}", *self.notes)

    @property
    def text(self) -> str:
        """The report for a terminal."""
        heads = tuple(column.title for column in _COLUMNS)
        cells = [heads, *self.rows]
        widths = [max(len(row[place]) for row in cells) for place in range(len(heads))]
        lines = [
            "  ".join(
                cell.rjust(width) if column.right else cell.ljust(width)
                for cell, width, column in zip(row, widths, _COLUMNS, strict=True)
            ).rstrip()
            for row in cells
        ]
        mood = "within" if self.ok else "off"
        return "\n".join((self.model, self.ran, "", *lines, "", f"[{mood}] {self.verdict}"))

    @property
    def markdown(self) -> str:
        """The report as Markdown."""
        facts = [self.ran, self.verdict, *self.remarks]
        return page(self.model, facts, table(_COLUMNS, self.rows))


def _number(value: float, unit: str) -> str:
    return f"{value:,.{0 if unit == 'tokens' else 2}f}"
