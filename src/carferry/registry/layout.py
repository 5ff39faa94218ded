"""An OCI layout on disk as a target.

Source: OCI image-spec v1.1, image-layout.md. A blob has no name until it is whole,
the index is replaced whole under a lock: a reader never sees half of anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Generator
from typing import Any

from carferry.errors import TargetError
from carferry.io import files
from carferry.oci.documents import (
    INDEX,
    MANIFEST,
    MANIFEST_CAP_BYTES,
    REF_NAME,
    Descriptor,
    Document,
    canonical,
)
from carferry.refs import Digest, ImageRef, LayoutRef
from carferry.registry.blobs import put_blob
from carferry.registry.layout_upload import LayoutUpload, blobs_of
from carferry.registry.unnamed import choose, is_about, names_of

_CHUNK = 1024 * 1024
_INDEX_CAP_BYTES = 16 * MANIFEST_CAP_BYTES
# Of entries without a name so many are read, to tell images from what is said about them.
_MOST_UNNAMED = 256
_MOST_NESTED = 4
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'


class LayoutTarget:
    """Reads and writes one OCI layout directory; created with the first write."""

    def __init__(self, ref: LayoutRef) -> None:
        self.ref: ImageRef | LayoutRef = ref
        self._ref = ref
        self.root = ref.path
        self._blobs = blobs_of(ref.path)

    @property
    def largest_blob_bytes(self) -> int:
        """Return 0: no limit is known."""
        return 0

    def mounts_from(self, origin: ImageRef | LayoutRef) -> bool:
        """Return whether the other place is a layout too; a link costs nothing to try."""
        return isinstance(origin, LayoutRef)

    def blob_size(self, digest: Digest) -> int | None:
        """Return the blob's length, or None."""
        try:
            return (self._blobs / digest.hex).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("look for a blob in", error) from error

    def open_blob(self, digest: Digest, start: int = 0) -> Generator[bytes]:
        """Yield the blob's bytes from offset ``start``.

        Raises:
            TargetError: Not there or not readable.
        """
        try:
            with (self._blobs / digest.hex).open("rb", buffering=0) as handle:
                handle.seek(start)
                while chunk := handle.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise self._failed(f"read {digest} of", error) from error

    def read_range(self, digest: Digest, start: int, size_bytes: int) -> bytes:
        """Return part of a blob."""
        try:
            with (self._blobs / digest.hex).open("rb") as handle:
                handle.seek(start)
                return handle.read(size_bytes)
        except OSError as error:
            raise self._failed(f"read {digest} of", error) from error

    def mount(self, digest: Digest, origin: ImageRef | LayoutRef) -> bool:
        """Hard-link a blob from another layout on the same disk.

        Falls back to False (so that the caller copies) across disks or on file systems
        without links.
        """
        if not isinstance(origin, LayoutRef) or origin.path == self.root:
            return False
        source = blobs_of(origin.path) / digest.hex
        try:
            self._prepare()
            (self._blobs / digest.hex).hardlink_to(source)
        except FileExistsError:
            return True
        except OSError:
            return False
        return True

    def hurried(self, attempts: int) -> LayoutTarget:
        """Return this place: a disk is asked once."""
        return self

    def start_upload(self, size_bytes: int) -> LayoutUpload:
        """Open a file beside the blobs and reserve its length.

        Raises:
            StorageFull: No room for it.
        """
        try:
            self._prepare()
            file = files.AtomicFile(self._blobs)
            try:
                file.reserve(size_bytes)
            except OSError:
                file.drop()
                raise
        except OSError as error:
            raise self._failed("write to", error) from error
        return LayoutUpload(self.ref, self.root, file, size_bytes)

    def get_manifest(self, reference: str) -> Document | None:
        """Return the manifest or index at a tag or digest, or None."""
        wanted = [d for d in self._entries() if _matches(d, reference)]
        if wanted:
            return Document(wanted[-1].media_type, self._small_blob(wanted[-1].digest))
        if reference.startswith("sha256:") and self.blob_size(Digest.parse(reference)) is not None:
            data = self._small_blob(Digest.parse(reference))
            return Document(_type_of(data), data)
        return None

    def image(self) -> Document | None:
        """Return what the reference names; without such a tag the one image that is meant.

        Raises:
            ManifestMissing: There are several, and none has the name, or more than one.
        """
        found = self.get_manifest(self._ref.reference)
        if found is None and self._ref.digest is None:
            chosen = choose(self._ref, self._images())
            if chosen is not None:
                found = Document(chosen.media_type, self._small_blob(chosen.digest))
        return self._inner(found) if found else None

    def _images(self) -> list[Descriptor]:
        """Return the entries but for artifacts about others: signatures, lists of parts."""
        entries = self._entries()
        unnamed = [each for each in entries[:_MOST_UNNAMED] if not names_of(each)]
        about = {each.digest for each in unnamed if self._is_about_another(each)}
        return [each for each in entries if each.digest not in about]

    def _is_about_another(self, entry: Descriptor) -> bool:
        if self.blob_size(entry.digest) is None:
            return True
        with contextlib.suppress(TargetError):  # whoever reads it says what is wrong with it
            return "subject" in Document(entry.media_type, self._small_blob(entry.digest)).json
        return False

    def _inner(self, document: Document) -> Document:
        """Return the index in an index that lists nothing else, as some tools nest them."""
        for _ in range(_MOST_NESTED):
            entries = _manifests(document)
            if len(entries) != 1 or not Document(entries[0].media_type, b"").is_index:
                break
            document = Document(entries[0].media_type, self._small_blob(entries[0].digest))
        return self._only_whole(document) or document

    def _only_whole(self, document: Document) -> Document | None:
        """Return the one image of an index whose blobs are here, if those of others are not.

        ``docker save`` writes one platform's blobs and the whole index.
        """
        entries = _manifests(document)[:_MOST_UNNAMED]
        if all(self.blob_size(each.digest) is not None for each in entries):
            return None
        here = [each for each in entries if not is_about(each) and self._is_whole(each)]
        if len(here) != 1 or Document(here[0].media_type, b"").is_index:
            return None
        return Document(here[0].media_type, self._small_blob(here[0].digest))

    def _is_whole(self, entry: Descriptor) -> bool:
        if self.blob_size(entry.digest) is None:
            return False
        with contextlib.suppress(TargetError):
            found = Document(entry.media_type, self._small_blob(entry.digest))
            blobs = () if found.is_index else (found.config, *found.layers)
            return all(self.blob_size(each.digest) == each.size_bytes for each in blobs)
        return False

    def put_manifest(self, document: Document, reference: str) -> None:
        """Write the document as a blob; at a tag also name it in ``index.json``."""
        put_blob(self, document.data)
        if reference != str(document.digest):
            named = Descriptor(
                document.media_type, document.digest, len(document.data), {REF_NAME: reference}
            )
            self._edit(lambda entries: [*_without(entries, reference), named])

    def delete_manifest(self, reference: str) -> bool:
        """Take a tag out of ``index.json``; the blobs stay, other tags may share them."""
        self._edit(lambda entries: _without(entries, reference))
        return True

    def tags(self, prefix: str = "") -> list[str]:
        """Return the tags that start with ``prefix``, sorted."""
        names = {d.annotations.get(REF_NAME, "") for d in self._entries()}
        return sorted(name for name in names if name and name.startswith(prefix))

    def check_push(self) -> None:
        """Create the directory and a file in it, remove the file again, and read the index.

        An index that cannot be read or replaced would else be found after everything has moved.
        """
        self.start_upload(0).cancel()
        self._entries()
        try:
            files.AtomicFile(self.root).drop()
        except OSError as error:
            raise self._failed("write the index of", error) from error

    def location(self, digest: Digest) -> str:
        """Return ``oci:path:tag``: a layout is addressed by tag."""
        return str(self.ref)

    def _prepare(self) -> None:
        self._blobs.mkdir(parents=True, exist_ok=True)
        version = self.root / "oci-layout"
        if not version.exists():
            files.replace(version, _VERSION)

    def _entries(self) -> list[Descriptor]:
        try:
            index = self.root / "index.json"
            if index.stat().st_size > _INDEX_CAP_BYTES:
                raise ValueError(f"over {_INDEX_CAP_BYTES} bytes")
            found = json.loads(index.read_bytes())["manifests"]
            return [Descriptor.from_json(item) for item in found]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, RecursionError, TargetError) as error:
            raise TargetError(
                "read", self.root / "index.json", f"not an OCI index: {error}"
            ) from error

    def _edit(self, change: Any) -> None:
        try:
            self._prepare()
            with (self.root / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                entries = [entry.to_json() for entry in change(self._entries())]
                index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
                files.replace(self.root / "index.json", canonical(index))
        except OSError as error:
            raise self._failed("write the index of", error) from error

    def _small_blob(self, digest: Digest) -> bytes:
        size = self.blob_size(digest)
        if size is None or size > MANIFEST_CAP_BYTES:
            raise TargetError("read manifest", digest, f"missing or too large in {self.root}")
        data = b"".join(self.open_blob(digest))
        if Digest.of(data) != digest:
            raise TargetError("read manifest", digest, f"{self.root} holds other bytes under it")
        return data

    def _failed(self, action: str, error: OSError) -> TargetError:
        return files.failed(action, self.root, error)


def _manifests(document: Document) -> tuple[Descriptor, ...]:
    """Return what an index lists; nothing if it makes no sense, which its reader says."""
    try:
        return document.manifests if document.is_index else ()
    except TargetError:
        return ()


def _type_of(data: bytes) -> str:
    """Return a manifest's media type; without a tag nobody else says it, and it need not itself."""
    found = Document("", data).json
    kind = INDEX if "manifests" in found else MANIFEST
    return str(found.get("mediaType") or kind)


def _matches(entry: Descriptor, reference: str) -> bool:
    return reference in {entry.annotations.get(REF_NAME), str(entry.digest)}


def _without(entries: list[Descriptor], tag: str) -> list[Descriptor]:
    return [entry for entry in entries if entry.annotations.get(REF_NAME) != tag]
