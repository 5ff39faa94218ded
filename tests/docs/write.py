"""Rewrite what pages show as printed by what is printed.

PYTHONPATH=tests python -m docs.write docs/how-to/deploy.md [...]

An output that matches stays as it is, its ``...`` too; another is written anew, with ``...`` for
times, rates and names of this run. Pages that use a cluster want ``CARFERRY_TEST_NODE``.
"""

from __future__ import annotations

import re
import sys
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from docs.blocks import Block, check
from docs.compare import difference
from docs.pages import ROOT, on_a_cluster, place
from docs.running import Ran, fault, run
from docs.world import Stage, World

_VARYING = (
    re.compile(r"\b\d+(?:\.\d+)? (?:ms|s|min)\b"),
    re.compile(r"\b\d+(?:\.\d+)? [kMGT]?i?B/s"),
    re.compile(r"(?<=sha256:)[0-9a-f]{64}"),
    re.compile(r"\b127\.0\.0\.1:\d+"),
)


def main(names: list[str]) -> int:
    """Rewrite pages; return the exit status."""
    failed = 0
    with tempfile.TemporaryDirectory() as scratch, Stage(Path(scratch) / "stage") as stage:
        for number, name in enumerate(names):
            page = place(Path(name))
            with _world(stage, page, Path(scratch) / str(number)) as world:
                failed |= _rewrite(world)
    return failed


def _world(stage: Stage, page: str, folder: Path) -> AbstractContextManager[World]:
    world = World(stage, page, folder)
    if not on_a_cluster(world.blocks):
        return world
    from cluster.docs_world import attached

    return attached(stage, page, folder)


def _rewrite(world: World) -> int:
    check(world.blocks)
    lines, shift = world.path.read_text().split("\n"), 0
    for ran in run(world):
        if ran.outcome.code != ran.block.code:
            print(f"{world.page}, line {ran.block.line}: {fault(ran)}", file=sys.stderr)
            return 1
        if (shown := ran.block.prints) is not None:
            new = renewed(ran, shown, world)
            start = shown.line + shift
            count = shown.text.count("\n")
            indent = re.match(" *", lines[start - 1])[0]  # type: ignore[index]
            lines[start : start + count] = [f"{indent}{each}".rstrip() for each in new]
            shift += len(new) - count
    world.path.write_text("\n".join(lines))
    return 0


def renewed(ran: Ran, shown: Block, world: World) -> list[str]:
    """Return the lines to show."""
    if shown.text.strip() and not difference(shown.text, ran.outcome.output):
        return shown.text.removesuffix("\n").split("\n")
    text = ran.outcome.output.replace(str(world.folder), "...").strip("\n")
    for pattern in _VARYING:
        text = pattern.sub("...", text)
    return [line.rstrip() for line in text.split("\n")]


if __name__ == "__main__":
    print(f"in {ROOT}")
    sys.exit(main(sys.argv[1:]))
