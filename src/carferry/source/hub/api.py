"""The hub's HTTP API as far as it is needed here: a model's information, its files, one file.

Mirrors answer it in part, under a path, behind a login page, or send elsewhere; huggingface_hub
takes what it is told on trust, forwards the token to the public hub, and follows a page's link
to any host. Here a token goes to the endpoint's own origin and nowhere else.
Source: https://huggingface.co/docs/hub/api; pages by ``Link`` (RFC 8288).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from carferry.errors import (
    CarferryError,
    SourceDenied,
    SourceError,
    SourceNotFound,
    Unreachable,
)
from carferry.io.documents import NotJson, parsed
from carferry.io.net.addresses import joined
from carferry.io.net.bodies import drain, whole
from carferry.io.net.http import Http, origin, unreachable
from carferry.io.net.links import next_link
from carferry.io.net.pauses import retry_after
from carferry.io.net.retry import Retry
from carferry.refs import ModelRef
from carferry.source.hub.login import Endpoint
from carferry.source.hub.names import folder_hint, owner_hint
from carferry.source.paths import check_count

Row = dict[str, Any]
# A page of 1000 rows is 1 or 2 MB; as objects it takes ten times as much memory.
_CAP_BYTES = 64 * 1024 * 1024
_REDIRECTS = 5
_MOVED = {301, 302, 303, 307, 308}
_NO_SUCH_QUESTION = {400, 404, 405, 410, 501}


class HubApi:
    """Asks one hub; what fails for the moment is asked again.

    Args:
        endpoint: Its address and login.
        http: Connection pool.
        retry: How often.
    """

    def __init__(self, endpoint: Endpoint, http: Http, retry: Retry) -> None:
        self.endpoint = endpoint
        self._http = http
        self._retry = retry
        self._reached = False

    def info(self, ref: ModelRef, *, blobs: bool = False) -> Row:
        """Return what the hub says of a repository at a revision.

        Args:
            ref: Repository and revision.
            blobs: Whether each sibling comes with its size and ids.

        Raises:
            SourceNotFound: No such repository or revision.
            SourceDenied: The token does not open it.
            SourceError: The hub failed, or answered something else.
        """
        url = self.endpoint.api(ref.repo, "revision", ref.revision)
        try:
            found, _ = self._json(f"{url}?blobs=true" if blobs else url, ref)
        except NotAsked as error:
            if error.status != 404:
                raise
            remedy = _hint(ref.repo) or "check the name and HF_ENDPOINT"
            reason = f"{self.endpoint.url} has no such repository or revision (404)"
            raise SourceNotFound("resolve", ref, reason, remedy) from error
        if not isinstance(found, dict):
            raise self._no_api(ref, "its answer is no JSON object")
        return found

    def tree(self, ref: ModelRef, commit: str) -> list[Row] | None:
        """Return the entries of a commit, all pages; None from a mirror that lists no trees.

        Raises:
            SourceError: The hub failed.
        """
        url, rows = self.endpoint.api(ref.repo, "tree", commit), list[Row]()
        query, seen = urlencode({"recursive": "true"}), set[str]()
        while query and query not in seen:
            seen.add(query)
            try:
                page, query = self._json(f"{url}?{query}", ref)
            except NotAsked:
                if rows:
                    raise
                return None
            if not isinstance(page, list) or not all(isinstance(row, dict) for row in page):
                return None
            rows += page
            check_count(ref, len(rows))
        return rows

    def head(self, ref: ModelRef, revision: str, path: str) -> Mapping[str, str]:
        """Return what a file's own headers say, the hub's before those of where it sends.

        Raises:
            SourceNotFound: It is not there.
            SourceDenied: The token does not open it.
            SourceError: The hub failed.
        """
        url = self.endpoint.file(ref.repo, revision, path)
        return self._retry.call(lambda: self._head(url, ref), first=lambda: not self._reached)

    def _head(self, url: str, ref: ModelRef) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for _ in range(_REDIRECTS):
            own = origin(url) == origin(self.endpoint.url)
            response = self._request("HEAD", url, ref)
            drain(response)
            if response.status >= 400:
                if own:
                    raise self._refusal(ref, response)
                return found
            for name, value in response.headers.items():
                found.setdefault(name.lower(), value)
            location = response.headers.get("Location", "")
            if response.status not in _MOVED or not location or "x-linked-etag" in found:
                return found
            # Neither is the file's: both are of an answer that sends elsewhere.
            found.pop("content-length", None)
            url = _joined(url, location, ref)
        return found

    def _json(self, url: str, ref: ModelRef) -> tuple[Any, str]:
        """Return a document, and the query of its next page."""
        return self._retry.call(lambda: self._once(url, ref), first=lambda: not self._reached)

    def _once(self, url: str, ref: ModelRef) -> tuple[Any, str]:
        response = self._followed(url, ref)
        if response.status != 200:
            drain(response)
            raise self._refusal(ref, response)
        try:
            body = whole(response, _CAP_BYTES, within_s=self._http.timeouts.read_s)
        except (HTTPError, OSError) as error:
            raise self._lost(ref, unreachable("GET", url, error)) from error
        drain(response)
        try:
            document = parsed(body)
        except NotJson as error:
            page = body.lstrip()[:1] == b"<"
            reason = "it answered a web page" if page else "its answer is no JSON"
            raise self._no_api(ref, reason) from error
        return document, _query_of(next_link(response.headers.get("Link", "")))

    def _followed(self, url: str, ref: ModelRef) -> BaseHTTPResponse:
        for _ in range(_REDIRECTS):
            response = self._request("GET", url, ref)
            location = response.headers.get("Location", "")
            if response.status not in _MOVED or not location:
                return response
            drain(response)
            url = _joined(url, location, ref)
        raise SourceError("resolve", ref, f"more than {_REDIRECTS} redirects", "check HF_ENDPOINT")

    def _request(self, method: str, url: str, ref: ModelRef) -> BaseHTTPResponse:
        own = origin(url) == origin(self.endpoint.url)
        headers = self.endpoint.headers() if own else {}
        try:
            response = self._http.request(
                method, url, headers=headers | {"Accept-Encoding": "identity"}
            )
        except Unreachable as error:
            raise self._lost(ref, error) from error
        self._reached = True
        return response

    def _lost(self, ref: ModelRef, error: Unreachable) -> Unreachable:
        told = not error.temporary or "proxy" in error.reason  # and not the network in general
        remedy = error.remedy if told else "check the network, HF_ENDPOINT or HTTPS_PROXY"
        reason = f"{error.subject}: {error.reason}"
        lost = Unreachable("reach the hub for", ref, reason, folder_hint(ref.repo) or remedy)
        lost.temporary = error.temporary
        return lost

    def _no_api(self, ref: ModelRef, reason: str) -> SourceError:
        remedy = "check HF_ENDPOINT; a mirror behind a login page wants HF_TOKEN"
        return NotAsked("resolve", ref, f"{self.endpoint.url} is no hub: {reason}", remedy)

    def _refusal(self, ref: ModelRef, response: BaseHTTPResponse) -> CarferryError:
        """Return the error for an answer; the code says more than the status, which is often 401.

        Source: the hub's headers ``X-Error-Code`` and ``X-Error-Message``.
        """
        code, status = response.headers.get("X-Error-Code", ""), response.status
        told = response.headers.get("X-Error-Message", "")
        if code == "GatedRepo":
            whose = "this token has no access" if self.endpoint.headers() else "no token was given"
            reason = f"the repository is gated and {whose}"
            remedy = "accept its terms on the hub and set HF_TOKEN to a token of that account"
            return SourceDenied("read", ref, reason, remedy)
        if code == "RevisionNotFound":
            reason = "no such branch, tag or commit"
            return SourceNotFound("resolve", ref, reason, "check --revision")
        if code == "EntryNotFound":
            return SourceNotFound("read", ref, "a listed file is not there")
        bad_token = told == "Invalid credentials in Authorization header"
        if code == "RepoNotFound" or (status == 401 and not bad_token):
            reason = "no such repository, or it is private and the token does not open it"
            remedy = _hint(ref.repo) or "check the name; for a private one set HF_TOKEN"
            return SourceNotFound("resolve", ref, reason, remedy)
        if status in {401, 403}:
            reason = f"the hub refused the token ({status})"
            return SourceDenied("read", ref, reason, "set HF_TOKEN to a valid token")
        return self._failed(ref, status, retry_after(response.headers))

    def _failed(self, ref: ModelRef, status: int, retry_after_s: float) -> SourceError:
        kind = NotAsked if status in _NO_SUCH_QUESTION else SourceError
        remedy = "the hub or a proxy before it is failing: try again later" if status >= 500 else ""
        failure = kind("resolve", ref, f"the hub answered {status}", remedy)
        if isinstance(failure, NotAsked):
            failure.status = status
        else:
            failure.temporary = status in {408, 429} or status >= 500
        failure.retry_after_s = retry_after_s
        return failure


def _hint(repo: str) -> str:
    return folder_hint(repo) or owner_hint(repo)


def _joined(url: str, location: str, ref: ModelRef) -> str:
    try:
        return joined(url, location)
    except Unreachable as error:
        reason = f"it sends to what is no address: {location[:200]!a}"
        raise SourceError("resolve", ref, reason, "check HF_ENDPOINT") from error


def _query_of(address: str) -> str:
    try:
        return urlsplit(address).query
    except ValueError:  # brackets of no address
        return ""


class NotAsked(SourceError):
    """The server knows no such question: it is a mirror that has part of the API, or no hub.

    Attributes:
        status: What it answered; 200 for something that is no answer of a hub.
    """

    status: int = 200
