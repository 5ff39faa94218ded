"""A page is run from its first block to its last, and what is wrong is said with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from docs.blocks import Block, check
from docs.compare import difference
from docs.session import Outcome
from docs.world import World


@dataclass(frozen=True, slots=True)
class Ran:
    """A block and what it left."""

    block: Block
    outcome: Outcome


def run(world: World) -> Iterator[Ran]:
    """Run the blocks of a page, files written when their turn comes; stop after one that fails."""
    with world.session() as session:
        for block in world.blocks:
            if block.is_file and not block.reason:
                where, _ = session.state()
                (where / block.title).parent.mkdir(parents=True, exist_ok=True)
                (where / block.title).write_text(block.text)
            elif block.runs:
                outcome = session.run(block)
                yield Ran(block, outcome)
                if outcome.code != block.code or outcome.is_early:
                    return


def faults(world: World) -> Iterator[str]:
    """Yield what is wrong with a page; nothing if all of it is as it is shown."""
    check(world.blocks)
    for ran in run(world):
        if said := fault(ran):
            yield f"docs page {world.page}, line {ran.block.line}: {said}"


def fault(ran: Ran) -> str:
    """Return what is wrong with a block that ran; empty if nothing."""
    block, outcome = ran.block, ran.outcome
    shown = f"{block.text}\nprints\n\n{outcome.output}"
    if outcome.is_early:
        return f"exit status {outcome.code} before the last command of\n\n{shown}"
    if outcome.code != block.code:
        return f"exit status {outcome.code}, not {block.code}, of\n\n{shown}"
    if block.prints is None:
        return ""
    different = difference(block.prints.text, outcome.output)
    return f"not printed as shown:\n{different}" if different else ""
