"""Hundreds of runs through broken networks: each ends right, or says why and moves no tag."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.draws import draw
from faults.harness import Harness
from faults.runs import DEADLINE_S, run

SEEDS = 300


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """One set of servers for all runs."""
    with Harness(tmp_path_factory.mktemp("harness")) as servers:
        yield servers


@pytest.mark.timeout(2 * DEADLINE_S)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_run_ends_with_the_one_digest_or_one_error_and_no_tag_moved(
    harness: Harness, seed: int
) -> None:
    run(harness, draw(seed))
