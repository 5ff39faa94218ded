"""Rewrite what pages show as printed by what is printed.

PYTHONPATH=tests python -m docs.write docs/how-to/deploy.md [...]

An output that matches stays as it is, its ``...`` too; another is written anew, with ``...`` for
times, rates and names of this run. Pages that use a cluster want ``CARFERRY_TEST_NODE``.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from docs.blocks import Block, check
from docs.compare import difference, settled
from docs.pages import on_a_cluster, place
from docs.running import Ran, fault, run
from docs.world import Stage, World

_VARYING = (
    re.compile(r"\b\d+(?:\.\d+)? (?:ms|s|min)\b"),
    re.compile(r"\b\d+(?:\.\d+)? [kMGT]?i?B/s"),
    re.compile(r"(?<=sha256:)[0-9a-f]{64}"),
    re.compile(r"\b127\.0\.0\.1:\d+"),
    re.compile(r"(?<=[a-z0-9]-)[0-9a-f]{8,10}-[a-z0-9]{5}\b"),  # a Deployment's pods
    re.compile(r"\b(?:\d+h)?(?:\d+m)?\d+s\b"),  # ages
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
    ran = list(run(world))
    if ran and ran[-1].outcome.code != ran[-1].block.code:
        print(f"{world.page}, line {ran[-1].block.line}: {fault(ran[-1])}", file=sys.stderr)
        return 1
    world.path.write_text(rewritten(world.path.read_text(), ran, str(world.folder)))
    return 0


def rewritten(page: str, ran: Sequence[Ran], folder: str = "") -> str:
    """Return the text of a page with what was printed.

    Args:
        page: As it is.
        ran: All that ran of it.
        folder: What is hidden of paths.
    """
    lines, shift = page.split("\n"), 0
    for each in ran:
        if (shown := each.block.prints) is None:
            continue
        new, start, count = _renewed(each, shown, folder), shown.line + shift, _count(shown)
        opening = lines[start - 1]
        indent = opening[: len(opening) - len(opening.lstrip())]
        lines[start : start + count] = [f"{indent}{line}".rstrip() for line in new]
        shift += len(new) - count
    return "\n".join(lines)


def _count(block: Block) -> int:
    return block.text.count("\n")


def _renewed(ran: Ran, shown: Block, folder: str) -> list[str]:
    if shown.text.strip() and not difference(shown.text, ran.outcome.output):
        return shown.text.removesuffix("\n").split("\n")
    text = ran.outcome.output.strip("\n")
    text = text.replace(folder, "...") if folder else text
    for pattern in _VARYING:
        text = pattern.sub("...", text)
    return settled([line.rstrip() for line in text.split("\n")]) if text else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
