"""From everything a source lists to the files that enter the image."""

from __future__ import annotations

from carferry.selection.patterns import Patterns
from carferry.source.paths import check_paths
from carferry.source.snapshot import Snapshot
from carferry.source.source import Source


def select(source: Source, patterns: Patterns) -> Snapshot:
    """Return the files that enter the image, as the source lists them.

    Raises:
        NothingSelected: No file is admitted.
        UnsafeWeights: Only pickled weights.
        UnsafePath: A name that must not enter an image.
    """
    listing = source.listing()
    files = {file.path: file for file in listing.files}
    paths = patterns.select(files, listing.repo or source)
    check_paths(paths)
    return listing.only(paths)


def take(source: Source, patterns: Patterns) -> Snapshot:
    """Return the files that enter the image, each with its content id.

    Raises:
        InputError: As ``select``.
        SourceError: The source failed.
    """
    return source.snapshot([file.path for file in select(source, patterns).files])
