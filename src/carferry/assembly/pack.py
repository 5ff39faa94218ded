"""The buildah engine: real Buildah packs each layer, carferry puts the image together.

Every layer is its own one-layer build from scratch, written straight to an OCI layout: no gzip
on weights, times fixed at 0, owner 0:0, 0644. Nothing is stacked, so Buildah's storage holds
one layer at a time, and base layers keep the bytes their registry gave them.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from carferry.assembly.buildah import Runner, recipe
from carferry.assembly.job import Job
from carferry.assembly.plan import How
from carferry.assembly.results import LayerResult
from carferry.errors import SourceChanged, ToolFailed
from carferry.image.compose import file_annotations
from carferry.image.layers import ROOT, Layer
from carferry.io.show.progress import Progress
from carferry.oci.documents import LAYER, Descriptor
from carferry.refs import LayoutRef
from carferry.registry.blobs import blob_file, copy_blob
from carferry.registry.layout import LayoutTarget
from carferry.registry.target import Target
from carferry.source.download import download
from carferry.source.folder import FolderSource
from carferry.source.snapshot import ContentId, SourceFile

_BUFFER = 1024 * 1024


def pack(job: Job, runner: Runner) -> list[LayerResult]:
    """Build every layer of a plan with Buildah and write it to the target.

    Args:
        job: The build; each layer is built anew, Buildah's are never reused.
        runner: Where Buildah runs.

    Returns:
        One result per layer, in image order.

    Raises:
        ToolFailed: Buildah is missing or refused.
        SourceChanged: A packed file is not what the snapshot promised.
    """
    layers = [layer_plan.layer for layer_plan in job.plan.layers]
    with runner.scratch(job.options.workdir) as scratch:
        folder = _model_folder(job, scratch)
        return pack_layers(
            layers, folder, job.target, scratch=scratch, progress=job.progress, runner=runner
        )


def pack_layers(
    layers: Sequence[Layer],
    folder: Path,
    target: Target,
    *,
    scratch: Path,
    progress: Progress,
    runner: Runner,
) -> list[LayerResult]:
    """Build layers of a folder's files with Buildah and write them to the target.

    Args:
        layers: What to build.
        folder: The model's files.
        target: Where blobs go.
        scratch: Room for one OCI layout of all layers; the disk of an OCI target saves a copy.
        progress: Receives every layer.
        runner: Where Buildah runs; it sees ``folder`` and ``scratch`` too.

    Returns:
        One result per layer, in order.

    Raises:
        ToolFailed: Buildah is missing or refused.
        SourceChanged: A packed file is not what the snapshot promised.
    """
    ref = LayoutRef(scratch / "layers")
    layout = LayoutTarget(ref)
    progress.expect(0, len(layers))
    for layer in layers:
        progress.begin(layer.name, layer.size_bytes)
    try:
        with progress.phase("packing layers with buildah"):
            runner.run([recipe(layer, folder, ref) for layer in layers])
        with progress.phase("moving layers", target.ref.host):
            return [_take(layer, layout, target, progress) for layer in layers]
    finally:
        shutil.rmtree(ref.path, ignore_errors=True)


def _model_folder(job: Job, scratch: Path) -> Path:
    """Return the folder that holds the model's files; one on the hub is downloaded first."""
    if isinstance(job.source, FolderSource):
        return job.source.root.resolve()
    folder = scratch / "model"
    download(
        job.source, job.plan.snapshot, folder,
        parallel=job.options.parallel, retry=job.retry, progress=job.progress,
    )  # fmt: skip
    return folder


def _take(layer: Layer, layout: LayoutTarget, target: Target, progress: Progress) -> LayerResult:
    found = _layer_of(layout, layer.content_key.hex, layer)
    with blob_file(layout, found.digest) as file:
        ids = check_files(layer, file)
    descriptor = replace(found, annotations=file_annotations(layer, ids))
    there = target.blob_size(descriptor.digest) == descriptor.size_bytes
    if not there and not target.mount(descriptor.digest, layout.ref):
        copy_blob(descriptor, layout, target, moved=lambda size: progress.advance(layer.name, size))
    progress.end(layer.name, How.MOVE.value)
    return LayerResult(layer, descriptor, How.MOVE)


def _layer_of(layout: LayoutTarget, tag: str, layer: Layer) -> Descriptor:
    manifest = layout.get_manifest(tag)
    if manifest is None or len(manifest.layers) != 1 or manifest.layers[0].media_type != LAYER:
        raise ToolFailed("use", "buildah", f"it did not write {layer.name} as one plain layer")
    return manifest.layers[0]


def check_files(layer: Layer, archive: IO[bytes]) -> tuple[ContentId, ...]:
    """Read a layer's tar and compare every file with the snapshot.

    Returns:
        The id of each of the layer's files, as it was read.

    Raises:
        SourceChanged: A file is missing, too many, or has other bytes.
    """
    wanted = {f"{ROOT}/{file.path}": file for file in layer.files}
    ids: dict[SourceFile, ContentId] = {}
    with tarfile.open(fileobj=archive, mode="r|", bufsize=_BUFFER) as tar:
        for member in tar:
            if member.isdir():
                continue
            file = wanted.pop(member.name, None)
            content = tar.extractfile(member) if member.isreg() else None
            if file is None or content is None:
                raise SourceChanged("pack", member.name, "the snapshot has no such file")
            ids[file] = file.identified(_hash(content, file.content.hasher(member.size)))
    for name in wanted:
        raise SourceChanged("pack", name, "the layer lacks it")
    return tuple(ids[file] for file in layer.files)


def _hash(content: IO[bytes], hasher: Any) -> str:
    while chunk := content.read(_BUFFER):
        hasher.update(chunk)
    return str(hasher.hexdigest())
