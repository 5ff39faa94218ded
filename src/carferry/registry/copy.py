"""Copying a finished image from one target to another, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from carferry.errors import ManifestMissing, TargetError
from carferry.io.progress import Progress
from carferry.io.retry import Retry
from carferry.oci.documents import CONFIG, Descriptor, Document
from carferry.refs import LayoutRef
from carferry.registry.blobs import copy_blob
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
        progress: Told about every blob.

    Raises:
        ManifestMissing: Nothing there.
        TargetError: Either end failed.
    """
    top = read_image(origin)
    target.check_push()
    manifests = read_manifests(origin, top)
    blobs = {d.digest: d for m in manifests for d in (m.config, *m.layers)}
    moved = copy_blobs(list(blobs.values()), origin, target, parallel, retry, progress)
    for document in (*manifests, top):
        target.put_manifest(document, str(document.digest))
    if tag := target.ref.push_tag:
        target.put_manifest(top, tag)
    total = sum(blob.size_bytes for blob in blobs.values())
    return CopyResult(top, manifests, moved, total - moved)


def read_image(origin: Target) -> Document:
    """Return the manifest or index that the target's reference names.

    Raises:
        ManifestMissing: Nothing there.
    """
    document = origin.get_manifest(origin.ref.reference)
    if document is None:
        raise ManifestMissing("read", origin.ref, "no such image or tag", "check the reference")
    return document


def read_manifests(origin: Target, top: Document) -> tuple[Document, ...]:
    """Return the manifests of an index, or the manifest itself.

    Raises:
        ManifestMissing: The index names one that is not there.
    """
    if not top.is_index:
        return (top,)
    found = [(d, origin.get_manifest(str(d.digest))) for d in top.manifests]
    for descriptor, manifest in found:
        if manifest is None:
            raise ManifestMissing("read", origin.ref, f"its index lists {descriptor.digest}")
    return tuple(manifest for _, manifest in found if manifest is not None)


def read_config(origin: Target, manifest: Document) -> dict[str, Any]:
    """Return an image's config; its ``config`` object is there even if it was empty.

    Raises:
        TargetError: Not a config, or other bytes than its digest promises.
    """
    document = Document(CONFIG, b"".join(origin.open_blob(manifest.config.digest)))
    if document.digest != manifest.config.digest:
        raise TargetError("read config", manifest.config.digest, f"{origin.ref} sent other bytes")
    config = document.json | {"config": document.json.get("config") or {}}
    if not isinstance(config["config"], dict):
        raise TargetError("read config", document.digest, "its settings are not an object")
    return config


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
        retry: Policy for each; its ``stop`` is set when one fails for good.
        progress: Told about every blob.

    Returns:
        Bytes that crossed. A layout that is given a link to a file of this disk has got them all
        the same: it can be carried away with them.

    Raises:
        CarferryError: The first failure; the others have stopped.
    """

    def moved(name: str, size_bytes: int) -> None:
        # An interrupt must not wait for the end of a blob of many GiB.
        retry.check()
        progress.advance(name, size_bytes)

    def copy(blob: Descriptor) -> int:
        name = f"blob {blob.digest.hex[:12]}"
        progress.begin(name, blob.size_bytes)
        if target.blob_size(blob.digest) == blob.size_bytes:
            progress.end(name, "reuse")
            return 0
        if target.mount(blob.digest, origin.ref):
            linked = isinstance(target.ref, LayoutRef)
            progress.end(name, "link" if linked else "mount")
            return blob.size_bytes if linked else 0
        copy_blob(blob, origin, target, moved=lambda size: moved(name, size))
        progress.end(name, "move")
        return blob.size_bytes

    with ThreadPoolExecutor(max(1, parallel), thread_name_prefix="carferry") as pool:
        try:
            futures = [pool.submit(retry.call, lambda blob=blob: copy(blob)) for blob in blobs]
            return sum(future.result() for future in futures)
        except BaseException:
            retry.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
