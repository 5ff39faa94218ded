"""Which proxy a request goes through, by one rule for hub, registry, S3 and cluster.

Clients disagree on the variables; this is the union of what curl, Go and requests agree on where
they agree, and the more careful one where they do not (docs/adr/0036-one-trust-one-proxy-rule.md).
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import getproxies, proxy_bypass

from carferry.errors import InputError
from carferry.io.net.addresses import is_loopback

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>.*))?")
_PORTS = {"http": 80, "https": 443}
_IN_CLUSTER = ("svc", "cluster.local")
_SYSTEM = "the settings of this system"
_EXAMPLE = "write http://host:port, with a login user:password@host:port"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, the login to it, and who named it.

    Attributes:
        url: ``http://host:port`` or ``https://host:port``, without the login.
        named_by: The variable, or the file, that says so.
        authorization: Value of ``Proxy-Authorization``; empty without a login; never shown.
    """

    url: str
    named_by: str
    authorization: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Return address and variable, the login masked."""
        scheme, _, place = self.url.partition("://")
        login = "***@" if self.authorization else ""
        return f"{scheme}://{login}{place} ({self.named_by})"

    @classmethod
    def parse(cls, text: str, named_by: str) -> Proxy:
        """Parse what a variable holds: an address, with or without scheme, login and port.

        Raises:
            InputError: It is none, or SOCKS; the text, which may hold a password, is not repeated.
        """
        text = text.strip()
        found = _SCHEME.match(text)
        scheme = found[1].lower() if found else "http"
        if scheme not in _PORTS:
            raise _refused(named_by, *_no_http(scheme, named_by))
        # Up to the last @: a password that is not escaped may hold others, and slashes.
        login, at, place = text[found.end() if found else 0 :].rpartition("@")
        match = _HOST.fullmatch(place.split("/", 1)[0])
        if match is None:
            raise _refused(named_by, "no host and port in it", _EXAMPLE)
        port = _port(match["port"], scheme)
        if not 0 < port < 65536:
            raise _refused(named_by, f"no port: {match['port'][:20]!a}", "use 1 to 65535")
        host = f"[{match['v6']}]" if match["v6"] else match["name"].lower()
        return cls(f"{scheme}://{host}:{port}", named_by, _basic(login) if at else "")

    @property
    def headers(self) -> dict[str, str]:
        """The headers that are for the proxy alone."""
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}


def proxy_for(url: str, environ: Mapping[str, str] = os.environ) -> Proxy | None:
    """Return the proxy that a request goes through, or None.

    ``HTTPS_PROXY`` or ``HTTP_PROXY`` by the scheme of the URL, else ``ALL_PROXY``; lower case
    first, where an empty one means none. Not this machine, not what ``NO_PROXY`` lists, and in a
    pod not what is in the cluster.

    Raises:
        InputError: The variable that applies names no proxy that can be used.
    """
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower().rstrip(".")
    if not host or is_loopback(host) or _is_in_cluster(host, environ):
        return None
    named_by, text = _named(scheme, environ)
    if not text or is_excepted(host, parts.port or _PORTS.get(scheme, 0), _exceptions(environ)):
        return None
    if named_by == _SYSTEM and proxy_bypass(host):
        return None
    return Proxy.parse(text, named_by)


def is_excepted(host: str, port: int, entries: Iterable[str]) -> bool:
    """Return whether a host is one that ``NO_PROXY`` lists.

    Entries are ``*``, a name with all below it (``svc``, ``.svc``, ``*.svc``), a pattern
    (``10.*``), an address or a range (``10.0.0.0/8``, ``fd00::/8``), each with a port or without.
    A range counts for addresses only: no name is looked up.

    Args:
        host: In lower case.
        port: Of the request.
        entries: As the variable has them.
    """
    return any(_matches(host, port, entry) for entry in entries)


def _matches(host: str, port: int, entry: str) -> bool:
    name, wanted = _split(_SCHEME.sub("", entry.lower()).rstrip("/"))
    if wanted and wanted != str(port):
        return False
    name = name.rstrip(".")
    address = _address(host)
    if address is not None:
        return _covers(name, address) or fnmatchcase(host, name)
    suffix = name.removeprefix("*").lstrip(".")
    if name == "*":
        return True
    if "*" in suffix:
        return fnmatchcase(host, name)
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))


def _split(entry: str) -> tuple[str, str]:
    """Return an entry's host and its port; ``fd00::1`` has none."""
    if entry.startswith("["):
        host, _, port = entry[1:].partition("]")
        return host, port.removeprefix(":")
    host, mark, port = entry.rpartition(":")
    return (host, port) if mark and ":" not in host and port.isdigit() else (entry, "")


def _covers(text: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _is_in_cluster(host: str, environ: Mapping[str, str]) -> bool:
    """Return whether a pod asks for its own cluster: a proxy outside could not find the way."""
    api = environ.get("KUBERNETES_SERVICE_HOST", "").strip("[]").lower()
    if not api:
        return False
    # A name without a dot is a service of the same project.
    short = "." not in host and ":" not in host
    return host == api or short or is_excepted(host, 0, _IN_CLUSTER)


def _named(scheme: str, environ: Mapping[str, str]) -> tuple[str, str]:
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    for name in names:
        if name == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
            continue  # of a CGI script: whoever sends it the header Proxy sets this one
        text = environ.get(name)
        if text is not None and (text.strip() or name.islower()):
            return name, text.strip()
    if sys.platform in ("darwin", "win32"):
        return _SYSTEM, getproxies().get(scheme, "")
    return "", ""


def _exceptions(environ: Mapping[str, str]) -> list[str]:
    text = environ.get("no_proxy", environ.get("NO_PROXY", ""))
    return text.replace(",", " ").split()


def _port(text: str | None, scheme: str) -> int:
    if not text:
        return _PORTS[scheme]
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0


def _basic(login: str) -> str:
    user, _, password = login.partition(":")
    pair = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return f"Basic {base64.b64encode(pair).decode()}"


def _no_http(scheme: str, named_by: str) -> tuple[str, str]:
    if scheme.startswith("socks"):
        remedy = f"name an HTTP proxy in {named_by}, or unset it for carferry"
        return f"{scheme}:// is a SOCKS proxy, and only HTTP proxies are spoken to", remedy
    return f"{scheme[:20]}:// is no proxy that is spoken to", _EXAMPLE


def _refused(named_by: str, reason: str, remedy: str) -> InputError:
    return InputError("use the proxy of", named_by, reason, remedy)
