"""From the text that names a model to its source: a folder, or a repository on the hub."""

from __future__ import annotations

import os
from pathlib import Path

from carferry.io.retry import Retry
from carferry.refs import ModelRef
from carferry.source.folder import FolderSource
from carferry.source.source import Source


def open_source(model: str, revision: str = "", *, retry: Retry | None = None) -> Source:
    """Return the source of a model: ``hf://org/name[@rev]``, ``org/name`` or a folder.

    ``./x``, ``/x``, ``~/x`` and ``file:x`` are folders, and nothing else is: a stray local
    folder must not shadow the hub.

    Args:
        model: The text that names it.
        revision: Used if ``model`` carries none.
        retry: The policy of the whole build, so that what stops it also stops reading.

    Raises:
        InvalidReference: Neither.
    """
    if is_folder(model):
        path = model.removeprefix("file://").removeprefix("file:")
        return FolderSource(Path(os.path.expanduser(path)))  # noqa: PTH111 - never raises
    # The hub's client takes long to import: only who reads from the hub waits for it.
    from carferry.source.hub import HubSource

    return HubSource(ModelRef.parse(model, revision), retry=retry)


def is_folder(model: str) -> bool:
    """Return whether a model's text names a folder and not a repository on the hub."""
    return model.startswith(("./", "../", "/", "~", "file:")) or model in {".", ".."}


def pinned(model: str, commit: str) -> str:
    """Return the text that names the same model at one commit; a folder has no other name."""
    return model if is_folder(model) else f"{ModelRef.parse(model).repo}@{commit}"
