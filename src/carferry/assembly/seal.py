"""Completing an image: the base's blobs, config, manifest by digest, and last of all the tag.

Nothing is visible under the tag before everything it names is there. Two sealers of one plan
write the same bytes, so their order does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from carferry.assembly.job import Job
from carferry.assembly.plan import Plan
from carferry.image.base import Base
from carferry.image.compose import Image, compose, compose_artifact, index_of
from carferry.image.layers import Format
from carferry.io.net.retry import Retry
from carferry.io.parallel import counting
from carferry.oci.documents import Descriptor, Document, image_size
from carferry.refs import check_push_digest
from carferry.registry.blobs import check_blobs, copy_blob, put_blob, send_blob
from carferry.registry.mounts import Mounts
from carferry.registry.place import place
from carferry.registry.refusals import TagImmutable
from carferry.registry.target import Target


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


def seal(
    job: Job, model: Sequence[Descriptor], *, send_again: Callable[[Descriptor], None]
) -> Sealed:
    """Complete the image and tag it.

    Args:
        job: The build; its target holds the model's layers already.
        model: The model's layers in image order.
        send_again: Moves a layer of the model that the target said it holds and does not.

    Returns:
        What the tag now names. Nothing is asked or computed after the tag has moved.

    Raises:
        InputError: The target's reference names another image by digest.
        TargetError: A layer is missing, or the target refused a document.
    """
    target, retry = job.target, job.retry
    retry.call(lambda: check_blobs(target, model, retry))
    images = compose_images(job.plan, job.options.engine, model)
    top = top_of(images)
    check_push_digest(target.ref, top.digest, action="build")
    for base, image in images:
        for layer in base.layers:
            _bring(base, layer, job)
        _put(job, base, image, send_again)
    if len(images) > 1:
        place(target, top, str(top.digest), retry)
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


def top_of(images: Sequence[tuple[Base, Image]]) -> Document:
    """Return what a tag will name: the manifest, or the index of several platforms' manifests."""
    return images[0][1].manifest if len(images) == 1 else index_of(images)


def _tag(target: Target, top: Document, tag: str, retry: Retry) -> None:
    """Move the tag, the last that can fail; a registry may forbid to move this one only now."""
    try:
        place(target, top, tag, retry)
    except TagImmutable as error:
        there = f"docker://{target.location(top.digest)}"
        where = f"docker://{target.location(top.digest).partition('@')[0]}:ANOTHER-TAG"
        error.remedy = f"all of it is there, tag it: carferry push {there} {where}"
        raise


def _put(job: Job, base: Base, image: Image, send_again: Callable[[Descriptor], None]) -> None:
    target, retry = job.target, job.retry

    def send(blob: Descriptor) -> None:
        if blob.digest == image.config.digest:
            retry.call(partial(send_blob, target, image.config.data))
        elif base.home is not None and blob in base.layers:
            _copy(base.home, blob, job)
        else:
            send_again(blob)

    retry.call(partial(put_blob, target, image.config.data))
    place(target, image.manifest, str(image.manifest.digest), retry, send)


def _bring(base: Base, layer: Descriptor, job: Job) -> None:
    """Mount a base layer or, if the registry does not mount it, copy it unchanged."""
    home, target = base.home, job.target
    mounts = Mounts(target, job.progress.note)
    if home is not None and not job.retry.call(partial(_is_there, layer, home, target, mounts)):
        _copy(home, layer, job)


def _copy(home: Target, layer: Descriptor, job: Job) -> None:
    name = f"base {layer.digest.hex[:12]}"
    job.progress.expect(layer.size_bytes, 1)
    job.progress.begin(name, layer.size_bytes)

    def copy() -> None:
        with counting(job.progress, job.retry, name) as moved:
            copy_blob(layer, home, job.target, moved=moved)

    job.retry.call(copy)
    job.progress.end(name, "copy")


def _is_there(layer: Descriptor, home: Target, target: Target, mounts: Mounts) -> bool:
    """Return whether the target holds a layer, perhaps now that it was mounted."""
    is_here = target.blob_size(layer.digest) == layer.size_bytes
    return is_here or mounts.mount(layer.digest, home.ref)
