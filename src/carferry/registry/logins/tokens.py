"""Asking a token server for a token: with a user and password, an identity token, or neither.

Source: the distribution project's specifications of token authentication (``spec/auth/token``)
and of OAuth2 (``spec/auth/oauth``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from urllib3.response import BaseHTTPResponse

from carferry.errors import AuthenticationFailed, TargetError
from carferry.io.documents import parsed_object
from carferry.io.net.addresses import joined
from carferry.io.net.bodies import body_text, drain
from carferry.io.net.http import Http
from carferry.io.net.pauses import retry_after
from carferry.refs import ImageRef
from carferry.registry.answers import read_answer
from carferry.registry.logins.denials import denied, login_remedy
from carferry.registry.logins.login import Login
from carferry.registry.logins.realms import Place

# Where a server says nothing, or zero (the specification's default).
_USUAL_LIFE_S = 60.0
# What a header line can carry; a line break in it would begin another.
_TOKEN = re.compile(r"[!-~]+")
_REDIRECTS = 3
_MOVED = {301, 302, 303, 307, 308}


@dataclass(frozen=True, slots=True)
class Token:
    """What a token server gave.

    Attributes:
        value: For the registry.
        life_s: Seconds it is good for.
        identity_token: To ask with from now on; empty if the old one stays.
    """

    value: str = field(repr=False)
    life_s: float
    identity_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TokenServer:
    """A token server as a challenge names it.

    Attributes:
        http: Pool for the requests.
        realm: Where it is.
        service: What it knows the registry as.
        ref: The repository, for messages.
    """

    http: Http
    realm: Place
    service: str
    ref: ImageRef

    def ask(self, login: Login | None, scopes: tuple[str, ...]) -> Token:
        """Return a token for these scopes; it may be good for less.

        Raises:
            AuthenticationFailed: The login is refused, or what came is no token.
            PushDenied: The login may not do this.
        """
        response = self._send(login, scopes)
        text = body_text(response)
        if response.status != 200:
            raise self._refused(response, str(read_answer(text)), login, scopes)
        try:
            return _parsed(text)
        except (ValueError, TypeError, AttributeError, RecursionError):
            # Not even as a cause: an error of the parser holds what was read.
            raise self._failure("its token server sent no token", login, 200) from None

    def _send(self, login: Login | None, scopes: tuple[str, ...]) -> BaseHTTPResponse:
        if login and login.identity_token:
            return self._follow("POST", self.realm.url, {}, self._form(login, scopes))
        query = [("service", self.service)] if self.service else []
        query += [("scope", scope) for scope in scopes]
        joint = "&" if urlsplit(self.realm.url).query else "?"
        url = self.realm.url.partition("#")[0] + joint + urlencode(query)
        headers = {"Authorization": login.basic} if login and login.basic else {}
        return self._follow("GET", url, headers, None)

    def _form(self, login: Login, scopes: tuple[str, ...]) -> bytes:
        form = {
            "grant_type": "refresh_token",
            "service": self.service,
            "client_id": "carferry",
            "scope": " ".join(scopes),
            "refresh_token": login.identity_token,
        }
        return urlencode(form).encode()

    def _follow(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> BaseHTTPResponse:
        """Send a request, and again where the server moved to on its own host."""
        if body is not None:
            headers = headers | {"Content-Type": "application/x-www-form-urlencoded"}
        for _ in range(_REDIRECTS):
            response = self.http.request(method, url, headers=headers, body=body)
            location = response.headers.get("Location")
            if response.status not in _MOVED or not location:
                break
            drain(response)
            url = joined(url, location)
            place = Place.parse(url)
            if place is None or place.host != self.realm.host or place.tls < self.realm.tls:
                raise self._failure("its token server sends the login on to another", None, 200)
        return response

    def _refused(
        self, response: BaseHTTPResponse, words: str, login: Login | None, scopes: tuple[str, ...]
    ) -> TargetError:
        status = response.status
        reason = f"its token server said {words or 'nothing more'} ({status})"
        if status == 403 and login:
            pushes = any("push" in scope.rpartition(":")[2] for scope in scopes)
            return denied("push" if pushes else "pull", self.ref, reason, login, status)
        failure = self._failure(reason, login, status)
        failure.temporary = status in {408, 429} or status >= 500
        failure.retry_after_s = retry_after(response.headers)
        return failure

    def _failure(self, reason: str, login: Login | None, status: int) -> AuthenticationFailed:
        remedy = login_remedy(login) if status >= 400 else "is the token server healthy?"
        return AuthenticationFailed("log in to", self.ref.registry, reason, remedy, status=status)


def _parsed(text: str) -> Token:
    data = parsed_object(text)
    value = data.get("token") or data.get("access_token")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError("no token that a header can carry")
    life = data.get("expires_in")
    identity = data.get("refresh_token")
    return Token(
        value,
        float(life) if isinstance(life, int | float) and life > 0 else _USUAL_LIFE_S,
        identity if isinstance(identity, str) else "",
    )
