"""Every page runs as it is pasted, and prints what it shows; see `docs.blocks` for the form.

Pages that use a cluster run in ``tests/cluster/test_docs.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import scenes
from docs.blocks import check, read
from docs.pages import file, pages, uses_a_cluster
from docs.running import faults
from docs.world import Stage, World

PAGES = pages()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in PAGES if not uses_a_cluster(page)])
def test_a_page_runs_as_pasted_and_prints_what_it_shows(
    page: str, stage: Stage, tmp_path: Path
) -> None:
    with World(stage, page, tmp_path / "world") as world:
        said = list(faults(world))
    if said:
        pytest.fail("\n\n".join(said), pytrace=False)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_form_of_a_page(page: str) -> None:
    check(read(file(page)))


def test_every_scene_is_of_a_page_that_there_is() -> None:
    assert scenes.pages() <= set(PAGES)
