"""The README: short, and no claim without the test or the benchmark that holds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CLAIMS = README.partition("## What it does that others do not\n")[2].partition("\n## ")[0]
ROWS = [line.strip("|").split(" | ") for line in CLAIMS.split("\n") if line.startswith("| ")][1:]
CELLS = [(row[0][:40], cell) for row in ROWS for cell in row]
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def test_it_is_short_and_its_first_command_stands_on_the_first_screen() -> None:
    lines = README.split("\n")
    assert len(lines) <= 121
    assert lines.index("make demo") < 25
    assert README.isascii()


def test_every_claim_has_three_cells() -> None:
    assert len(ROWS) > 6
    assert {len(row) for row in ROWS} == {3}


@pytest.mark.parametrize(("row", "cell"), CELLS, ids=lambda text: text[:30])
def test_every_cell_leads_to_what_is_there(row: str, cell: str) -> None:
    links = LINK.findall(cell)
    assert links, f"{row}: no link in {cell}"
    for _, target in links:
        assert (ROOT / target).is_file(), target


@pytest.mark.parametrize("row", [row[2] for row in ROWS], ids=lambda text: text[:30])
def test_what_holds_a_claim_is_a_test(row: str) -> None:
    assert all(Path(target).name.startswith("test_") for _, target in LINK.findall(row))


def test_a_figure_is_the_benchmarks_own() -> None:
    """So one that was measured anew is seen to differ here."""
    figures = [
        (figure, target)
        for _, cell in CELLS
        for text, target in LINK.findall(cell)
        if target.startswith("benchmarks/")
        for figure in re.findall(r"\d+(?:\.\d+)?(?: of \d+|%|x| s\b)?", text)
    ]
    assert len(figures) > 12
    for figure, target in figures:
        measured = (ROOT / target).read_text().replace("**", "")
        assert re.search(rf"(?<![\d.]){re.escape(figure.removesuffix(' s'))}(?!\d)", measured), (
            figure
        )


def test_three_commands_lead_to_a_real_models_deployment() -> None:
    block = README.partition('export PATH="$PWD/.venv/bin:$PATH"\n')[2].partition("```")[0]
    assert [line.split()[1] for line in block.splitlines()] == ["plan", "build", "render"]
