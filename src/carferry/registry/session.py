"""Requests to one repository of a registry: scheme, login, tokens, redirects, errors.

Credentials go to the registry's own host only; a ``Location`` or redirect elsewhere is followed
without them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self, TypeVar

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from carferry.errors import CarferryError, TargetError, Unreachable
from carferry.io.net.addresses import joined
from carferry.io.net.bodies import drain, give_back, whole
from carferry.io.net.http import Http, Timeouts, origin
from carferry.io.net.pace import TooSlow
from carferry.io.net.retry import Retry, Tries
from carferry.io.net.unreachable import root_of, words_of
from carferry.refs import ImageRef
from carferry.registry.answers import page_title
from carferry.registry.logins.auth import Authenticator, Sources
from carferry.registry.logins.login import Login
from carferry.registry.quirks import quirks_of
from carferry.registry.refusals import elsewhere_refused, refused

Result = TypeVar("Result")
_REDIRECTS = 5
# One for the first request of all, one for a token that ran out, one for a wider one.
_CHALLENGES = 3
# Its window is a second or a few; workers side by side may use up the next one as well.
_GRANTED = 3
# What storage says of a link that has run out or is not there: S3 and Azure 403, Google 400.
_NO_LINK = {400, 401, 403, 404, 410}
_HUB = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class _Request:
    """What is sent, perhaps several times."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    timeouts: Timeouts | None
    scopes: tuple[str, ...]
    at_once: bool


class Session:
    """Sends requests about one repository.

    Args:
        ref: The repository.
        login: Found login, or None.
        sources: Where more logins come from.
        http: Connection pool.
        plain_http: Speak HTTP, not HTTPS; chosen per host by the user.
        retry: Policy for requests that can simply be sent again.
        write: Whether tokens ask for push as well.
    """

    def __init__(
        self,
        ref: ImageRef,
        login: Login | None,
        *,
        sources: Sources | None = None,
        http: Http | None = None,
        plain_http: bool = False,
        retry: Retry | None = None,
        write: bool = True,
    ) -> None:
        self.ref = ref
        self._retry = retry or Retry()
        self._http = http or Http(retry=self._retry)
        self.quirks = quirks_of(ref.registry)
        self._reached = False
        scheme = "http" if plain_http else "https"
        self.base = f"{scheme}://{_HUB.get(ref.registry, ref.registry)}"
        self._auth = Authenticator(self._http, ref, login, url=self.base, sources=sources)
        self._api = f"{self.base}/v2/{ref.repository}"
        self._scope = f"repository:{ref.repository}:{'pull,push' if write else 'pull'}"

    @property
    def timeouts(self) -> Timeouts:
        """The limits of a usual request."""
        return self._http.timeouts

    def hurried(self, attempts: int) -> Self:
        """Return the same session, whose requests are tried so often at most.

        A registry that limits requests still gets the short pauses that it asks for.
        """
        other = copy.copy(self)
        most = min(attempts, self._retry.attempts)
        other._retry = replace(self._retry, attempts=most, first_tries=most, granted=_GRANTED)
        return other

    def tries(self, most: int) -> Tries:
        """Return the count of an operation that its caller tries at most so often."""
        return self._retry.tries(most)

    @property
    def half_of_all(self) -> int:
        """The tries after which what has failed so is tried once more."""
        return -(-self._retry.attempts // 2)

    @property
    def deleting(self) -> tuple[str, ...]:
        """The scope of a DELETE, asked for only there: many logins may push and not delete."""
        return (f"repository:{self.ref.repository}:delete",)

    def call(
        self,
        method: str,
        path: str,
        *,
        expect: Collection[int],
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeouts: Timeouts | None = None,
        scopes: tuple[str, ...] = (),
        once: bool = False,
        at_once: bool = False,
    ) -> BaseHTTPResponse:
        """Send a request that can be repeated and return a response of an expected status.

        Args:
            method: HTTP method.
            path: Below ``/v2/<repository>``, or the whole address of a ``Location``.
            expect: Statuses that are answers and not failures.
            headers: More headers.
            body: Whole body.
            timeouts: Limits of this request.
            scopes: More token scopes than this repository's own.
            once: Leave repeating to the caller.
            at_once: Do not wait although the registry has asked for a pause.

        Raises:
            TargetError: Any other status, in the registry's words.
            Unreachable: No answer.
        """
        asked = _Request(method, path, headers or {}, body, timeouts, scopes, at_once)

        def answer() -> tuple[BaseHTTPResponse, str]:
            response, sent, url = self._send(asked)
            refused = 0  # with a token: the first request of all carries none
            for _ in range(_CHALLENGES):
                if not self._challenged(response, scopes, sent, again=refused > 0):
                    break
                refused += bool(sent)
                drain(response)
                response, sent, url = self._send(asked)
            return response, url

        def attempt() -> BaseHTTPResponse:
            response, url = answer()
            refused_link = response.status in _NO_LINK - set(expect) and not self._own(url)
            if refused_link and body is None:
                # The link that the registry gave may have run out: it gives another one.
                drain(response)
                response, url = answer()
            return self._expected(method, response, expect, url)

        return attempt() if once else self._repeated(attempt)

    def fetch(
        self,
        path: str,
        *,
        expect: Collection[int],
        headers: Mapping[str, str] | None = None,
        cap_bytes: int,
    ) -> tuple[BaseHTTPResponse, bytes]:
        """GET a small document whole; one that breaks off is asked for again.

        Args:
            path: As for ``call``.
            expect: Statuses that are answers.
            headers: More headers.
            cap_bytes: Read no more than this.

        Returns:
            The response, its connection given back, and its body.
        """

        def attempt() -> tuple[BaseHTTPResponse, bytes]:
            response = self.call("GET", path, expect=expect, headers=headers, once=True)
            try:
                return response, whole(response, cap_bytes, within_s=self.timeouts.read_s)
            except (HTTPError, OSError) as error:
                cause = root_of(error)
                reason = f"a document broke off: {words_of(cause)}"
                failure = TargetError(
                    "read", self.ref, reason, "is its network or disk overloaded?"
                )
                # One that drips for a minute would do so again, and take as long.
                failure.temporary = not isinstance(cause, TooSlow)
                raise failure from error
            finally:
                give_back(response)

        return self._repeated(attempt)

    def stream(
        self, path: str, chunks: Iterable[bytes], *, start: int, end: int, expect: Collection[int]
    ) -> BaseHTTPResponse:
        """PATCH a body of known length; never repeated here, since the bytes are gone.

        Args:
            path: The upload's Location.
            chunks: Bytes from offset ``start`` to ``end``.
            start: 0 for a whole blob; else the offset the registry gave, stated as a range.
            end: The blob's length.
            expect: Statuses of success.

        Raises:
            TargetError: Refused; ``temporary`` if a new upload may work.
            Unreachable: The connection broke.
        """
        url = self._url(path)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(end - start),
            **({"Content-Range": f"{start}-{end - 1}"} if start else {}),
            **self._authorization(url, ()),
        }
        response = self._http.request(
            "PATCH", url, headers=headers, body=chunks, timeouts=self.timeouts.sending
        )
        # The token ran out between POST and PATCH: the next upload asks for a new one.
        sent = headers.get("Authorization", "") if self._own(url) else None
        self._challenged(response, (), sent, again=False)
        return self._expected("PATCH", response, expect, url)

    def located(self, path: str, response: BaseHTTPResponse) -> str:
        """Return the address in ``Location``, which may be relative to the request's; or "".

        Args:
            path: What was asked for.
            response: Its answer.

        Raises:
            Unreachable: No request can go there.
        """
        location = response.headers.get("Location", "")
        return joined(self._url(path), location) if location else ""

    def check_document(self, data: bytes, action: str) -> None:
        """Refuse a web page, which no registry sends: a login page stands before it.

        Raises:
            TargetError: It is one.
        """
        if title := page_title(data):
            registry = self.ref.registry
            reason = f"{registry} answered with a web page: {title}"
            remedy = f"is {registry} the registry's own address, or is a login page before it?"
            raise TargetError(action, self.ref, reason, remedy)

    def _repeated(self, attempt: Callable[[], Result]) -> Result:
        return self._retry.call(attempt, first=lambda: not self._reached)

    def _send(self, asked: _Request) -> tuple[BaseHTTPResponse, str | None, str]:
        """Return the answer, the ``Authorization`` it is to and who gave it.

        Another host is sent no ``Authorization``: None.
        """
        url = self._url(asked.path)
        for _ in range(_REDIRECTS):
            login = self._authorization(url, asked.scopes)
            try:
                response = self._http.request(
                    asked.method,
                    url,
                    headers={**asked.headers, **login},
                    body=asked.body,
                    timeouts=asked.timeouts,
                    at_once=asked.at_once,
                )
            except Unreachable as error:
                if not self._own(url):
                    error.reason += f" ({self.ref.registry} sends on to it)"
                raise
            self._reached = True
            location = response.headers.get("Location")
            if response.status not in {301, 302, 303, 307, 308} or not location:
                own = self._own(url)
                return response, login.get("Authorization", "") if own else None, url
            drain(response)
            url = joined(url, location)
        raise TargetError("reach", self.ref, f"more than {_REDIRECTS} redirects")

    def _challenged(
        self,
        response: BaseHTTPResponse,
        scopes: tuple[str, ...],
        sent: str | None,
        *,
        again: bool,
    ) -> bool:
        """Tell whether the registry asks for a login, and another try with one makes sense."""
        # A challenge of another host must not be answered with this registry's login.
        if response.status != 401 or sent is None:
            return False
        headers = response.headers.getlist("WWW-Authenticate")
        if not headers and not sent:
            # Some say only here what they want (gcr.io; Docker asks here first of all).
            asked = self._http.request("GET", f"{self.base}/v2/")
            headers = asked.headers.getlist("WWW-Authenticate")
            drain(asked)
        try:
            return self._auth.challenged(headers, (self._scope, *scopes), sent, again=again)
        except CarferryError:
            drain(response)
            raise

    def _url(self, path: str) -> str:
        return path if path.startswith(("http://", "https://")) else self._api + path

    def _authorization(self, url: str, scopes: tuple[str, ...]) -> dict[str, str]:
        return self._auth.header((self._scope, *scopes)) if self._own(url) else {}

    def _own(self, url: str) -> bool:
        return origin(url) == origin(self.base)

    def _expected(
        self,
        method: str,
        response: BaseHTTPResponse,
        expect: Collection[int],
        url: str,
    ) -> BaseHTTPResponse:
        if response.status in expect:
            return response
        if not self._own(url):
            raise elsewhere_refused(method, response, self.ref, origin(url))
        login, known = self._auth.login, self._auth.known
        raise refused(method, response, self.ref, login=login, known=known)
