"""Steps: one worker's share of a build, and the seal that completes it."""

from __future__ import annotations

import re

from carferry.assembly import build as engine_room
from carferry.assembly.results import moved_bytes
from carferry.errors import InputError
from carferry.io.progress import Progress
from carferry.io.terminal import open_progress
from carferry.refs import parse_image
from carferry.source.open import open_source
from carferry.steps.describe import describe
from carferry.steps.results import Built, Streamed
from carferry.steps.settings import BuildSettings

_SHARE = re.compile(r"([0-9]{1,20})/([0-9]{1,20})")


def stream(
    source: str,
    dest: str,
    settings: BuildSettings,
    share: str,
    *,
    progress: Progress | None = None,
) -> Streamed:
    """Move one worker's share of a build; ``seal`` completes it.

    Args:
        source: Model or folder; the same commit for every worker.
        dest: ``docker://host/repo:tag`` or ``oci:path:tag``.
        settings: The same for every worker.
        share: ``I/N``: worker I of N.
        progress: Told about everything that moves.
    """
    worker, workers = _share(share)
    access = settings.access()
    made, moved = engine_room.stream_share(
        open_source(source, settings.revision, retry=access.retry),
        access.open(parse_image(dest), write=True),
        settings.options(),
        worker,
        workers,
        access=access,
        progress=progress or open_progress("auto"),
    )
    size = sum(result.descriptor.size_bytes for result in moved)
    crossed = moved_bytes(moved)
    return Streamed(
        worker, workers, made.snapshot.commit, len(moved), crossed, size - crossed,
        sum(result.retries for result in moved),
    )  # fmt: skip


def _share(text: str) -> tuple[int, int]:
    if not (found := _SHARE.fullmatch(text)):
        asked = ascii(text[:40])
        raise InputError("take share", asked, "not I/N", "write 1/4 for the first of four")
    return int(found[1]), int(found[2])


def seal(
    source: str, dest: str, settings: BuildSettings, *, progress: Progress | None = None
) -> Built:
    """Complete and tag an image whose layers the workers have moved."""
    access = settings.access()
    target = access.open(parse_image(dest), write=True)
    result = engine_room.seal_shares(
        open_source(source, settings.revision, retry=access.retry),
        target,
        settings.options(),
        access=access,
        progress=progress or open_progress("auto"),
    )
    return describe(target, result)
