"""A registry as a target: blobs, manifests and tags of one repository.

Source: OCI distribution-spec v1.1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from urllib.parse import urlencode

from urllib3.exceptions import HTTPError

from carferry.errors import TargetError
from carferry.io.net.bodies import drain, give_back
from carferry.io.net.http import unreachable
from carferry.oci.documents import MANIFEST_CAP_BYTES, MANIFEST_TYPES, Document
from carferry.refs import Digest, ImageRef, LayoutRef
from carferry.registry.session import Session
from carferry.registry.tag_list import list_tags
from carferry.registry.upload import RegistryUpload

_CHUNK = 1024 * 1024
# A registry looks up every blob that a manifest names, thousands perhaps: give it five minutes.
_LOOKED_UP_BYTES = 5_000_000_000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LENGTH = re.compile(r"[0-9]{1,18}")
# Behind that, reading part after part of a long blob would read its start again and again.
_MOST_SKIPPED_BYTES = 256 * 1024 * 1024
# A registry that mounts nothing says so for each blob; one blob may be missing at its origin.
_MOST_DECLINED = 3


class RegistryTarget:
    """One repository of one registry.

    Args:
        session: Authenticated access to the registry.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.ref: ImageRef | LayoutRef = session.ref
        self._name = session.ref.repository
        self._declined: Counter[str] = Counter()

    @property
    def largest_blob_bytes(self) -> int:
        """Return the limit of this kind of registry, as far as it is known; 0 if not."""
        return self._session.quirks.largest_blob_bytes

    def blob_size(self, digest: Digest) -> int | None:
        """Ask with HEAD; without a stated length the blob counts as missing."""
        response = self._session.call("HEAD", f"/blobs/{digest}", expect={200, 404})
        drain(response)
        length = response.headers.get("Content-Length", "")
        return int(length) if response.status == 200 and _LENGTH.fullmatch(length) else None

    def read_range(self, digest: Digest, start: int, size_bytes: int) -> bytes:
        """Return part of a blob by Range.

        A mirror that has not got the blob yet may ignore the range and pass all of it on
        (distribution's pull-through cache does): then what comes before the part is read too.

        Raises:
            TargetError: Not there, or the registry ignores ranges and the part is far behind.
        """
        wanted = {"Range": f"bytes={start}-{start + size_bytes - 1}"}
        response, data = self._session.fetch(
            f"/blobs/{digest}", expect={200, 206}, headers=wanted, cap_bytes=size_bytes
        )
        if response.status == 206 or start == 0:
            return data
        if start > _MOST_SKIPPED_BYTES:
            remedy = "copy the image first: carferry push docker://... oci:..."
            raise TargetError("read", self.ref, "the registry ignores ranges", remedy)
        part = bytearray()
        with closing(self.open_blob(digest, start)) as chunks:
            while len(part) < size_bytes and (chunk := next(chunks, b"")):
                part += chunk
        return bytes(part[:size_bytes])

    def open_blob(self, digest: Digest, start: int = 0) -> Generator[bytes]:
        """Yield the blob's bytes from offset ``start``; redirects to storage get no credentials.

        Raises:
            TargetError: Not there, or the connection broke.
        """
        wanted = {"Range": f"bytes={start}-"} if start else {}
        expect = {200, 206} if start else {200}
        response = self._session.call("GET", f"/blobs/{digest}", expect=expect, headers=wanted)
        # A registry that ignores the range sends the blob from its first byte.
        skip = start if response.status == 200 else 0
        try:
            while chunk := response.read(_CHUNK):
                if skip < len(chunk):
                    yield chunk[skip:]
                skip = max(0, skip - len(chunk))
        except (HTTPError, OSError) as error:
            raise unreachable("GET", self._session.base, error) from error
        finally:
            # If the reader left early, the rest of the blob is still on this connection.
            give_back(response)

    def mount(self, digest: Digest, origin: ImageRef | LayoutRef) -> bool:
        """Mount a blob from another repository of the same registry.

        A refusal is no failure, since the blob can be copied: many registries let no login mount,
        or give no token for two repositories. Who refused is not asked for every blob again.

        Raises:
            Unreachable: Nothing answered; a copy would not arrive either.
        """
        if not isinstance(origin, ImageRef) or origin.registry != self._session.ref.registry:
            return False
        if origin.repository == self._name or not self.mounts_from(origin):
            return False
        status = self._ask_to_mount(digest, origin.repository)
        if status == 201:
            self._declined.pop(origin.repository, None)
        else:
            once = status in {202, 400, 404}
            self._declined[origin.repository] += 1 if once else _MOST_DECLINED
        return status == 201

    def mounts_from(self, origin: ImageRef | LayoutRef) -> bool:
        """Return False once mounting from a repository was refused too often to ask again."""
        name = origin.repository if isinstance(origin, ImageRef) else ""
        return self._declined[name] < _MOST_DECLINED

    def _ask_to_mount(self, digest: Digest, repository: str) -> int:
        """Return the status of the answer; 0 if there was none that counts."""
        query = urlencode({"mount": str(digest), "from": repository})
        try:
            response = self._session.call(
                "POST",
                f"/blobs/uploads/?{query}",
                expect={201, 202},
                scopes=(f"repository:{repository}:pull",),
            )
        except TargetError as error:
            return error.status
        drain(response)
        if response.status == 202:
            # Not mounted: the registry opened an upload instead, which will not be used.
            location = self._session.located("/blobs/uploads/", response)
            RegistryUpload(self._session, location, 0, self.blob_size).cancel()
        return response.status

    def hurried(self, attempts: int) -> RegistryTarget:
        """Return the same repository, which is asked everything so often at most."""
        return RegistryTarget(self._session.hurried(attempts))

    def start_upload(self, size_bytes: int) -> RegistryUpload:
        """Open an upload.

        Raises:
            AuthenticationFailed: The login is refused.
            PushDenied: Logged in, but not allowed to push here.
        """
        response = self._session.call("POST", "/blobs/uploads/", expect={202})
        drain(response)
        location = self._session.located("/blobs/uploads/", response)
        if not location:
            raise TargetError("start an upload to", self.ref, "the registry gave no Location")
        return RegistryUpload(self._session, location, size_bytes, self.blob_size)

    def get_manifest(self, reference: str) -> Document | None:
        """Return the manifest or index at a tag or digest, or None.

        Raises:
            TargetError: Larger than 4 MiB, or other bytes than the digest asked for.
        """
        response, data = self._session.fetch(
            f"/manifests/{reference}",
            expect={200, 404},
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
            cap_bytes=MANIFEST_CAP_BYTES + 1,
        )
        if response.status == 404:
            return None
        self._session.check_document(data, "read manifest")
        media_type = response.headers.get("Content-Type", "").partition(";")[0]
        document = Document(media_type, data)
        if reference.startswith("sha256:") and str(document.digest) != reference:
            raise TargetError("read manifest", reference, f"the registry sent {document.digest}")
        announced = response.headers.get("Docker-Content-Digest", "").strip()
        # The digest of the body, if it is there (distribution-spec, "Pulling manifests").
        if _DIGEST.fullmatch(announced) and announced != str(document.digest):
            reason = f"the registry announced {announced} and sent {document.digest}"
            raise TargetError("read manifest", reference, reason, "is a proxy between?")
        return document

    def image(self) -> Document | None:
        """Return the manifest or index that this place's own reference names, or None."""
        return self.get_manifest(self.ref.reference)

    def put_manifest(self, document: Document, reference: str) -> None:
        """Write a manifest or index at a tag or at its own digest.

        Raises:
            TargetError: Refused. A 400 over digests is temporary: all of them are ours and right,
                but distribution reads the link of a blob that a rival build is just writing.
        """
        try:
            response = self._session.call(
                "PUT",
                f"/manifests/{reference}",
                expect={200, 201, 202},
                body=document.data,
                headers={"Content-Type": document.media_type},
                timeouts=self._session.timeouts.committing(_LOOKED_UP_BYTES),
            )
        except TargetError as error:
            error.temporary |= error.status == 400 and "DIGEST_INVALID" in error.reason
            raise
        drain(response)

    def delete_manifest(self, reference: str) -> bool:
        """Delete a tag; if only digests can be deleted, the manifest it names."""
        if self._delete(reference):
            return True
        document = self.get_manifest(reference)
        return document is None or self._delete(str(document.digest))

    def tags(self, prefix: str = "") -> list[str]:
        """Return the tags that start with ``prefix``, sorted; none if the repository is new.

        Raises:
            ListDenied: This login may not list them, or nobody may.
            TargetError: The list does not end.
        """
        return list_tags(self._session, prefix)

    def check_push(self) -> None:
        """Open an upload and drop it again."""
        self.start_upload(0).cancel()

    def location(self, digest: Digest) -> str:
        """Return ``host/repository@sha256:...``."""
        return str(self._session.ref.at(digest))

    def _delete(self, reference: str) -> bool:
        response = self._session.call(
            "DELETE",
            f"/manifests/{reference}",
            expect={200, 202, 204, 400, 403, 404, 405},
            scopes=self._session.deleting,
        )
        drain(response)
        return response.status in {200, 202, 204, 404}
