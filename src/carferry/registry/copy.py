"""Copying a finished image from one target to another, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from carferry.io.parallel import advance, run_parallel
from carferry.io.progress import Progress, either
from carferry.io.retry import Retry
from carferry.oci.documents import Descriptor, Document
from carferry.refs import LayoutRef
from carferry.registry.blobs import copy_blob
from carferry.registry.read import read_image, read_manifests
from carferry.registry.target import Target


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What a copy did.

    Attributes:
        document: The manifest or index, the same bytes at both ends.
        manifests: The manifests it names, or itself.
        moved_bytes: Blob bytes that crossed, or that a layout got.
        reused_bytes: Blob bytes that were there already, or that the registry mounted.
    """

    document: Document
    manifests: tuple[Document, ...]
    moved_bytes: int
    reused_bytes: int


def copy_image(
    origin: Target, target: Target, *, parallel: int, retry: Retry, progress: Progress
) -> CopyResult:
    """Copy an image with all it refers to; the tag comes last.

    Args:
        origin: Where it is, at the tag or digest of its reference.
        target: Where it goes.
        parallel: Blobs copied at once.
        retry: Policy for each blob.
        progress: Receives every blob.

    Raises:
        ManifestMissing: Nothing there.
        TargetError: Either end failed.
    """
    hosts = either(origin.ref.host, target.ref.host)
    with progress.phase(f"reading {origin.ref}", hosts):
        top = read_image(origin)
        target.check_push()
        manifests = read_manifests(origin, top)
    blobs = {d.digest: d for m in manifests for d in (m.config, *m.layers)}
    moved = copy_blobs(list(blobs.values()), origin, target, parallel, retry, progress)
    with progress.phase("writing the manifest", target.ref.host):
        for document in (*manifests, top):
            target.put_manifest(document, str(document.digest))
        if tag := target.ref.push_tag:
            target.put_manifest(top, tag)
    total = sum(blob.size_bytes for blob in blobs.values())
    return CopyResult(top, manifests, moved, total - moved)


def copy_blobs(
    blobs: Sequence[Descriptor],
    origin: Target,
    target: Target,
    parallel: int,
    retry: Retry,
    progress: Progress,
) -> int:
    """Copy blobs that are not there yet, several at once; mount those that can be.

    Args:
        blobs: What the target must hold afterwards.
        origin: Where they are.
        target: Where they go.
        parallel: Blobs copied at once.
        retry: Policy for each.
        progress: Receives every blob.

    Returns:
        Bytes that crossed. Links to files of this disk count too: a layout with them can be
        carried away like one with copies.

    Raises:
        CarferryError: The first failure; the others have stopped.
    """

    def copy(blob: Descriptor) -> int:
        return retry.call(lambda: _copy(blob, origin, target, retry, progress))

    progress.expect(sum(blob.size_bytes for blob in blobs), len(blobs))
    with progress.phase("copying blobs", either(origin.ref.host, target.ref.host)):
        return sum(run_parallel(copy, blobs, parallel=parallel, retry=retry))


def _copy(
    blob: Descriptor, origin: Target, target: Target, retry: Retry, progress: Progress
) -> int:
    """Copy or mount one blob and return the bytes that crossed."""
    name = f"blob {blob.digest.hex[:12]}"
    progress.begin(name, blob.size_bytes)
    if target.blob_size(blob.digest) == blob.size_bytes:
        progress.end(name, "reuse")
        progress.expect(-blob.size_bytes)
        return 0
    if target.mount(blob.digest, origin.ref):
        linked = isinstance(target.ref, LayoutRef)
        progress.end(name, "link" if linked else "mount")
        progress.expect(-blob.size_bytes)
        return blob.size_bytes if linked else 0
    copy_blob(blob, origin, target, moved=partial(advance, progress, retry, name))
    progress.end(name, "move")
    return blob.size_bytes
