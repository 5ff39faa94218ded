"""Which token server may see a login: the realm of a challenge, and who vouches for it.

What names the realm decides where a password goes, so it must come from the registry itself: over
TLS, or from this machine. A challenge that came in clear over a network may be anybody's.
Source: docs/adr/0033-where-logins-go.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from carferry.io.net.addresses import is_loopback
from carferry.registry.logins.login import Login

Elsewhere = Callable[[str, bool], Login | None]
"""Returns the login for another host, given the host and whether it is reached by TLS."""
_ADDRESS = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_TLS_REMEDY = (
    "the registry must name one with https (Gitea: ROOT_URL, Harbor: external_url); "
    "for a registry without TLS pass --plain-http HOST"
)


class NotThere(Exception):
    """A login must not go to a realm; its texts are the reason and the remedy."""

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason, self.remedy = reason, remedy
        super().__init__(reason, remedy)


@dataclass(frozen=True, slots=True)
class Place:
    """Whom an address speaks to.

    Attributes:
        url: The address.
        host: In lower case, without its port.
        location: Host and port, as a login file names them.
        tls: Whether by TLS.
    """

    url: str
    host: str
    location: str
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Self | None:
        """Return the place of an absolute http address, or None for any other text."""
        if not _ADDRESS.fullmatch(url):
            return None
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return None
        if not host or parts.username is not None:
            return None
        shown = f"[{host}]" if ":" in host else host
        location = f"{shown}:{port}" if port else shown
        return cls(url, host, location, parts.scheme.lower() == "https")

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine, whose traffic nobody on a network can change."""
        return is_loopback(self.host)


def check_realm(
    realm: Place, registry: Place, login: Login | None, elsewhere: Elsewhere | None
) -> None:
    """Refuse a token server that must not see the registry's login; without one any may be asked.

    Args:
        realm: Where the token server is.
        registry: Who named it.
        login: For the registry.
        elsewhere: Finds a login for the realm's own host. The user vouches for a host who gives it
            the same login.

    Raises:
        NotThere: The login must not go there.
    """
    if not login or _vouched(realm, registry):
        return
    if not realm.tls and registry.tls:
        raise NotThere(
            f"its token server, {realm.location}, would take the login without TLS", _TLS_REMEDY
        )
    if elsewhere and elsewhere(realm.location, realm.tls) == login:
        return
    raise NotThere(
        f"it names a token server on another host, {realm.location}, and without TLS anybody on "
        "the way may have said so",
        f"reach the registry by TLS, or give {realm.location} the same login in the login file",
    )


def _vouched(realm: Place, registry: Place) -> bool:
    """Tell whether the registry itself, and nobody on the way, sends the login there, unread."""
    if realm.tls:
        return registry.tls or registry.loopback or realm.host == registry.host
    # In clear it may go where it goes in clear already.
    nearby = realm.loopback and registry.loopback
    return not registry.tls and (nearby or realm.host == registry.host)
