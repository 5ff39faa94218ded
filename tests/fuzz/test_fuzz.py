"""Hundreds of servers that answer with anything: each run ends in time, right or with one line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.runs import DEADLINE_S, draw, run
from fuzz.scenes import SCENES, Stage

SEEDS = 240


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One set of servers for all runs."""
    with Stage(tmp_path_factory.mktemp("stage")) as servers:
        yield servers


@pytest.fixture(autouse=True)
def own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for temporary files that must be empty afterwards."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.timeout(3 * DEADLINE_S)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_run_ends_right_or_with_one_line_and_nothing_tagged(stage: Stage, seed: int) -> None:
    run(stage, draw(seed))


def test_the_fixed_seeds_meet_every_scene_side_and_mutation() -> None:
    cases = [draw(seed) for seed in range(SEEDS)]
    assert {case.scene for case in cases} == set(SCENES)
    sides = {side for scene in SCENES.values() for side in scene.sides}
    assert {case.side for case in cases} == sides
    assert len({case.broken.name for case in cases}) == 25
