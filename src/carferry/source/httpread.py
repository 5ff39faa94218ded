"""Reading one file over HTTP to its last byte, whatever the connection does on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from carferry.errors import CarferryError, SourceChanged, SourceDenied, SourceError
from carferry.io.net.addresses import joined
from carferry.io.net.bodies import drain, give_back
from carferry.io.net.http import Http, origin
from carferry.io.net.pauses import retry_after
from carferry.io.net.retry import Retry
from carferry.source.redirects import Redirects
from carferry.source.snapshot import SourceFile

CHUNK = 1024 * 1024
_REDIRECTS = 5


class RangeReader:
    """Yields a file's bytes in order; after a break it asks for the rest by Range.

    Args:
        http: Connection pool.
        url: First address; redirects are followed afresh on every reopen, since signed
            addresses expire.
        file: What the bytes must be; only its length is enforced here, its hash by the reader's
            caller, who sees every byte anyway.
        headers: Called for each request to the first host; never sent to another.
        retry: Policy; its count starts again after every byte of progress.
        redirects: What is known of the repository's redirects; they are learned and used.
    """

    def __init__(
        self,
        http: Http,
        url: str,
        file: SourceFile,
        *,
        headers: Callable[[], dict[str, str]],
        retry: Retry,
        redirects: Redirects | None = None,
    ) -> None:
        self._http = http
        self._url = url
        self._file = file
        self._headers = headers
        self._retry = retry
        self._redirects = redirects or Redirects()
        self._is_direct = True
        self._etag = ""

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield bytes ``start`` to ``stop``, which is the end unless given.

        Raises:
            SourceChanged: Another length or etag than before.
            SourceError: Broken more often in a row than the policy allows.
        """
        end = self._file.size_bytes if stop is None else stop
        return resumed(self._once, start, end, self._retry)

    def _once(self, at: int, end: int) -> Iterator[bytes]:
        response = self._open(at, end)
        try:
            left = end - self._skip(response, at, end)
            while left > 0:
                self._retry.check()
                chunk = response.read(min(CHUNK, left))
                if not chunk:
                    raise self._broken("it ended early")
                left -= len(chunk)
                yield chunk
        except (HTTPError, OSError) as error:
            raise self._broken(str(error) or type(error).__name__) from error
        finally:
            # A response read to its end has already given its connection back.
            give_back(response)

    def _open(self, at: int, end: int) -> BaseHTTPResponse:
        return self._open_directly(at, end) or self._open_by_redirects(at, end)

    def _open_directly(self, at: int, end: int) -> BaseHTTPResponse | None:
        """Ask where the redirect would lead; None unless this very file is there."""
        url = self._redirects.guess(self._file, self._url) if self._is_direct else ""
        if not url:
            return None
        self._is_direct = False  # until it has answered: the next try asks the hub for the way
        response = self._http.request("GET", url, headers=self._request_headers(url, at, end))
        etag = _etag(response)
        if response.status in {200, 206} and etag == self._file.content.hex:
            self._is_direct = True
            self._check(response, etag)
            return response
        if response.status == 429 or response.status >= 500:
            self._check(response, "")
        drain(response)
        self._redirects.refused()
        return None

    def _open_by_redirects(self, at: int, end: int) -> BaseHTTPResponse:
        url, etag = self._url, ""
        for _ in range(_REDIRECTS):
            response = self._http.request("GET", url, headers=self._request_headers(url, at, end))
            etag = etag or _etag(response)
            location = response.headers.get("Location")
            if response.status not in {301, 302, 303, 307, 308} or not location:
                self._check(response, etag)
                if url != self._url and origin(url) == origin(self._url):
                    self._redirects.learn(self._file, self._url, url)
                return response
            drain(response)
            url = joined(url, location)
        raise SourceError("read", self._file.path, f"more than {_REDIRECTS} redirects")

    def _request_headers(self, url: str, at: int, end: int) -> dict[str, str]:
        own = origin(url) == origin(self._url)
        headers = self._headers() if own else {}
        # identity: a gzipped answer would have another length and no ranges.
        headers["Accept-Encoding"] = "identity"
        if end < self._file.size_bytes:
            headers["Range"] = f"bytes={at}-{end - 1}"
        elif at:
            headers["Range"] = f"bytes={at}-"
        return headers

    def _check(self, response: BaseHTTPResponse, etag: str) -> None:
        if response.status in {401, 403}:
            raise self._closed(
                response,
                SourceDenied(
                    "read",
                    self._file.path,
                    f"the hub refused it ({response.status})",
                    "check HF_TOKEN and that its account has access",
                ),
            )
        if response.status not in {200, 206}:
            failure = SourceError("read", self._file.path, f"the hub answered {response.status}")
            failure.temporary = response.status in {408, 416, 429} or response.status >= 500
            failure.retry_after_s = retry_after(response.headers)
            raise self._closed(response, failure)
        if self._etag and etag and etag != self._etag:
            raise self._closed(
                response,
                SourceChanged("read", self._file.path, "its etag changed between two requests"),
            )
        self._etag = self._etag or etag

    def _skip(self, response: BaseHTTPResponse, at: int, end: int) -> int:
        """Advance the response to offset ``at``: a server may answer a Range with the whole."""
        if response.status == 206:
            self._check_range(response, at, end)
            return at
        length = response.headers.get("Content-Length")
        if length is not None and length != str(self._file.size_bytes):
            raise SourceChanged(
                "read",
                self._file.path,
                f"{length} bytes long, the snapshot says {self._file.size_bytes}",
            )
        skipped = 0
        while skipped < at:
            self._retry.check()
            chunk = response.read(min(CHUNK, at - skipped))
            if not chunk:
                raise self._broken("it ended early")
            skipped += len(chunk)
        return at

    def _check_range(self, response: BaseHTTPResponse, at: int, end: int) -> None:
        expected = f"bytes {at}-{end - 1}/{self._file.size_bytes}"
        found = response.headers.get("Content-Range", "")
        if found != expected:
            raise SourceChanged(
                "read", self._file.path, f"asked for {expected}, was given {found or 'no range'}"
            )

    def _broken(self, reason: str) -> SourceError:
        failure = SourceError("read", self._file.path, f"the connection broke: {reason}")
        failure.temporary = True
        return failure

    @staticmethod
    def _closed(response: BaseHTTPResponse, error: CarferryError) -> CarferryError:
        response.close()
        return error


def resumed(
    once: Callable[[int, int], Iterator[bytes]], start: int, end: int, retry: Retry
) -> Iterator[bytes]:
    """Yield bytes ``start`` to ``end``; after a break go on at the byte it broke at.

    Args:
        once: Reads from one offset to another, and may break anywhere between.
        start: First byte.
        end: The one behind the last.
        retry: Policy; its count starts again after every byte of progress.
    """
    at, tries = start, retry.tries()
    while at < end:
        try:
            for chunk in once(at, end):
                at += len(chunk)
                tries.progressed()
                yield chunk
        except CarferryError as error:
            tries.again(error)


def _etag(response: BaseHTTPResponse) -> str:
    headers = response.headers
    tag = headers.get("X-Linked-ETag") or headers.get("ETag") or ""
    return tag.removeprefix("W/").strip('"')
