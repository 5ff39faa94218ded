"""Building an image, whole or by shares: resolve, plan, move the layers, seal."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from carferry.assembly import buildah, shards
from carferry.assembly.job import Job
from carferry.assembly.options import Options
from carferry.assembly.pack import pack
from carferry.assembly.plan import MOST_WORKERS, How, LayerPlan, Plan, check_lengths, make_plan
from carferry.assembly.results import BuildResult, LayerResult, in_image_order, reused
from carferry.assembly.reuse import find_stored
from carferry.assembly.seal import seal
from carferry.assembly.stream import stream
from carferry.errors import CarferryError, InputError, TargetError
from carferry.image import base
from carferry.image.layers import Format, arrange
from carferry.io.progress import Progress, Silent
from carferry.oci.documents import image_size
from carferry.refs import LayoutRef, check_push_tag
from carferry.registry.access import Access
from carferry.registry.target import Target
from carferry.selection.select import choose
from carferry.source.folder import FolderSource
from carferry.source.source import Source


def build(
    source: Source,
    target: Target,
    options: Options,
    *,
    access: Access | None = None,
    progress: Progress | None = None,
    runner: buildah.Runner | None = None,
) -> BuildResult:
    """Make an image of a model and tag it at the target.

    Args:
        source: The model.
        target: Where the image goes.
        options: How it is made.
        access: How the base's registry is reached; its ``retry`` governs the whole build.
        progress: Receives everything that moves.
        runner: Where Buildah runs, if it is the engine; by default on this machine.

    Raises:
        InputError: Nothing was moved; the caller must change what was asked.
        CarferryError: The source, the target or Buildah failed; nothing was tagged.
    """
    start = time.monotonic()
    check_push_tag(target.ref, action="build")
    job = _plan_job(source, target, options, access, progress)
    target.check_push()
    publisher = shards.ShardPublisher(job, 1, 1)
    if options.engine == "stream":
        results = _stream(job, job.plan.layers, publisher)
    else:
        results = pack(job, runner or buildah.LocalBuildah())
    result = _seal(job, results, start)
    # Shards of this plan are there if this build pinned any, or one before it that was stopped.
    if publisher.published or any(layer_plan.how is How.REUSE for layer_plan in job.plan.layers):
        shards.remove(target, job.plan)
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
    job = _plan_job(source, target, options, access, progress)
    target.check_push()
    publisher = shards.ShardPublisher(job, worker, workers)
    results = _stream(job, job.plan.share(worker, workers), publisher)
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
    job = _plan_job(source, target, options, access, progress)
    missing = [each.layer.name for each in job.plan.layers if each.how is not How.REUSE]
    if missing:
        raise TargetError(
            "seal", target.ref, f"{len(missing)} layers have not arrived, first {missing[0]}",
            "run carferry stream for every worker, at the same commit, then seal again",
        )  # fmt: skip
    result = _seal(job, [reused(layer_plan) for layer_plan in job.plan.layers], start)
    shards.remove(target, job.plan)
    return result


def plan_build(source: Source, target: Target, options: Options, access: Access) -> Plan:
    """Resolve everything and say what would move; nothing is written.

    Args:
        source: The model.
        target: Where the image would go.
        options: How it would be made.
        access: How the registries of base and ``mount_from`` are reached.

    Raises:
        InputError: The image would become part of what it is made of, or a layer is too long.
        CarferryError: The source or a registry failed.
    """
    _check_apart(source, target)
    selection = choose(source, options.patterns)
    snapshot = source.snapshot([file.path for file in selection.files.files])
    bases = _open_bases(options, access)
    base.check_apart(bases, target.ref)
    layers = arrange(
        snapshot.files,
        base_layers=max(len(each.layers) for each in bases),
        format=options.format,
        large_bytes=options.large_bytes,
    )
    # Buildah's tar bytes are its own: its layers are neither reused nor offered for reuse.
    reuse = options.engine == "stream"
    origins = (access.open(ref) for ref in options.mount_from)
    stored = find_stored(target, layers, origins) if reuse else {}
    made = make_plan(snapshot, bases, layers, stored, target.ref, options.format)
    plan = replace(made, selection=selection)
    check_lengths(plan, target.largest_blob_bytes, target.ref)
    return plan


def _plan_job(
    source: Source,
    target: Target,
    options: Options,
    access: Access | None,
    progress: Progress | None,
) -> Job:
    access = access or Access()
    plan = plan_build(source, target, options, access)
    return Job(source, target, options, access, progress or Silent(), plan)


def _open_bases(options: Options, access: Access) -> tuple[base.Base, ...]:
    """Resolve the base for every platform; ModelPack stands on none and has no platform."""
    if options.format is Format.MODELPACK:
        return base.open_bases(base.SCRATCH, options.platforms[:1], access.open)
    return base.open_bases(options.base, options.platforms, access.open)


def _check_apart(source: Source, target: Target) -> None:
    """Refuse a layout in the model's folder, or around it: the next build would take it in."""
    if not isinstance(source, FolderSource) or not isinstance(target.ref, LayoutRef):
        return
    # Path.resolve would raise at a loop of links, which has an error of its own later.
    folder, layout = (Path(os.path.realpath(path)) for path in (source.root, target.ref.path))
    if layout.is_relative_to(folder):
        reason = f"it lies in the model's folder {source.root}"
    elif folder.is_relative_to(layout):
        reason = f"the model's folder {source.root} lies in it"
    else:
        return
    raise InputError("write", target.ref, reason, "choose a folder beside the model")


def _stream(
    job: Job, layer_plans: Sequence[LayerPlan], publisher: shards.ShardPublisher
) -> list[LayerResult]:
    try:
        return stream(job, layer_plans, arrived=publisher.add)
    except CarferryError:
        publisher.keep()
        raise


def _seal(job: Job, results: Sequence[LayerResult], start: float) -> BuildResult:
    document, manifests = seal(job, in_image_order(job.plan, results))
    return BuildResult(
        document,
        job.plan.snapshot,
        tuple(results),
        image_size(manifests),
        len(manifests[0].layers),
        time.monotonic() - start,
        job.plan.selection,
    )
