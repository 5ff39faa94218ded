"""Completing an image: the base's blobs, config, manifest by digest, and last of all the tag.

Nothing is visible under the tag before everything it names is there. Two sealers of one plan
write the same bytes, so their order does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from carferry.assembly.job import Job
from carferry.assembly.plan import Plan
from carferry.errors import InputError
from carferry.image.base import Base
from carferry.image.compose import Image, compose, compose_artifact, index_of, model_descriptor
from carferry.image.layers import Format
from carferry.io.progress import Progress
from carferry.io.retry import Retry
from carferry.oci.documents import MANIFEST_CAP_BYTES, Descriptor, Document
from carferry.refs import Digest, ImageRef, LayoutRef
from carferry.registry.blobs import check_blobs, copy_blob, put_blob
from carferry.registry.target import Target

_NO_DIGEST = Digest("0" * 64)
_MIB = 1024 * 1024


def seal(job: Job, model: Sequence[Descriptor]) -> tuple[Document, tuple[Document, ...]]:
    """Complete the image and tag it.

    Args:
        job: The build; its target holds the model's layers already.
        model: The model's layers in image order.

    Returns:
        What the tag now names, a manifest or an index of several platforms; and the manifest
        of each platform. Nothing needs to be asked after the tag has moved.

    Raises:
        TargetError: A layer is missing, or the target refused a document.
    """
    target, retry = job.target, job.retry
    retry.call(lambda: check_blobs(target, model))
    images = _compose(job.plan, job.options.engine, model)
    for base, image in images:
        for layer in base.layers:
            retry.call(partial(_bring, base, layer, target, job.progress))
        _put(target, image, retry)
    top = images[0][1].manifest
    if len(images) > 1:
        top = index_of(images)
        retry.call(lambda: target.put_manifest(top, str(top.digest)))
    if tag := target.ref.push_tag:
        retry.call(lambda: target.put_manifest(top, tag))
    return top, tuple(image.manifest for _, image in images)


def check_manifest(plan: Plan, engine: str, ref: ImageRef | LayoutRef) -> None:
    """Refuse what the target would refuse when all layers have moved.

    A manifest's length does not depend on its digests, so it is known before.

    Args:
        plan: What would be done.
        engine: ``stream`` or ``buildah``.
        ref: The target.

    Raises:
        InputError: A manifest, which names every file's id, would be longer than registries take.
    """
    model = [model_descriptor(each.layer, _NO_DIGEST) for each in plan.layers]
    longest = max(len(image.manifest.data) for _, image in _compose(plan, engine, model))
    if longest > MANIFEST_CAP_BYTES:
        raise InputError(
            "build", ref,
            f"{len(plan.snapshot.files)} files make a manifest of {longest / _MIB:.1f} MiB, "
            f"registries take {MANIFEST_CAP_BYTES // _MIB}",
            "leave out what no server reads: --exclude",
        )  # fmt: skip


def _compose(plan: Plan, engine: str, model: Sequence[Descriptor]) -> list[tuple[Base, Image]]:
    if plan.format is Format.MODELPACK:
        image = compose_artifact(model, plan.snapshot, engine)
        return [(base, image) for base in plan.bases]
    return [(base, compose(base, model, plan.snapshot, engine)) for base in plan.bases]


def _put(target: Target, image: Image, retry: Retry) -> None:
    retry.call(lambda: put_blob(target, image.config.data))
    retry.call(lambda: target.put_manifest(image.manifest, str(image.manifest.digest)))


def _bring(base: Base, layer: Descriptor, target: Target, progress: Progress) -> None:
    """Mount a base layer or, if the registry does not mount it, copy it unchanged."""
    if base.home is None or target.blob_size(layer.digest) == layer.size_bytes:
        return
    if target.mount(layer.digest, base.home.ref):
        return
    name = f"base {layer.digest.hex[:12]}"
    progress.begin(name, layer.size_bytes)
    copy_blob(layer, base.home, target, moved=lambda size: progress.advance(name, size))
    progress.end(name, "copy")
