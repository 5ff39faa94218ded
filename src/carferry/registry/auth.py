"""Authentication with a registry: Basic, and Bearer tokens fetched per scope.

A token is fetched before the request that needs it and never sent to any host but the
registry's. Source: distribution-spec and the Docker registry token specification.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from urllib3.response import BaseHTTPResponse

from carferry.errors import AuthenticationFailed
from carferry.io.addresses import check_address
from carferry.io.bodies import body_text
from carferry.io.documents import parsed_object
from carferry.io.http import Http
from carferry.refs import ImageRef
from carferry.registry.credentials import Login
from carferry.registry.refusals import login_remedy

_DEFAULT_LIFE_S = 60.0
# Refresh this long before the end: a request must not outlive its token at the start.
_MARGIN_S = 10.0
# What a header line can carry; a line break in it would begin another.
_TOKEN = re.compile(r"[!-~]+")
_PARAMETER = re.compile(r'([a-zA-Z_]+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry asks for in ``WWW-Authenticate``."""

    scheme: str
    realm: str = ""
    service: str = ""

    @classmethod
    def parse(cls, header: str) -> Challenge:
        """Parse the header; an unknown scheme is kept by its name."""
        scheme, _, rest = header.strip().partition(" ")
        values = dict(_PARAMETER.findall(rest))
        return cls(scheme.lower(), values.get("realm", ""), values.get("service", ""))


class Authenticator:
    """Gives the ``Authorization`` header for each request to one registry.

    Args:
        http: Pool for token requests.
        ref: Repository that is read and written.
        login: Looked-up login, or None for anonymous.
        plain_http: The registry itself is spoken to without TLS.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        http: Http,
        ref: ImageRef,
        login: Login | None,
        *,
        plain_http: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._ref = ref
        self._login = login
        self._plain_http = plain_http
        self._clock = clock
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def challenged(self, header: str) -> None:
        """Remember what the registry asked for; forget tokens it no longer takes."""
        with self._lock:
            self._challenge = Challenge.parse(header)
            self._tokens.clear()

    def header(self, scopes: tuple[str, ...]) -> dict[str, str]:
        """Return the header for a request that needs these scopes; empty before a challenge.

        Raises:
            AuthenticationFailed: The token server refused the login.
        """
        challenge = self._challenge
        if challenge is None:
            return {}
        if challenge.scheme == "basic":
            return {"Authorization": self._login.basic} if self._login else {}
        if challenge.scheme != "bearer" or not challenge.realm:
            raise self._refused(f"it asks for {challenge.scheme!r} authentication", 401)
        if self._login and not self._plain_http and not challenge.realm.startswith("https://"):
            raise self._refused("its token server would take the login without TLS", 401)
        check_address(challenge.realm, "log in at")
        return {"Authorization": f"Bearer {self._token(challenge, scopes)}"}

    def _token(self, challenge: Challenge, scopes: tuple[str, ...]) -> str:
        with self._lock:
            token, until = self._tokens.get(scopes, ("", 0.0))
            if not token or self._clock() > until:
                token, life_s = self._fetch(challenge, scopes)
                self._tokens[scopes] = (token, self._clock() + max(0.0, life_s - _MARGIN_S))
        return token

    def _fetch(self, challenge: Challenge, scopes: tuple[str, ...]) -> tuple[str, float]:
        response = self._ask(challenge, scopes)
        text = body_text(response)
        if response.status != 200:
            raise self._refused(f"its token server answered {response.status}", response.status)
        try:
            data = parsed_object(text)
            token = str(data.get("token") or data["access_token"])
            if not _TOKEN.fullmatch(token):
                raise ValueError("a token that no header can carry")
            return token, float(data.get("expires_in") or _DEFAULT_LIFE_S)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise self._refused("its token server sent no token", 200) from error

    def _ask(self, challenge: Challenge, scopes: tuple[str, ...]) -> BaseHTTPResponse:
        query = [("service", challenge.service)] if challenge.service else []
        query += [("scope", scope) for scope in scopes]
        if self._login and self._login.identity_token:
            form = [
                *query[:1],
                ("scope", " ".join(scopes)),
                ("grant_type", "refresh_token"),
                ("client_id", "carferry"),
                ("refresh_token", self._login.identity_token),
            ]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._http.request(
                "POST", challenge.realm, headers=headers, body=urlencode(form).encode()
            )
        headers = {"Authorization": self._login.basic} if self._login else {}
        joint = "&" if urlsplit(challenge.realm).query else "?"
        return self._http.request(
            "GET", challenge.realm + joint + urlencode(query), headers=headers
        )

    def _refused(self, reason: str, status: int) -> AuthenticationFailed:
        failure = AuthenticationFailed(
            "log in to",
            self._ref.registry,
            reason,
            login_remedy(logged_in=self._login is not None),
            status=status,
        )
        failure.temporary = status == 429 or status >= 500
        return failure
