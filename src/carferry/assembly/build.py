"""The main job as one sentence: resolve, plan, move, seal."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from carferry.assembly import buildah, shards
from carferry.assembly.options import Options
from carferry.assembly.plan import MOST_WORKERS, How, Plan, Step, check_lengths, make_plan
from carferry.assembly.reuse import survey
from carferry.assembly.seal import seal
from carferry.assembly.stream import Moved, arrived_already, by_position, moved_bytes, stream
from carferry.errors import CarferryError, InputError, TargetError
from carferry.image import base
from carferry.image.layers import Format, arrange
from carferry.io.progress import Progress, Silent
from carferry.io.retry import Retry
from carferry.oci.documents import Document, image_size
from carferry.refs import LayoutRef, check_push_tag
from carferry.registry.access import Access
from carferry.registry.target import Target
from carferry.source import Snapshot, Source
from carferry.source.download import download
from carferry.source.folder import FolderSource


@dataclass(frozen=True, slots=True)
class Result:
    """What a build made.

    Attributes:
        document: What the tag names: a manifest or an index.
        snapshot: The model at its commit.
        results: What happened to each model layer.
        size_bytes: All different blobs of the image.
        layers: Layers of one platform, base included.
        seconds: From first request to tag.
    """

    document: Document
    snapshot: Snapshot
    results: tuple[Moved, ...]
    size_bytes: int
    layers: int
    seconds: float

    @property
    def moved_bytes(self) -> int:
        """Model layer bytes that crossed the network."""
        return moved_bytes(self.results)

    @property
    def reused_bytes(self) -> int:
        """Model layer bytes that were there or were mounted."""
        return sum(r.descriptor.size_bytes for r in self.results) - self.moved_bytes


def build(
    source: Source,
    target: Target,
    options: Options,
    *,
    access: Access | None = None,
    progress: Progress | None = None,
    runner: buildah.Runner | None = None,
) -> Result:
    """Make an image of a model and tag it at the target.

    Args:
        source: The model.
        target: Where the image goes.
        options: How.
        access: How the base's registry is reached; its ``retry`` governs the whole build.
        progress: Told about everything that moves.
        runner: Where Buildah runs, if it is the engine; by default on this machine.

    Raises:
        InputError: Nothing was moved; the caller must change what was asked.
        CarferryError: The source, the target or Buildah failed; nothing was tagged.
    """
    access, progress, start = access or Access(), progress or Silent(), time.monotonic()
    check_push_tag(target.ref, action="build")
    plan = plan_build(source, target, options, access)
    target.check_push()
    pins = shards.Pins(target, plan, 1, 1, retry=access.retry)
    if options.engine == "stream":
        results: Sequence[Moved] = _stream(
            plan.steps, source, target, options, pins, access, progress
        )
    else:
        packer = runner or buildah.LocalBuildah()
        results = _pack(plan, source, target, options, access.retry, progress, packer)
    document, manifests = _seal(plan, results, target, options, access.retry, progress)
    # Shards of this plan are there if this build pinned any, or one before it that was stopped.
    if pins.published or any(step.how is How.REUSE for step in plan.steps):
        shards.remove(target, plan)
    return _result(document, manifests, plan, results, time.monotonic() - start)


def stream_share(
    source: Source,
    target: Target,
    options: Options,
    worker: int,
    workers: int,
    *,
    access: Access | None = None,
    progress: Progress | None = None,
) -> tuple[Plan, list[Moved]]:
    """Move one worker's share of the plan and pin it with a shard manifest; nothing is tagged.

    Args:
        source: The model, at the same commit for every worker.
        target: Where layers go.
        options: The same for every worker.
        worker: From 1 to ``workers``.
        workers: How many share the plan.
        access: As for ``build``.
        progress: Told about everything that moves.

    Raises:
        InputError: No such worker.
        CarferryError: Source or target failed; what had arrived is pinned for the next try.
    """
    if not 1 <= worker <= workers <= MOST_WORKERS:
        reason = f"write I/N with I from 1 to N, and N at most {MOST_WORKERS}"
        raise InputError("use --worker", f"{worker}/{workers}", reason)
    access, progress = access or Access(), progress or Silent()
    plan = plan_build(source, target, options, access)
    target.check_push()
    pins = shards.Pins(target, plan, worker, workers, retry=access.retry)
    share = plan.share(worker, workers)
    moved = _stream(share, source, target, options, pins, access, progress)
    pins.publish()
    return plan, moved


def seal_shares(
    source: Source,
    target: Target,
    options: Options,
    *,
    access: Access | None = None,
    progress: Progress | None = None,
) -> Result:
    """Put together what the workers moved, tag it and remove their shard tags.

    Raises:
        TargetError: A layer has not arrived, or was collected since: run its worker again.
    """
    access, progress, start = access or Access(), progress or Silent(), time.monotonic()
    check_push_tag(target.ref, action="build")
    plan = plan_build(source, target, options, access)
    missing = [step.layer.name for step in plan.steps if step.how is not How.REUSE]
    if missing:
        raise TargetError(
            "seal", target.ref, f"{len(missing)} layers have not arrived, first {missing[0]}",
            "run carferry stream for every worker, at the same commit, then seal again",
        )  # fmt: skip
    results = [arrived_already(step) for step in plan.steps]
    document, manifests = _seal(plan, results, target, options, access.retry, progress)
    shards.remove(target, plan)
    return _result(document, manifests, plan, results, time.monotonic() - start)


def plan_build(source: Source, target: Target, options: Options, access: Access) -> Plan:
    """Resolve everything and say what would move; nothing is written.

    Raises:
        InputError: What would be made would become part of what it is made of.
    """
    _check_apart(source, target)
    snapshot = source.snapshot(options.patterns)
    text = base.SCRATCH if options.form is Format.MODELPACK else options.base
    platforms = options.platforms[:1] if options.form is Format.MODELPACK else options.platforms
    bases = base.open_bases(text, platforms, access.open)
    base.check_apart(bases, target.ref)
    deepest = max(len(one.layers) for one in bases)
    layers = arrange(
        snapshot.files,
        base_layers=deepest,
        form=options.form,
        large_bytes=options.large_bytes,
    )
    # Buildah's tar bytes are its own: its layers are neither reused nor offered for reuse.
    held = {}
    if options.engine == "stream":
        held = survey(target, layers, shards.references(target, target.ref.push_tag))
        for ref in options.neighbours:
            wanted = [layer for layer in layers if layer.content_key not in held]
            near = access.open(ref)
            held |= survey(near, wanted, shards.references(near, ref.tag or "latest"))
    made = make_plan(snapshot, bases, layers, held, target.ref, options.form)
    check_lengths(made, target.largest_blob_bytes, target.ref)
    return made


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
    steps: Sequence[Step],
    source: Source,
    target: Target,
    options: Options,
    pins: shards.Pins,
    access: Access,
    progress: Progress,
) -> list[Moved]:
    try:
        return stream(
            steps, source, target,
            parallel=options.parallel, retry=access.retry, progress=progress, arrived=pins.add,
        )  # fmt: skip
    except CarferryError:
        pins.keep()
        raise


def _seal(
    plan: Plan,
    results: Sequence[Moved],
    target: Target,
    options: Options,
    retry: Retry,
    progress: Progress,
) -> tuple[Document, tuple[Document, ...]]:
    layers = by_position(plan, results)
    return seal(target, plan, layers, engine=options.engine, retry=retry, progress=progress)


def _pack(
    plan: Plan,
    source: Source,
    target: Target,
    options: Options,
    retry: Retry,
    progress: Progress,
    runner: buildah.Runner,
) -> Sequence[Moved]:
    with runner.scratch(options.workdir) as scratch:
        folder = _staged(plan, source, scratch, options, retry, progress)
        return buildah.pack(
            plan.steps, folder, target, workdir=scratch, progress=progress, runner=runner
        )


def _staged(
    plan: Plan, source: Source, scratch: Path, options: Options, retry: Retry, progress: Progress
) -> Path:
    """Buildah packs files: a model on the hub is downloaded first."""
    if isinstance(source, FolderSource):
        return source.root.resolve()
    folder = scratch / "model"
    download(
        source, plan.snapshot, folder, parallel=options.parallel, retry=retry, progress=progress
    )
    return folder


def _result(
    document: Document,
    manifests: Sequence[Document],
    plan: Plan,
    results: Sequence[Moved],
    seconds: float,
) -> Result:
    return Result(
        document,
        plan.snapshot,
        tuple(results),
        image_size(manifests),
        len(manifests[0].layers),
        seconds,
    )
