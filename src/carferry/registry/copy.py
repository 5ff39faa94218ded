"""Copying a finished image from one target to another, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from carferry.io.net.retry import Retry
from carferry.io.parallel import Counting, counting, run_parallel
from carferry.io.show.progress import Progress, either
from carferry.oci.documents import Descriptor, Document
from carferry.refs import Digest, LayoutRef, check_push_digest
from carferry.registry.blobs import copy_blob
from carferry.registry.mounts import Mounts
from carferry.registry.place import check_tag, named_now, place, will_move
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
        previous: What the tag named before; None if nothing, or if it may not be read.
    """

    document: Document
    manifests: tuple[Document, ...]
    moved_bytes: int
    reused_bytes: int
    previous: Digest | None


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
        InputError: The target's reference names another image by digest.
        TagImmutable: The tag names another image and may not be moved; nothing has moved.
        TargetError: Either end failed.
    """
    hosts = either(origin.ref.host, target.ref.host)
    with progress.phase(f"reading {origin.ref}", hosts):
        top = read_image(origin)
        check_push_digest(target.ref, top.digest, action="push")
        target.check_push()
        check_tag(target, lambda held: held.digest != top.digest)
        before = named_now(target)
        manifests = read_manifests(origin, top)
    if before and before.digest != top.digest:
        progress.note(will_move(target, before))
    blobs = {d.digest: d for m in manifests for d in (m.config, *m.layers)}
    moved = copy_blobs(list(blobs.values()), origin, target, parallel, retry, progress)
    again = _Again(origin, target, retry, progress)
    with progress.phase("writing the manifest", target.ref.host):
        for document in (*manifests, top):
            place(target, document, str(document.digest), retry, again.send)
        if tag := target.ref.push_tag:
            place(target, top, tag, retry, again.send)
    total = sum(blob.size_bytes for blob in blobs.values())
    moved = min(total, moved + again.sent_bytes)
    previous = before.digest if before else None
    return CopyResult(top, manifests, moved, total - moved, previous)


class _Again:
    """Sends blobs that the target said it holds and does not."""

    def __init__(self, origin: Target, target: Target, retry: Retry, progress: Progress) -> None:
        self._origin, self._target = origin, target
        self._retry, self._progress = retry, progress
        self.sent_bytes = 0

    def send(self, blob: Descriptor) -> None:
        """Copy one blob without asking for it."""
        self._progress.note(f"{self._target.ref} has lost {blob.digest}; sending it again")
        name = _name(blob)
        self._progress.begin(name, blob.size_bytes)

        def move() -> None:
            with counting(self._progress, self._retry, name) as moved:
                copy_blob(blob, self._origin, self._target, moved=moved)

        self._retry.call(move)
        self._progress.end(name, "move")
        self.sent_bytes += blob.size_bytes


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
        name = _name(blob)
        progress.begin(name, blob.size_bytes)
        how, moved = retry.call(lambda: _copy(blob, origin, target, mount, partial(counted, name)))
        progress.end(name, how)
        if how != "move":
            progress.expect(-blob.size_bytes)
        return moved

    counted = partial(counting, progress, retry)
    mount = partial(Mounts(target, progress.note).mount, origin=origin.ref)

    progress.expect(sum(blob.size_bytes for blob in blobs), len(blobs))
    with progress.phase("copying blobs", either(origin.ref.host, target.ref.host)):
        return sum(run_parallel(copy, blobs, parallel=parallel, retry=retry))


def _copy(
    blob: Descriptor,
    origin: Target,
    target: Target,
    mount: Callable[[Digest], bool],
    counted: Callable[[], Counting],
) -> tuple[str, int]:
    """Copy or mount one blob; return how, and the bytes that crossed."""
    if target.blob_size(blob.digest) == blob.size_bytes:
        return "reuse", 0
    if mount(blob.digest):
        return ("link", blob.size_bytes) if isinstance(target.ref, LayoutRef) else ("mount", 0)
    with counted() as moved:
        copy_blob(blob, origin, target, moved=moved)
    return "move", blob.size_bytes


def _name(blob: Descriptor) -> str:
    return f"blob {blob.digest.hex[:12]}"
