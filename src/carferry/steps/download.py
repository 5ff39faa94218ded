"""Step: a model's files into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from carferry.errors import InputError
from carferry.form.readers import (
    read_items,
    read_model,
    read_parallel,
    read_path,
    read_text,
)
from carferry.io.progress import Progress
from carferry.selection.patterns import Patterns
from carferry.selection.select import take
from carferry.source.download import download as fetch
from carferry.source.open import open_source
from carferry.steps.access import patience, shown
from carferry.steps.results import Downloaded


def download(
    model: str | Path,
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
    place = read_path("folder", folder)
    if place is None:
        raise InputError(
            "download to", repr(folder), "no folder", "name one; it is made if missing"
        )
    wanted = Patterns.parse(read_items("include", include), read_items("exclude", exclude))
    at_once, retry, display = read_parallel("parallel", parallel), patience(), shown(progress)
    source = open_source(read_model(model), read_text("revision", revision), retry=retry)
    snapshot = take(source, wanted)
    moved = fetch(
        source,
        snapshot,
        place,
        parallel=at_once,
        retry=retry,
        progress=display,
    )
    return Downloaded(
        str(folder),
        snapshot.repo,
        snapshot.commit,
        len(snapshot.files),
        snapshot.size_bytes,
        moved,
        snapshot.place,
    )
