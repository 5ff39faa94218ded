"""One blob on its way into a registry: POST, one PATCH of exact length, PUT with the digest.

That is the shape podman and Docker use, without ``Content-Range``, hence the one every registry is
tested with. A small blob whose digest is known comes with the PUT, as containerd and ORAS send
it. Source: OCI distribution-spec v1.1, "Pushing a blob monolithically: POST then PUT".
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

from urllib3.response import BaseHTTPResponse

from carferry.errors import CarferryError, PushDenied, TargetError
from carferry.io.net.bodies import drain
from carferry.io.net.http import Timeouts
from carferry.refs import Digest
from carferry.registry.session import Session

# The upload is gone, or not at the offset that the registry stated; 400 says that other bytes
# arrived than were hashed here, by a wrong offset or by a fault on the way.
_LOST = {400, 404, 416}
_COMMIT_TRIES = 3
_CANCEL_TRIES = 3
_LONG_S = 600.0
# Whoever cancels is on the way out, perhaps since the registry does not answer.
_CANCELLING = Timeouts(connect_s=3.0, read_s=3.0)
# "0-0" means none or one byte, and Quay says "bytes=0--1" for none: not worth guessing.
_RANGE = re.compile(r"(?:bytes=)?0-([1-9][0-9]{0,17})")


class RegistryUpload:
    """One upload session.

    Args:
        session: Authenticated access to the registry.
        location: Where the registry wants the bytes.
        size_bytes: How many will come.
        blob_size: Returns the length of a blob in the repository, or None.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        session: Session,
        location: str,
        size_bytes: int,
        blob_size: Callable[[Digest], int | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._blob_size = blob_size
        self._location = location
        self._size_bytes = size_bytes
        self._clock = clock
        self._lost = False

    def send(self, chunks: Iterable[bytes], start: int = 0) -> None:
        """Send all bytes from ``start`` on in one PATCH; nothing if all are there.

        Raises:
            TargetError: The registry refused or broke off; ``temporary`` says which.
            Unreachable: The connection broke.
        """
        if start >= self._size_bytes:
            return
        try:
            response = self._session.stream(
                self._location, chunks, start=start, end=self._size_bytes, expect={201, 202, 204}
            )
        except TargetError as error:
            self._mark_lost(error)
            raise
        drain(response)
        self._follow(response)

    def offset(self) -> int | None:
        """Return how many bytes of a broken upload have arrived; None if the registry does not say.

        What it says is proved by the digest it checks at the end: a wrong offset costs one
        more upload, never a wrong blob.
        """
        if self._lost or not self._session.quirks.proves_offset:
            return None
        try:
            response = self._asked()
        except CarferryError:
            return None
        found = _RANGE.fullmatch(response.headers.get("Range", ""))
        return int(found[1]) + 1 if found else None

    def put(self, data: bytes, digest: Digest) -> None:
        """Send a whole blob with the request that closes the upload.

        Raises:
            TargetError: As for ``commit``.
        """
        self._close(digest, data)

    def commit(self, digest: Digest) -> None:
        """Close the upload under its digest; an unclear answer is settled by asking for the blob.

        If it is not there, the PUT itself was lost, or the registry is still at work behind
        a gateway that did not wait for it: a few more tries are cheaper than another upload.

        All tries together get the time of one: a registry that has read the blob for half an hour
        and says nothing is not at work any more.

        Raises:
            TargetError: Refused, or not there afterwards.
        """
        self._close(digest, b"")

    def _close(self, digest: Digest, body: bytes) -> None:
        joint = "&" if urlsplit(self._location).query else "?"
        url = f"{self._location}{joint}{urlencode({'digest': str(digest)})}"
        granted_s = self._session.timeouts.committing(self._size_bytes).read_s
        until = self._clock() + granted_s
        try:
            self._put_again(url, body, digest, until)
        except CarferryError as error:
            if self._clock() >= until and granted_s > _LONG_S:
                # One more upload may come through; a third would cost all of this time again.
                error.tries = max(error.tries, self._session.half_of_all)
            raise

    def _put_again(self, url: str, body: bytes, digest: Digest, until: float) -> None:
        tries = self._session.tries(_COMMIT_TRIES)
        while True:
            try:
                self._put(url, body, max(self._session.timeouts.read_s, until - self._clock()))
                return
            except CarferryError as error:
                unclear = error.temporary or tries.count > 0
                if unclear and self._blob_size(digest) == self._size_bytes:
                    return
                self._mark_lost(error)
                if self._lost:
                    error.tries += tries.count
                    raise
                tries.again(error)

    def cancel(self) -> None:
        """Ask the registry to forget the upload; it will in time anyway.

        Distribution 3 refuses with 416 what is addressed by another length than has arrived, as
        after a break; asked for the upload it gives the right address. Distribution 2.8 does
        not, and keeps the bytes until it purges old uploads.
        """
        if not self._location:
            return
        with contextlib.suppress(CarferryError):
            for _ in range(_CANCEL_TRIES):
                if self._forgotten():
                    return
                self._asked(_CANCELLING)

    def _forgotten(self) -> bool:
        """Send a DELETE and return whether another address cannot change the answer."""
        try:
            status = self._deleted(self._session.deleting)
        except PushDenied:
            # Who gives no token for deleting; most registries want no more than the right to push.
            status = self._deleted(())
        return status != 416

    def _deleted(self, scopes: tuple[str, ...]) -> int:
        response = self._session.call(
            "DELETE",
            self._location,
            expect=set(range(200, 500)),
            scopes=scopes,
            timeouts=_CANCELLING,
            once=True,
            at_once=True,
        )
        drain(response)
        return response.status

    def _asked(self, timeouts: Timeouts | None = None) -> BaseHTTPResponse:
        """Ask for the upload's state, and take the address it gives."""
        response = self._session.call(
            "GET",
            self._location,
            expect={204},
            timeouts=timeouts,
            once=True,
            at_once=timeouts is not None,
        )
        drain(response)
        self._follow(response)
        return response

    def _put(self, url: str, body: bytes, read_s: float) -> None:
        drain(
            self._session.call(
                "PUT",
                url,
                expect={201, 204},
                headers={"Content-Type": "application/octet-stream"} if body else None,
                body=body,
                timeouts=replace(self._session.timeouts, read_s=read_s),
                once=True,
            )
        )

    def _mark_lost(self, error: CarferryError) -> None:
        """Mark a lost upload, and its error as temporary: the next upload may well succeed."""
        if isinstance(error, TargetError) and error.status in _LOST:
            self._lost = error.temporary = True

    def _follow(self, response: BaseHTTPResponse) -> None:
        self._location = self._session.located(self._location, response) or self._location
