"""From the text that names a model to its source: a folder, a bucket, a repository on the hub."""

from __future__ import annotations

import os
from pathlib import Path

from carferry.errors import InvalidReference
from carferry.io.retry import Retry
from carferry.refs import ModelRef
from carferry.source.claim import SCHEME as CLAIM
from carferry.source.claim import ClaimRef
from carferry.source.folder import FolderSource
from carferry.source.s3_ref import SCHEME as S3
from carferry.source.s3_ref import S3Ref
from carferry.source.source import Source


def open_source(
    model: str, revision: str = "", *, retry: Retry | None = None, ca_file: Path | None = None
) -> Source:
    """Return the source of a model: ``hf://org/name[@rev]``, ``org/name``, ``s3://`` or a folder.

    ``./x``, ``/x``, ``~/x`` and ``file:x`` are folders, and nothing else is: a stray local
    folder must not shadow the hub.

    Args:
        model: The text that names it.
        revision: Used if ``model`` carries none.
        retry: The policy of the whole build, so that what stops it also stops reading.
        ca_file: PEM certificates that an S3 server's may be signed by.

    Raises:
        InvalidReference: None of them.
    """
    if is_folder(model):
        path = model.removeprefix("file://").removeprefix("file:")
        return FolderSource(Path(os.path.expanduser(path)))  # noqa: PTH111 - never raises
    if model.startswith(CLAIM):
        return _claim(model, revision).open()
    if model.startswith(S3):
        from carferry.source.s3 import S3Source

        return S3Source(_bucket(model, revision), retry=retry, ca_file=ca_file)
    # The hub's client takes long to import: only who reads from the hub waits for it.
    from carferry.source.hub import HubSource

    return HubSource(ModelRef.parse(model, revision), retry=retry)


def is_folder(model: str) -> bool:
    """Return whether a model's text names a folder and not a repository on the hub."""
    return model.startswith(("./", "../", "/", "~", "file:")) or model in {".", ".."}


def check_model(model: str, revision: str = "") -> None:
    """Refuse a text that names no model, asking nobody.

    Raises:
        InvalidReference: Says what it would have to be.
    """
    if model.startswith(S3):
        _bucket(model, revision)
    elif model.startswith(CLAIM):
        _claim(model, revision)
    elif not is_folder(model):
        ModelRef.parse(model, revision)


def claim_of(model: str) -> str:
    """Return the claim that a model lies on; empty if on none.

    Raises:
        InvalidReference: A malformed ``pvc://``.
    """
    return ClaimRef.parse(model).claim if model.startswith(CLAIM) else ""


def pinned(model: str, commit: str) -> str:
    """Return the text that names the same model at one commit, if it has commits."""
    if is_folder(model) or model.startswith((S3, CLAIM)):
        return model
    return f"{ModelRef.parse(model).repo}@{commit}"


def _bucket(model: str, revision: str) -> S3Ref:
    _check_no(revision, model)
    return S3Ref.parse(model)


def _claim(model: str, revision: str) -> ClaimRef:
    _check_no(revision, model)
    return ClaimRef.parse(model)


def _check_no(revision: str, model: str) -> None:
    if revision:
        reason = f"only the hub has a revision {revision!a}"
        raise InvalidReference("parse model", ascii(model[:200]), reason, "leave --revision out")
