"""The one check of what a source holds: build, plan, stream, download and fit all ask it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from carferry.errors import BrokenFile, IncompleteModel
from carferry.io.net.retry import Retry
from carferry.source.pieces import Pieces
from carferry.source.snapshot import Snapshot
from carferry.source.source import Source
from carferry.weights.safetensors import Header
from carferry.weights.whole import Whole, examine

_log = logging.getLogger("carferry")


def check_whole(
    source: Source,
    snapshot: Snapshot,
    *,
    only: Collection[str] | None = None,
    beside: Collection[str] = (),
    retry: Retry | None = None,
    pieces: Pieces | None = None,
) -> Mapping[str, Header]:
    """Refuse a model that no server could load, from its headers and small files.

    Args:
        source: Where the files are read.
        snapshot: The files that were chosen; content ids are not looked at.
        only: As for ``examine``: one worker's share.
        beside: As for ``examine``: what is there and was not chosen.
        retry: What governs the source.
        pieces: Reads the source; what it has read already is not asked for again.

    Returns:
        The headers that were read.

    Raises:
        IncompleteModel: Every fault, each with its file.
        CarferryError: The source failed.
    """
    files = {file.path: file.size_bytes for file in snapshot.files}
    pieces = pieces or Pieces(source)
    found = examine(files, pieces.read, only=only, beside=beside, retry=retry, forget=pieces.forget)
    # A folder lists what it cannot look at with no length; its own error says more.
    source.snapshot([fault.subject for fault in found.faults if files.get(fault.subject) == 0])
    require_whole(snapshot.repo or "the model", found)
    return found.headers


def require_whole(subject: object, found: Whole) -> None:
    """Say what is odd, and refuse what is not whole.

    Args:
        subject: The model, or an image of one.
        found: What ``examine`` found.

    Raises:
        IncompleteModel: Every fault, each with its file.
    """
    for remark in found.remarks:
        _log.warning("%s", remark)
    if found.faults:
        raise _incomplete(subject, found.faults)


def _incomplete(subject: object, faults: Sequence[BrokenFile]) -> IncompleteModel:
    reason = "; ".join(f"{fault.subject}: {fault.reason}" for fault in faults)
    return IncompleteModel("check", subject, reason, faults[0].remedy, faults=faults)
