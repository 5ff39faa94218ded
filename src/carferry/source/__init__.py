"""Where a model lives: the Hugging Face hub or a folder, behind one protocol.

A source is resolved once to a ``Snapshot`` (immutable: commit, files, sizes, content ids);
everything after that reads exactly those files and proves it did.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from carferry.io.retry import Retry
from carferry.refs import ModelRef
from carferry.source.patterns import Patterns
from carferry.source.snapshot import Snapshot, SourceFile


class Source(Protocol):
    """A place a model is read from."""

    def snapshot(self, patterns: Patterns) -> Snapshot:
        """Resolve to a commit and the files the patterns admit."""

    def listing(self, patterns: Patterns) -> Snapshot:
        """Resolve likewise; content ids that only reading every byte would tell are empty."""

    def read(self, file: SourceFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the file's bytes from offset ``start`` to ``stop`` or its end, in order."""


def open_source(text: str, revision: str = "", *, retry: Retry | None = None) -> Source:
    """Return the source that text names: ``hf://org/name[@rev]``, ``org/name`` or a folder.

    ``./x``, ``/x``, ``~/x`` and ``file:x`` are folders; so is anything that exists as one and
    is not also a plausible ``org/name``, to keep a stray local folder from shadowing the hub.

    Args:
        text: The reference.
        revision: Used when text carries none.
        retry: The policy of the whole build, so that what stops it also stops reading.

    Raises:
        InvalidReference: Neither.
        SourceNotFound: A folder that does not exist.
    """
    from carferry.source.folder import FolderSource
    from carferry.source.hub import HubSource

    if is_folder(text):
        place = text.removeprefix("file://").removeprefix("file:")
        return FolderSource(Path(os.path.expanduser(place)))  # noqa: PTH111 - never raises
    return HubSource(ModelRef.parse(text, revision), retry=retry)


def is_folder(text: str) -> bool:
    """Tell whether text names a folder and not a model on the hub."""
    return text.startswith(("./", "../", "/", "~", "file:")) or text in {".", ".."}


def pinned(text: str, commit: str) -> str:
    """Return what names the same source at one commit; a folder has no other name."""
    return text if is_folder(text) else f"{ModelRef.parse(text).repo}@{commit}"


__all__ = ["Patterns", "Snapshot", "Source", "SourceFile", "is_folder", "open_source", "pinned"]
