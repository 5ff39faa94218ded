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


ROW_OF = {
    "5.48": "carferry stream, 4 at once",
    "2": "peak RSS, 2 GiB, 4 streams",
    "8.50": "oci-modelcar, 2 workers",
    "45.20": "usual way",
    "0.00": "carferry stream, 4 at once",
    "2.50": "oci-modelcar, 1 workers",
    "12.04": "usual way",
    "0 of 16": "failed called fits",
    "1.99%": "KV GiB median",
    "0.40%": "KV GiB median",
    "6.41%": "KV GiB median",
    "21.71%": "KV GiB median",
    "0": "unchanged model: new bytes stored",
    "0.441": "unchanged model: wall",
    "0.265": "only config.json changed: moved",
    "8": "fan-out, 8 throttled workers against one",
    "7.44x": "fan-out, 8 throttled workers against one",
}
"""In which row of its benchmark a figure of the README stands."""


def test_a_figure_is_the_benchmarks_own() -> None:
    """So one that was measured anew is seen to differ here."""
    found = {
        figure.strip().removesuffix(" s"): target
        for _, cell in CELLS
        for text, target in LINK.findall(cell)
        if target.startswith("benchmarks/")
        for figure in re.findall(r"\d+(?:\.\d+)?(?: of \d+|%|x| s\b)?", text)
    }
    assert sorted(found) == sorted(ROW_OF)
    for figure, target in found.items():
        rows = rows_of((ROOT / target).read_text(), ROW_OF[figure])
        assert any(re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d.])", row) for row in rows), (
            figure
        )


def rows_of(benchmark: str, name: str) -> list[str]:
    """Return the rows of that name."""
    lines = benchmark.replace("**", "").splitlines()
    return [line for line in lines if line.startswith(f"| {name} |")]


def test_a_figure_of_what_was_tuned_on_stands_behind_the_held_out_one() -> None:
    (cell,) = (row[1] for row in ROWS if "GPU.md" in row[1])
    rows = rows_of((ROOT / "benchmarks/GPU.md").read_text(), "KV GiB median")
    held_out, everything = rows[0].strip("| ").split(" | ")[-2:]
    held_out, everything = (re.findall(r"[\d.]+", each)[0] for each in (held_out, everything))
    assert (
        cell.index("held out") < cell.index(f"{held_out}%") < cell.index(f"All rows: {everything}%")
    )


def test_every_page_is_found_from_the_readme() -> None:
    index = (ROOT / "docs/index.md").read_text()
    linked = {(ROOT / target.partition("#")[0]).resolve() for _, target in LINK.findall(README)}
    linked |= {
        (ROOT / "docs" / target.partition("#")[0]).resolve() for _, target in LINK.findall(index)
    }
    pages = {page for page in (ROOT / "docs").rglob("*.md") if "adr" not in page.parts}
    assert sorted(page.name for page in pages - linked) == []


def test_no_digest_names_two_things() -> None:
    """A reader would take the one for the other."""
    files = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.y*ml")]
    named: dict[str, set[str]] = {}
    for file in files:
        for name, digest in re.findall(r"([\w.-]+)@sha256:([0-9a-f]{64})", file.read_text()):
            named.setdefault(digest, set()).add(name)
    assert {digest: names for digest, names in named.items() if len(names) > 1} == {}


def test_three_commands_lead_to_a_real_models_deployment() -> None:
    block = README.partition('export PATH="$PWD/.venv/bin:$PATH"\n')[2].partition("```")[0]
    assert [line.split()[1] for line in block.splitlines()] == ["plan", "build", "render"]
