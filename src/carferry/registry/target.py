"""The protocols of a place for images, a registry or an OCI layout on disk, and of an upload."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Protocol

from carferry.errors import TargetError
from carferry.oci.documents import Document
from carferry.refs import Digest, ImageRef, LayoutRef


class ListDenied(TargetError):
    """The tags of a repository may not be listed; what a tag names may be read all the same."""


class Upload(Protocol):
    """One blob on its way; nothing is visible at the target before ``commit``."""

    def send(self, chunks: Iterable[bytes], start: int = 0) -> None:
        """Send the blob's bytes from offset ``start`` to its announced end."""

    def offset(self) -> int | None:
        """Return how many bytes the target proves to hold, None if it cannot."""

    def put(self, data: bytes, digest: Digest) -> None:
        """Send the whole blob and make it visible at once: one request less where that counts."""

    def commit(self, digest: Digest) -> None:
        """Make the blob visible under its digest; safe to call after an unclear answer."""

    def cancel(self) -> None:
        """Forget what was sent; never raises."""


class Target(Protocol):
    """A place for blobs and manifests."""

    @property
    def ref(self) -> ImageRef | LayoutRef:
        """What the caller asked for."""

    @property
    def largest_blob_bytes(self) -> int:
        """The longest blob this place takes; 0 if no limit is known."""

    def blob_size(self, digest: Digest) -> int | None:
        """Return the blob's length in bytes, or None if it is not there."""

    def open_blob(self, digest: Digest, start: int = 0) -> Generator[bytes]:
        """Yield the blob's bytes from offset ``start``; the caller checks the digest.

        A caller that may stop before the end closes it: the traceback of an error keeps the
        reader alive, and its connection or file with it.
        """

    def read_range(self, digest: Digest, start: int, size_bytes: int) -> bytes:
        """Return part of a blob; shorter only at its end."""

    def mount(self, digest: Digest, origin: ImageRef | LayoutRef) -> bool:
        """Link a blob of another repository or layout; return whether that worked."""

    def mounts_from(self, origin: ImageRef | LayoutRef) -> bool:
        """Return False once it is known that nothing is linked from there."""

    def hurried(self, attempts: int) -> Target:
        """Return the same place, which is asked everything so often at most."""

    def start_upload(self, size_bytes: int) -> Upload:
        """Begin to write a blob of that exact length."""

    def get_manifest(self, reference: str) -> Document | None:
        """Return the manifest or index at a tag or digest, or None."""

    def image(self) -> Document | None:
        """Return the manifest or index that this place's own reference names, or None.

        A layout without names counts as named if it holds one image.
        """

    def put_manifest(self, document: Document, reference: str) -> None:
        """Write it at a tag or at its own digest."""

    def delete_manifest(self, reference: str) -> bool:
        """Remove a tag; return whether the place allows that."""

    def tags(self, prefix: str = "") -> list[str]:
        """Return the tags that start with ``prefix``, sorted.

        Raises:
            ListDenied: They may not be listed.
        """

    def check_push(self) -> None:
        """Prove, before a byte moves, that the login may push."""

    def location(self, digest: Digest) -> str:
        """Return the immutable reference of a manifest here, for people and for KServe."""
