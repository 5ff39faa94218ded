"""Completing an image: the base's blobs, config, manifest by digest, and last of all the tag.

Nothing is visible under the tag before everything it names is there. Two sealers of one plan
write the same bytes, so their order does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from carferry.assembly.job import Job
from carferry.assembly.plan import Plan
from carferry.errors import TargetError
from carferry.image.base import Base
from carferry.image.compose import Image, compose, compose_artifact, index_of
from carferry.image.layers import Format
from carferry.io.progress import Progress
from carferry.io.retry import Retry
from carferry.oci.documents import Descriptor, Document, image_size
from carferry.registry.blobs import check_blobs, copy_blob, put_blob
from carferry.registry.target import Target

# What registries answer that let a tag be written once: Harbor 412, ECR and others 400, 403, 409.
_TAG_REFUSED = (400, 403, 405, 409, 412)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A complete image; all that is said of it was known before its tag moved.

    Attributes:
        document: What the tag names: a manifest or an index.
        manifests: The manifest of each platform.
        size_bytes: All different blobs.
        layers: Of one platform, base included.
    """

    document: Document
    manifests: tuple[Document, ...]
    size_bytes: int
    layers: int


def seal(job: Job, model: Sequence[Descriptor]) -> Sealed:
    """Complete the image and tag it.

    Args:
        job: The build; its target holds the model's layers already.
        model: The model's layers in image order.

    Returns:
        What the tag now names. Nothing is asked or computed after the tag has moved.

    Raises:
        TargetError: A layer is missing, or the target refused a document.
    """
    target, retry = job.target, job.retry
    retry.call(lambda: check_blobs(target, model))
    images = compose_images(job.plan, job.options.engine, model)
    for base, image in images:
        for layer in base.layers:
            retry.call(partial(_bring, base, layer, target, job.progress))
        _put(target, image, retry)
    top = images[0][1].manifest
    if len(images) > 1:
        top = index_of(images)
        retry.call(lambda: target.put_manifest(top, str(top.digest)))
    manifests = tuple(image.manifest for _, image in images)
    sealed = Sealed(top, manifests, image_size(manifests), len(manifests[0].layers))
    if tag := target.ref.push_tag:
        _tag(target, top, tag, retry)
    return sealed


def compose_images(
    plan: Plan, engine: str, model: Sequence[Descriptor]
) -> list[tuple[Base, Image]]:
    """Compose the image of each base; a pure function of the plan and the model's layers.

    Args:
        plan: What was done, or would be.
        engine: ``stream`` or ``buildah``.
        model: The model's layers in image order.
    """
    if plan.format is Format.MODELPACK:
        return [(base, compose_artifact(model, plan.snapshot, engine)) for base in plan.bases]
    return [(base, compose(base, model, plan.snapshot, engine)) for base in plan.bases]


def _tag(target: Target, top: Document, tag: str, retry: Retry) -> None:
    """Move the tag, the last that can fail; a registry may forbid to move this one only now."""
    try:
        retry.call(lambda: target.put_manifest(top, tag))
    except TargetError as error:
        if error.status in _TAG_REFUSED:
            error.remedy = (
                f"all of it is there as {target.location(top.digest)}; if tags are immutable "
                "here, build again with another tag: nothing moves"
            )
        raise


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
    progress.expect(layer.size_bytes, 1)
    progress.begin(name, layer.size_bytes)
    copy_blob(layer, base.home, target, moved=lambda size: progress.advance(name, size))
    progress.end(name, "copy")
