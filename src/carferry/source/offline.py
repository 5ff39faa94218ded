"""Reading from Hugging Face's cache where the hub may not be asked."""

from __future__ import annotations

import os
from collections.abc import Mapping

from carferry.errors import SourceNotFound
from carferry.io.shell import word
from carferry.io.show.progress import Progress
from carferry.refs import ModelRef
from carferry.source import hfcache
from carferry.source.folder import FolderSource
from carferry.source.hub.names import folder_hint

_YES = {"1", "ON", "YES", "TRUE"}


def is_offline(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether the environment forbids to ask the hub, as huggingface_hub reads it."""
    said = environ.get("HF_HUB_OFFLINE") or environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in _YES


def cached_source(ref: ModelRef, progress: Progress | None = None) -> FolderSource:
    """Return the snapshot of a repository in this account's cache.

    Args:
        ref: Repository and revision.
        progress: As for ``FolderSource``.

    Raises:
        SourceNotFound: It holds none of that revision.
    """
    if folder := hfcache.find(ref):
        return FolderSource(folder, progress=progress)
    fetch = f"hf download {word(ref.repo)} --revision {word(ref.revision)}"
    raise SourceNotFound(
        "read",
        ref,
        f"HF_HUB_OFFLINE is set, and {hfcache.root()} holds no snapshot of that revision",
        folder_hint(ref.repo) or f"run {fetch} where there is a network, or unset HF_HUB_OFFLINE",
    )
