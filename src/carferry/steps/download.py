"""Step: a model's files into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from carferry.io.progress import Progress
from carferry.source.download import download as fetch
from carferry.source.open import open_source
from carferry.source.patterns import Patterns
from carferry.steps.access import patience, shown
from carferry.steps.results import Downloaded
from carferry.steps.settings import listed


def download(
    model: str,
    folder: str | Path,
    *,
    revision: str = "",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    parallel: int = 4,
    progress: Progress | bool = False,
) -> Downloaded:
    """Download a model's files at one commit into a folder, verified.

    Files that are there already are checked and kept.

    Args:
        model: ``org/name[@revision]`` on the hub, or a folder as ``./path``.
        folder: Where the files go; made if it is missing.
        revision: Branch, tag or commit, if ``model`` names none.
        include: Globs; empty means what a server needs.
        exclude: Globs.
        parallel: Files at once.
        progress: True shows bars on a terminal and lines elsewhere, on stderr.

    Returns:
        The folder, the commit and the sizes in bytes.

    Raises:
        InputError: No such model, revision or file, or the token does not open it.
        SourceError: The hub failed, or sent other bytes than it promised.

    Example:
        >>> import carferry
        >>> got = carferry.download("./model", "copy", include=["*.json"])
        >>> got.path
        'copy'
    """
    retry = patience()
    source = open_source(model, revision, retry=retry)
    snapshot = source.snapshot(Patterns.parse(listed(include), listed(exclude)))
    moved = fetch(
        source,
        snapshot,
        Path(folder),
        parallel=parallel,
        retry=retry,
        progress=shown(progress),
    )
    return Downloaded(
        str(folder),
        snapshot.repo,
        snapshot.commit,
        len(snapshot.files),
        snapshot.size_bytes,
        moved,
    )
