"""Hundreds of runs through broken networks: each ends right, or says why and moves no tag."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.draws import draw
from faults.runs import DEADLINE_S, run
from faults.world import World

SEEDS = 300


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One set of servers for all runs."""
    with World(tmp_path_factory.mktemp("world")) as servers:
        yield servers


@pytest.mark.timeout(2 * DEADLINE_S)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_run_ends_with_the_one_digest_or_one_error_and_no_tag_moved(
    world: World, seed: int
) -> None:
    run(world, draw(seed))
