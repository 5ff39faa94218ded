"""Authentication with a registry: Basic, and Bearer tokens fetched per scope.

A token is fetched before the request that needs it and never sent to any host but the
registry's. Source: distribution-spec and the Docker registry token specification.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from carferry.errors import AuthenticationFailed, TargetError
from carferry.io.net.http import Http
from carferry.refs import ImageRef
from carferry.registry.logins.challenges import Challenge, parse_challenges
from carferry.registry.logins.login import Login
from carferry.registry.logins.realms import Elsewhere, NotThere, Place, check_realm
from carferry.registry.logins.tokens import Token, TokenServer

# Refresh this long before the end: a request must not outlive its token at the start.
_MARGIN_S = 10.0
_SCOPE = re.compile(r"([a-z]+(?:\([a-z]+\))?:[A-Za-z0-9._:/-]+):([a-z*,]+)")
# Statuses by which a token server says that a login is not, or no longer, good.
_NO_GOOD = {400, 401, 403}


class _Fixed(Enum):
    """What every request carries where no token server has a say."""

    BASIC = auto()
    REGISTRY_TOKEN = auto()


@dataclass(frozen=True, slots=True)
class Sources:
    """Where logins come from, beside the one that was found at first.

    Attributes:
        again: Looks the login up anew: helpers give short-lived ones, and mounted Secrets change.
        elsewhere: Returns the login for another host.
    """

    again: Callable[[], Login | None] | None = None
    elsewhere: Elsewhere | None = None


class Authenticator:
    """Gives the ``Authorization`` header for each request to one registry.

    Args:
        http: Pool for token requests.
        ref: Repository that is read and written.
        login: Looked-up login, or None for anonymous.
        url: The registry's own address, which says whether by TLS.
        sources: Where more logins come from.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        http: Http,
        ref: ImageRef,
        login: Login | None,
        *,
        url: str = "",
        sources: Sources | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._ref = ref
        self.login = login
        self._registry = Place.parse(url or f"https://{ref.registry}")
        self._sources = sources or Sources()
        self._clock = clock
        self.known = False
        """Whether a token server has taken the login."""
        self._offered: tuple[Challenge, ...] = ()
        self._way: TokenServer | _Fixed | None = None
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}
        # Many requests need the same: accounts get locked by a wrong password sent a hundred times.
        self._refused: dict[tuple[str, ...], TargetError] = {}
        self._wider: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._lock = threading.RLock()

    def challenged(
        self,
        headers: Sequence[str],
        scopes: tuple[str, ...] = (),
        sent: str = "",
        *,
        again: bool = False,
    ) -> bool:
        """Take in what the registry asks for and return whether another try makes sense.

        Args:
            headers: Each ``WWW-Authenticate`` of its 401.
            scopes: What the refused request needed.
            sent: Its ``Authorization``; empty if there was none.
            again: Whether the request was refused before, so that its token was a new one.

        Raises:
            AuthenticationFailed: It asks for what carferry cannot do, or sends the login where
                it must not go.
        """
        offered = parse_challenges(headers)
        with self._lock:
            if offered:
                self._offered, self._way = offered, self._chosen(offered)
            elif self._way is None and self.login:
                raise self._failed("it wants a login and does not say of which kind")
            if isinstance(self._way, TokenServer):
                self._forget(sent)
                return self._widened(offered, scopes) or not again
            value = self._fixed()
            return bool(value) and (sent != value or self._renewed())

    def header(self, scopes: tuple[str, ...]) -> dict[str, str]:
        """Return the header for a request that needs these scopes; empty before a challenge.

        Raises:
            AuthenticationFailed: The token server refused the login.
            PushDenied: It took the login and refused these scopes.
        """
        value, until = self._tokens.get(scopes, ("", 0.0))
        if value and self._clock() <= until:  # whoever has one need not wait for who asks
            return {"Authorization": f"Bearer {value}"}
        with self._lock:
            if isinstance(self._way, TokenServer):
                return {"Authorization": f"Bearer {self._token(self._way, scopes)}"}
            value = self._fixed()
        return {"Authorization": value} if value else {}

    def _chosen(self, offered: Sequence[Challenge]) -> TokenServer | _Fixed:
        """Return the way to log in: Bearer if that can be done, else Basic."""
        bearer = [each for each in offered if each.scheme == "bearer"]
        if bearer and self.login and self.login.registry_token:
            return _Fixed.REGISTRY_TOKEN
        problems = []
        for each in bearer:
            try:
                return TokenServer(self._http, self._realm(each), each["service"], self._ref)
            except NotThere as problem:
                problems.append(problem)
        if any(each.scheme == "basic" for each in offered):
            if not self.login or self.login.basic:
                return _Fixed.BASIC
            problems.append(NotThere("it wants a password, and the login is a token", ""))
        if problems:
            raise self._failed(problems[0].reason, problems[0].remedy)
        names = ", ".join(repr(each.scheme[:40]) for each in offered)
        raise self._failed(f"it asks for {names}; carferry knows Bearer and Basic alone")

    def _realm(self, challenge: Challenge) -> Place:
        place = Place.parse(challenge["realm"])
        if place is None:
            raise NotThere("it names no address of a token server", "")
        if self._registry:
            check_realm(place, self._registry, self.login, self._sources.elsewhere)
        return place

    def _fixed(self) -> str:
        if not self.login or not isinstance(self._way, _Fixed):
            return ""
        if self._way is _Fixed.BASIC:
            return self.login.basic
        return f"Bearer {self.login.registry_token}"

    def _token(self, server: TokenServer, scopes: tuple[str, ...]) -> str:
        value, until = self._tokens.get(scopes, ("", 0.0))
        if not value or self._clock() > until:
            token = self._asked_once(server, (*scopes, *self._wider.get(scopes, ())))
            value = token.value
            self._tokens[scopes] = value, self._clock() + token.life_s - _MARGIN_S
        return value

    def _asked_once(self, server: TokenServer, scopes: tuple[str, ...]) -> Token:
        if scopes in self._refused:
            raise self._refused[scopes]
        try:
            return self._asked(server, scopes)
        except TargetError as error:
            if error.status in _NO_GOOD and not error.temporary:
                self._refused[scopes] = error
            raise

    def _asked(self, server: TokenServer, scopes: tuple[str, ...]) -> Token:
        try:
            token = server.ask(self.login, scopes)
        except TargetError as error:
            if error.status not in _NO_GOOD or not self._renewed():
                raise
            # With another login another server may be the one to ask.
            if not isinstance(self._way, TokenServer):
                raise
            token = self._way.ask(self.login, scopes)
        self.known = self.login is not None
        if self.login and self.login.identity_token and token.identity_token:
            self.login = replace(self.login, identity_token=token.identity_token)
        return token

    def _renewed(self) -> bool:
        """Look the login up anew, and return whether it is another one."""
        found = self._sources.again() if self._sources.again else None
        if not found or found == self.login:
            return False
        self.login = found
        self._refused.clear()
        self._way = self._chosen(self._offered)
        return True

    def _forget(self, sent: str) -> None:
        """Forget the token that was refused; one that came meanwhile stays."""
        kept = {key: each for key, each in self._tokens.items() if f"Bearer {each[0]}" != sent}
        self._tokens = kept

    def _widened(self, offered: Sequence[Challenge], scopes: tuple[str, ...]) -> bool:
        """Ask for more from now on, if the registry says what is not enough.

        Source: RFC 6750, section 3.1; containers/image does the same.
        """
        asked = (*scopes, *self._wider.get(scopes, ()))
        wanted = [
            scope
            for each in offered
            if each["error"] == "insufficient_scope"
            for scope in each["scope"].split()
            if _SCOPE.fullmatch(scope) and not _covered(scope, asked)
        ]
        if wanted:
            self._wider[scopes] = (*self._wider.get(scopes, ()), *wanted)
            self._tokens.pop(scopes, None)
        return bool(wanted)

    def _failed(self, reason: str, remedy: str = "") -> AuthenticationFailed:
        return AuthenticationFailed("log in to", self._ref.registry, reason, remedy, status=401)


def _covered(scope: str, asked: Sequence[str]) -> bool:
    """Tell whether a scope's actions were asked for already."""
    name, _, actions = scope.rpartition(":")
    had = {
        action
        for each in asked
        if each.rpartition(":")[0] == name
        for action in each.rpartition(":")[2].split(",")
    }
    return had >= set(actions.split(","))
