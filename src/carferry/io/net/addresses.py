"""Addresses that servers send to, proved to be some before anything is done with them.

A ``Location``, a ``Link`` or a realm is a stranger's text: urljoin, urlsplit and urllib3 raise
each its own error at brackets, ports and names, and some only when the address is used.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urljoin, urlsplit

from carferry.errors import Unreachable

_LONGEST = 16 * 1024
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?|[0-9a-f:.%]+")


def check_address(url: str, action: str = "reach") -> str:
    """Return an address that a request can go to.

    Raises:
        Unreachable: Of another protocol, or none at all; it is not tried again.
    """
    if reason := _fault(url):
        failure = Unreachable(action, ascii(url[:200]), reason, "ask who runs the server")
        failure.temporary = False
        raise failure
    return url


def joined(url: str, location: str) -> str:
    """Return the address that a ``Location`` means, seen from the address that answered it.

    Raises:
        Unreachable: As for ``check_address``.
    """
    try:
        found = urljoin(url, location)
    except ValueError:
        found = location
    return check_address(found, "follow a redirect to")


def _fault(url: str) -> str:
    if len(url) > _LONGEST:
        return f"an address of {len(url)} characters"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "no address: it holds what must be written in %"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return f"no address: {error}"
    if parts.scheme.lower() not in {"http", "https"}:
        return "neither http:// nor https://"
    if not _HOST.fullmatch(host) or ".." in host or any(len(n) > 63 for n in host.split(".")):
        return "no address: its host is no name"
    return "" if port is None or port else "no address: port 0"


def is_loopback(name: str) -> bool:
    """Say whether a host's name, without brackets and port, is this machine itself.

    Source: RFC 6761 (localhost and names below it), RFC 1122 (127.0.0.0/8), RFC 4291 (::1, and IPv4
    addresses in IPv6).
    """
    lower = name.lower().rstrip(".")
    if lower == "localhost" or lower.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(lower)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
