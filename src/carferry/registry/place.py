"""Making a reference name a document: what is named already, what may not be, what got lost.

Tags may be immutable, and some registries refuse even the bytes that the tag names already (Amazon
ECR, Harbor); so a tag is read before it is written. Registries may say that they hold a blob that
was collected; what they name when they refuse the manifest is sent again. See docs/adr/0034.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial

from carferry.errors import CarferryError, PushDenied, TargetError
from carferry.io.net.retry import Retry
from carferry.oci.documents import Descriptor, Document
from carferry.refs import Digest, ImageRef
from carferry.registry.refusals import TAKES_NO_PUSHES, BlobsUnknown, TagImmutable
from carferry.registry.target import Target

# The first finds what a cache of the registry hid, the second what vanished meanwhile.
_ROUNDS = 2
# What a tag may be refused with where no word says that it is immutable; a bare 403 is a right.
_REFUSED = {405, 409, 412}
_NAMES_ANOTHER = "the tag, which names {} now, may not be moved: choose another"


def place(
    target: Target,
    document: Document,
    reference: str,
    retry: Retry,
    send: Callable[[Descriptor], None] | None = None,
) -> None:
    """Make a tag or digest name a document; a tag that names it already is not written.

    Args:
        target: Where its blobs are.
        document: A manifest or an index.
        reference: A tag, or the document's digest.
        retry: Policy for each request.
        send: Sends a blob of the manifest whatever the registry says it holds.

    Raises:
        TagImmutable: The tag names another document and stays.
        BlobsUnknown: The registry lacks a blob that cannot be sent again, or loses it again.
        TargetError: Refused otherwise.
    """
    for _ in range(_ROUNDS if send else 0):
        try:
            return retry.call(partial(_put, target, document, reference))
        except BlobsUnknown as error:
            lost = _lost(target, document, error)
            if not lost or send is None:
                raise
            for blob in lost:
                send(blob)
    return retry.call(partial(_put, target, document, reference))


def check_tag(target: Target, differs: Callable[[Document], bool]) -> None:
    """Refuse a tag that may not be moved, before anything moves.

    No registry says which tags are immutable. So what the tag names now is written to it once
    more: that changes nothing where tags move, and is refused where they do not.

    Args:
        target: Where an image would be tagged.
        differs: Whether what the tag names now is certainly not that image.

    Raises:
        TagImmutable: The tag names another image and stays.
        PushDenied: This login may write nothing to it.
    """
    tag = target.ref.push_tag
    if not tag or not isinstance(target.ref, ImageRef):
        return
    held = held_by(target, tag)
    if held is None or not differs(held):
        return
    try:
        target.put_manifest(held, tag)
    except TargetError as error:
        if _may_be_immutable(error):
            raise _immutable(error, target, held.digest) from error
        if isinstance(error, PushDenied):
            error.remedy = f"{error.remedy}; or {_NAMES_ANOTHER.format(held.digest)}"
        # It may be a document that the registry took once and would not take today.
        if error.temporary or isinstance(error, PushDenied):
            raise


def _put(target: Target, document: Document, reference: str) -> None:
    is_tag = reference != str(document.digest)
    if is_tag and _names(target, reference, document.digest):
        return
    try:
        target.put_manifest(document, reference)
    except TargetError as error:
        if error.temporary or isinstance(error, BlobsUnknown):
            raise
        # Somebody else was faster with the same bytes, or it was there under its digest.
        if _names(target, reference, document.digest):
            return
        held = held_by(target, reference) if is_tag else None
        if held and _may_be_immutable(error):
            raise _immutable(error, target, held.digest) from error
        raise


def _may_be_immutable(error: TargetError) -> bool:
    """Return whether the tag may be why, and not a quota, a policy or a right that was named."""
    explained = type(error) is not TargetError or error.remedy not in ("", TAKES_NO_PUSHES)
    return isinstance(error, TagImmutable) or (error.status in _REFUSED and not explained)


def _immutable(error: TargetError, target: Target, names: Digest) -> TagImmutable:
    reason = f"the tag names {names} and may not be moved: {error.reason}"
    return TagImmutable("tag", target.ref, reason, "choose another tag", status=error.status)


def _names(target: Target, reference: str, digest: Digest) -> bool:
    held = held_by(target, reference)
    return held is not None and held.digest == digest


def held_by(target: Target, reference: str) -> Document | None:
    """Return what a reference names; None also if this login may push and not pull."""
    try:
        return target.get_manifest(reference)
    except TargetError as error:
        if error.temporary:
            raise
        return None


def named_now(target: Target) -> Document | None:
    """Return what the target's tag names; None if there is none, or it may not be read.

    Raises:
        CarferryError: The target does not answer for the moment.
    """
    tag = target.ref.push_tag
    return held_by(target, tag) if tag else None


def will_move(target: Target, held: Document) -> str:
    """Return the remark that the target's tag, which names ``held``, will name another image."""
    return f"the tag {target.ref.push_tag} names {held.digest} now, and will name the new image"


def _lost(target: Target, document: Document, error: BlobsUnknown) -> Sequence[Descriptor]:
    """Return what is to be sent again: what was named, or else what cannot be read."""
    if document.is_index:
        return ()
    blobs = {blob.digest: blob for blob in (document.config, *document.layers)}
    named = [blobs[digest] for digest in error.digests if digest in blobs]
    return named or [blob for blob in blobs.values() if not _is_readable(target, blob)]


def _is_readable(target: Target, blob: Descriptor) -> bool:
    """Read a blob's first byte: a registry whose HEAD is wrong still cannot send what is gone."""
    with contextlib.suppress(CarferryError):
        return blob.size_bytes == 0 or len(target.read_range(blob.digest, 0, 1)) == 1
    return False
