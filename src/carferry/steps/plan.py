"""Step: what a build would move, before a byte does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Unpack

from carferry.assembly.foresee import check_target, replaced
from carferry.assembly.plan import MOST_WORKERS, Plan
from carferry.assembly.planning import plan_build
from carferry.errors import InputError
from carferry.form.readers import read_count, read_image, read_model
from carferry.io.show.progress import Progress, either
from carferry.refs import parse_image
from carferry.source.open import pinned
from carferry.source.pieces import Pieces
from carferry.steps.access import shown
from carferry.steps.defaults import DEFAULT_RATE
from carferry.steps.models import open_model
from carferry.steps.remarks import remarks
from carferry.steps.results import Planned, PlannedLayer
from carferry.steps.settings import BUILD_DEFAULTS, BuildKeywords, BuildSettings
from carferry.steps.signature import takes

# One stream over a 1 Gbit/s link; only used to predict.
MAX_WORKERS = 32
"""Argo holds a whole run, each worker's pods included, in one object of 1 MiB
(docs/reference/lint.md)."""


@takes(BuildKeywords, BUILD_DEFAULTS)
def plan(
    model: str | Path,
    image: str,
    *,
    workers: int = 1,
    at_most: bool = False,
    prove: bool = False,
    rate: float = DEFAULT_RATE,
    progress: Progress | bool = False,
    opened: Pieces | None = None,
    **settings: Unpack[BuildKeywords],
) -> Planned:
    """Say what a build would move, reuse and mount; nothing is left written.

    Args:
        model: ``org/name[@revision]`` on the hub, a folder as ``./path``, or an image that holds
            it, as ``oci://host/repository:tag``.
        image: ``docker://host/repository:tag`` or ``oci:path:tag``.
        workers: Pods that would share it.
        at_most: Take fewer workers if there is too little to move for them.
        prove: Open an upload and drop it again, and write to the tag what it names already: the
            build would be let in.
        rate: Bytes per second of one stream, for the prediction.
        progress: True shows what is read for ids, if that takes long: a folder's files are.
        opened: The same model, if it was opened before: what was read of it is not read again.
        **settings: The fields of ``carferry.BuildSettings``, as for the build.

    Returns:
        Every layer with its size in bytes and what becomes of it, and the predicted seconds.

    Raises:
        InputError: What was asked cannot be done.
        TargetError: The registry refused or failed.

    Example:
        >>> import carferry
        >>> planned = carferry.plan("./model", "oci:out:latest", base="embedded")
        >>> planned.bytes_to_move == planned.size_bytes
        True
    """
    workers = read_count("workers", workers)
    _check(image, workers, at_most=at_most, rate=rate)
    how = BuildSettings(**settings)
    display = shown(progress)
    access = how.access().reporting(display)
    target = access.open(parse_image(read_image(image)), write=True)
    pieces = opened or Pieces(open_model(read_model(model), how.revision, access, display))
    options = how.options()
    with display.phase(f"planning {model}", either(pieces.source.host, target.ref.host)):
        made = plan_build(pieces.source, target, options, access, pieces=pieces, note=display.note)
    if prove:
        check_target(target, made, engine=options.engine)
    count = made.worth(workers) if at_most else workers
    exact = pinned(read_model(model), made.snapshot)
    planned = _planned(exact, image, made, count, how.parallel, rate)
    told = replaced(target, made)
    return replace(planned, notes=(*planned.notes, told)) if told else planned


def _check(image: str, workers: int, *, at_most: bool, rate: float) -> None:
    if workers < 1 or not 0 < rate < float("inf"):
        raise InputError("plan", image, "workers and rate must be positive")
    if workers > MOST_WORKERS:
        raise InputError("use workers", workers, "too many", f"write 1 to {MOST_WORKERS}")
    if at_most and workers > MAX_WORKERS:
        reason = f"one run holds at most {MAX_WORKERS} pods that move layers"
        raise InputError("use workers", workers, reason, f"write 1 to {MAX_WORKERS}")


def _planned(
    model: str, image: str, made: Plan, workers: int, parallel: int, rate: float
) -> Planned:
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
        model,
        image,
        made.snapshot.repo,
        made.snapshot.commit,
        len(made.snapshot.files),
        made.size_bytes,
        made.bytes_to_move,
        made.bytes_to_check,
        workers,
        round(made.seconds(rate, workers=workers, parallel=parallel), 1),
        layers,
        **remarks(made.selection),
    )
