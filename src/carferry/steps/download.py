"""Step: a model's files into a folder."""

from __future__ import annotations

from pathlib import Path

from carferry.io.progress import Progress
from carferry.io.terminal import open_progress
from carferry.source.download import download as fetch
from carferry.source.open import open_source
from carferry.source.patterns import Patterns
from carferry.steps.access import patience
from carferry.steps.results import Downloaded


def download(
    model: str,
    dest: str,
    *,
    revision: str = "",
    include: str = "",
    exclude: str = "",
    parallel: int = 4,
    progress: Progress | None = None,
) -> Downloaded:
    """Download a model's files at one commit into a folder, verified."""
    retry = patience()
    source = open_source(model, revision, retry=retry)
    snapshot = source.snapshot(Patterns.parse(include, exclude))
    moved = fetch(
        source,
        snapshot,
        Path(dest),
        parallel=parallel,
        retry=retry,
        progress=progress or open_progress("auto"),
    )
    return Downloaded(
        dest, snapshot.repo, snapshot.commit, len(snapshot.files), snapshot.size_bytes, moved
    )
