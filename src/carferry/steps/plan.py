"""Step: what a build would move, before a byte does."""

from __future__ import annotations

from carferry.assembly import build as engine_room
from carferry.assembly.plan import MOST_WORKERS, Plan
from carferry.errors import InputError
from carferry.refs import parse_image
from carferry.source.open import open_source
from carferry.steps.results import Planned, PlannedLayer
from carferry.steps.settings import BuildSettings

# One stream over a 1 Gbit/s link; only used to predict.
DEFAULT_RATE = 125_000_000.0
MAX_WORKERS = 32
"""Argo holds a whole run, each worker's pods included, in one object of 1 MiB
(docs/reference/lint.md)."""


def plan(
    source: str,
    dest: str,
    settings: BuildSettings,
    *,
    workers: int = 1,
    at_most: bool = False,
    prove: bool = False,
    rate: float = DEFAULT_RATE,
) -> Planned:
    """Say what a build would move, reuse and mount; nothing is left written.

    Args:
        source: Model or folder.
        dest: ``docker://host/repo:tag`` or ``oci:path:tag``.
        settings: As for the build.
        workers: Pods that would share it.
        at_most: Take fewer workers where there is too little to move for them.
        prove: Open an upload and drop it again: the build would be let in.
        rate: Bytes per second of one stream, for the prediction.
    """
    if workers < 1 or not 0 < rate < float("inf"):
        raise InputError("plan", dest, "workers and rate must be positive")
    if workers > MOST_WORKERS:
        raise InputError("use workers", workers, "too many", f"write 1 to {MOST_WORKERS}")
    if at_most and workers > MAX_WORKERS:
        reason = f"one run holds at most {MAX_WORKERS} pods that move layers"
        raise InputError("use workers", workers, reason, f"write 1 to {MAX_WORKERS}")
    access = settings.access()
    target = access.open(parse_image(dest), write=True)
    made = engine_room.plan_build(
        open_source(source, settings.revision, retry=access.retry),
        target,
        settings.options(),
        access,
    )
    if prove:
        target.check_push()
    count = made.worth(workers) if at_most else workers
    return _planned(dest, made, count, settings.parallel, rate)


def _planned(dest: str, made: Plan, workers: int, parallel: int, rate: float) -> Planned:
    owner = {
        each.layer.content_key: number
        for number, share in enumerate(made.shares(workers), start=1)
        for each in share
    }
    layers = tuple(
        PlannedLayer(
            each.layer.name, each.layer.size_bytes, each.how.value, owner[each.layer.content_key]
        )
        for each in made.layers
    )
    return Planned(
        dest,
        made.snapshot.repo,
        made.snapshot.commit,
        len(made.snapshot.files),
        made.size_bytes,
        made.bytes_to_move,
        workers,
        round(made.seconds(rate, workers=workers, parallel=parallel), 1),
        layers,
    )
