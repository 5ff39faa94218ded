"""One stage for all pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from docs.world import Stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The proxy, the names and the base image."""
    with Stage(tmp_path_factory.mktemp("stage")) as made:
        yield made
