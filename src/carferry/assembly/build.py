"""Building an image, whole or by shares: resolve, plan, move the layers, seal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from carferry.assembly import buildah, shards
from carferry.assembly.foresee import check_target, replaced
from carferry.assembly.job import Job
from carferry.assembly.options import Options
from carferry.assembly.pack import pack
from carferry.assembly.plan import (
    MOST_WORKERS,
    How,
    LayerPlan,
    Plan,
    is_same_home,
)
from carferry.assembly.planning import plan_build
from carferry.assembly.results import BuildResult, LayerResult, in_image_order
from carferry.assembly.seal import seal
from carferry.assembly.standing import find_standing
from carferry.assembly.stream import gather, send_again, stream
from carferry.errors import CarferryError, InputError, TargetError
from carferry.io.net.retry import Retry
from carferry.io.show.progress import Progress, Silent, either
from carferry.refs import ImageRef, LayoutRef, check_push_tag
from carferry.registry.access import Access
from carferry.registry.place import named_now
from carferry.registry.target import Target
from carferry.source.pieces import Pieces
from carferry.source.source import Source
from carferry.weights.check import check_whole


def build(
    source: Source,
    target: Target,
    options: Options,
    *,
    access: Access | None = None,
    progress: Progress | None = None,
    runner: buildah.Runner | None = None,
    if_changed: bool = False,
) -> BuildResult:
    """Make an image of a model and tag it at the target.

    Args:
        source: The model.
        target: Where the image goes.
        options: How it is made.
        access: How the base's registry is reached; its ``retry`` governs the whole build.
        progress: Receives everything that moves.
        runner: Where Buildah runs, if it is the engine; by default on this machine.
        if_changed: Do nothing if the target has this image: see ``find_standing``.

    Raises:
        InputError: Nothing was moved; the caller must change what was asked.
        CarferryError: The source, the target or Buildah failed; nothing was tagged.
    """
    start = time.monotonic()
    check_push_tag(target.ref, action="build")
    pieces = Pieces(source)
    if if_changed and (there := _standing(pieces, target, options, access, progress)):
        return there
    job = _plan_job(source, target, options, access, progress, pieces=pieces)
    del pieces  # what it keeps is room for layers
    check_target(target, job.plan, engine=options.engine)
    if told := replaced(target, job.plan):
        job.progress.note(told)
    publisher = shards.ShardPublisher(job, 1, 1)
    if options.engine == "stream":
        results = _stream(job, job.plan.layers, publisher)
    else:
        results = pack(job, runner or buildah.LocalBuildah())
    result = _seal(job, results, start)
    # Shards of this plan are there if this build pinned any, or one before it that was stopped.
    if publisher.published or any(each.how is not How.MOVE for each in job.plan.layers):
        shards.remove(job, shared=False)
    return result


def stream_share(
    source: Source,
    target: Target,
    options: Options,
    worker: int,
    workers: int,
    *,
    access: Access | None = None,
    progress: Progress | None = None,
) -> tuple[Plan, list[LayerResult]]:
    """Move one worker's share of the plan and pin it with a shard manifest; nothing is tagged.

    Args:
        source: The model, at the same commit for every worker.
        target: Where layers go.
        options: The same for every worker.
        worker: From 1 to ``workers``.
        workers: How many share the plan.
        access: As for ``build``.
        progress: Receives everything that moves.

    Raises:
        InputError: No such worker.
        CarferryError: Source or target failed; what had arrived is pinned for the next try.
    """
    if not 1 <= worker <= workers <= MOST_WORKERS:
        reason = f"write I/N with I from 1 to N, and N at most {MOST_WORKERS}"
        raise InputError("use --worker", f"{worker}/{workers}", reason)
    pieces = Pieces(source)
    job = _plan_job(source, target, options, access, progress, whole=False, pieces=pieces)
    shards.check_run(job)
    share = job.plan.share(worker, workers)
    _check_share(job, share, pieces)
    del pieces  # what it keeps is room for layers
    if worker == 1:
        check_target(target, job.plan)
    else:
        target.check_push()
    publisher = shards.ShardPublisher(job, worker, workers)
    results = _stream(job, share, publisher)
    publisher.publish()
    return job.plan, results


def seal_shares(
    source: Source,
    target: Target,
    options: Options,
    *,
    access: Access | None = None,
    progress: Progress | None = None,
) -> BuildResult:
    """Put together what the workers moved, tag it and remove their shard tags.

    Args:
        source: As for every worker.
        target: Where the layers are and the image goes.
        options: As for every worker.
        access: As for ``build``.
        progress: Receives everything that moves.

    Raises:
        TargetError: A layer has not arrived, or was collected since: run its worker again.
    """
    start = time.monotonic()
    check_push_tag(target.ref, action="build")
    job = _plan_job(source, target, options, access, progress, whole=False)
    shards.check_run(job)
    result = _seal(job, _arrived(job), start)
    shards.remove(job, shared=True)
    return result


def _standing(
    pieces: Pieces,
    target: Target,
    options: Options,
    access: Access | None,
    progress: Progress | None,
) -> BuildResult | None:
    display = progress or Silent()
    with display.phase(f"looking at {target.ref}", either(pieces.source.host, target.ref.host)):
        return find_standing(pieces, target, options, access or Access())


def _arrived(job: Job) -> list[LayerResult]:
    """Return every layer as it lies at the target.

    Raises:
        TargetError: One is not there, or what is said to be it is something else.
    """
    here = [_at_home(each, job.target.ref) for each in job.plan.layers]
    _refuse_missing(job, [each.layer.name for each in here if each.how is How.MOVE])
    found = gather(job, here)
    lost = [each.layer.name for each, result in zip(here, found, strict=True) if result is None]
    _refuse_missing(job, lost)
    return [result for result in found if result is not None]


def _at_home(layer_plan: LayerPlan, ref: ImageRef | LayoutRef) -> LayerPlan:
    """Leave out what another repository holds: its worker would have mounted it."""
    claims = tuple(claim for claim in layer_plan.claims if is_same_home(claim.home, ref))
    return replace(layer_plan, claims=claims) if claims else LayerPlan(layer_plan.layer)


def _refuse_missing(job: Job, missing: Sequence[str]) -> None:
    if missing:
        raise TargetError(
            "seal", job.target.ref, f"{len(missing)} layers have not arrived, first {missing[0]}",
            "run carferry stream for every worker, at the same commit, then seal again",
        )  # fmt: skip


def _plan_job(
    source: Source,
    target: Target,
    options: Options,
    access: Access | None,
    progress: Progress | None,
    *,
    whole: bool = True,
    pieces: Pieces | None = None,
) -> Job:
    access, display = access or Access(), progress or Silent()
    with display.phase(f"planning {source}", either(source.host, target.ref.host)):
        plan = plan_build(
            source, target, options, access, whole=whole, pieces=pieces, note=display.note
        )
    return Job(source, target, options, access, display, plan)


def _check_share(job: Job, share: Sequence[LayerPlan], pieces: Pieces) -> None:
    """Check the files that one worker moves: among them, workers look at each file once."""
    moving = [each.layer for each in share if each.how is not How.REUSE]
    paths = {file.path for layer in moving for file in layer.files}
    only = None if len(share) == len(job.plan.layers) else paths
    check_whole(job.source, job.plan.snapshot, only=only, retry=job.retry, pieces=pieces)


def _stream(
    job: Job, layer_plans: Sequence[LayerPlan], publisher: shards.ShardPublisher
) -> list[LayerResult]:
    try:
        return stream(job, layer_plans, arrived=publisher.add)
    except CarferryError:
        publisher.keep()
        raise
    except BaseException:
        # A signal has stopped the build's own policy: a thread may not have noticed yet.
        publisher.keep(replace(job.access, retry=Retry(attempts=shards.KEEPING_TRIES)))
        raise


def _seal(job: Job, results: Sequence[LayerResult], start: float) -> BuildResult:
    model = in_image_order(job.plan, results)
    before = named_now(job.target)
    with job.progress.phase("writing the manifest", job.target.ref.host):
        sealed = seal(job, model, send_again=partial(send_again, job))
    return BuildResult(
        sealed.document,
        job.plan.snapshot,
        tuple(results),
        sealed.size_bytes,
        sealed.layers,
        time.monotonic() - start,
        job.plan.selection,
        previous=before.digest if before else None,
    )
