"""The pages whose blocks run: the README and all of ``docs/`` but the decisions."""

from __future__ import annotations

import re
from pathlib import Path

from docs.blocks import Block, Fault, read

ROOT = Path(__file__).resolve().parents[2]
README = "README.md"
_ON_A_CLUSTER = re.compile(
    r"(?m)(?:^|[\s;&|(])(?:oc|kubectl)\s|\bcarferry (?:deploy|rights|delete|test|warm)\b"
    r"|\bcarferry\.(?:deploy|delete|warm|test)\(|--cluster\b"
)


def pages() -> list[str]:
    """Return every page by its name from ``docs/``; the README by its own."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    return [README, *(place(page) for page in found if "adr" not in page.parts)]


def place(page: Path) -> str:
    """Return a page's name."""
    inside = page.resolve().relative_to(ROOT)
    return inside.relative_to("docs").as_posix() if inside.parts[0] == "docs" else str(inside)


def file(page: str) -> Path:
    """Return where a page is, by its name."""
    return ROOT / page if page == README else ROOT / "docs" / page


def on_a_cluster(blocks: list[Block]) -> bool:
    """Return whether what a page runs needs a cluster."""
    return any(_ON_A_CLUSTER.search(block.text) for block in blocks if block.runs)


def uses_a_cluster(page: str) -> bool:
    """Return whether a page is run on a node; one that cannot be read is not."""
    try:
        return on_a_cluster(read(file(page)))
    except Fault:
        return False
