"""HTTP as carferry needs it: streamed bodies, no hidden retries, no hidden redirects.

urllib3 underneath, because it is already installed by kubernetes and kfp, streams both
ways, and can leave retries to the layer that knows which bytes were sent.
"""

from __future__ import annotations

import functools
import os
import re
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, SSLError
from urllib3.response import BaseHTTPResponse

from carferry.errors import InputError, Unreachable
from carferry.io.addresses import check_address
from carferry.io.bodies import in_pieces
from carferry.io.pace import paced

CONNECT_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 60.0
# Registries hash or copy the whole blob again before they answer the last PUT.
COMMIT_TIMEOUT_S = 1800.0
CERTS_D = Path("/etc/containers/certs.d")
_USED_UP = re.compile(r";\s*r=0\s*;\s*t=(\d{1,9})\b")
_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to connect, to wait for the next byte, and for a registry to close an upload."""

    connect_s: float = CONNECT_TIMEOUT_S
    read_s: float = READ_TIMEOUT_S
    commit_s: float = COMMIT_TIMEOUT_S

    @property
    def committing(self) -> Timeouts:
        """The limits of a request whose answer takes as long as reading the blob again."""
        return replace(self, read_s=self.commit_s)

    @property
    def sending(self) -> Timeouts:
        """The limits of a request with a long body.

        urllib3 gives every write the time it has to connect, but a registry that writes
        behind may hold a sender up much longer than that.
        """
        return replace(self, connect_s=max(self.connect_s, self.read_s))

    def for_urllib3(self) -> urllib3.Timeout:
        """Return the same limits as urllib3 wants them."""
        return urllib3.Timeout(connect=self.connect_s, read=self.read_s)


class Http:
    """A connection pool with one set of trusted certificates.

    Args:
        ca_file: Extra PEM bundle to trust, beside the system's and ``SSL_CERT_FILE``.
        timeouts: Limits for every request that names none of its own.
        connections: Connections kept per host; one per parallel upload and download.
    """

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        timeouts: Timeouts | None = None,
        connections: int = 16,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        self._settings: dict[str, Any] = {
            "maxsize": connections,
            "retries": False,
            "ssl_context": _tls_context(ca_file),
            "headers": {"User-Agent": "carferry"},
        }
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        timeouts: Timeouts | None = None,
    ) -> BaseHTTPResponse:
        """Send one request and return the response with its body unread.

        A body that is an iterable is sent as it comes; give ``Content-Length`` with it.

        Raises:
            Unreachable: Nothing answered, the connection broke, or TLS was refused.
        """
        check_address(url)
        try:
            return self._pool(_proxy_of(url)).request(
                method,
                url,
                headers={"User-Agent": "carferry", **(headers or {})},
                body=body if body is None or isinstance(body, bytes) else in_pieces(body),
                timeout=(timeouts or self.timeouts).for_urllib3(),
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
        except (HTTPError, OSError) as error:
            raise unreachable(method, url, error) from error

    def _pool(self, proxy: str) -> urllib3.PoolManager:
        with self._lock:
            if proxy not in self._pools:
                kind = partial(urllib3.ProxyManager, proxy) if proxy else urllib3.PoolManager
                self._pools[proxy] = paced(kind(**self._settings))
            return self._pools[proxy]


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: what credentials are kept to."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    return scheme, host, parts.port or _PORTS.get(scheme, 0)


def _proxy_of(url: str) -> str:
    """Return the proxy for a URL, as HTTPS_PROXY, HTTP_PROXY and NO_PROXY say; mostly none."""
    scheme, host, port = origin(url)
    return "" if proxy_bypass(f"{host}:{port}") else getproxies().get(scheme, "")


def unreachable(method: str, url: str, error: Exception) -> Unreachable:
    """Turn a connection failure into one line that names the host and the likely remedy."""
    host = urllib3.util.parse_url(url).netloc or url
    cause = _root(error)
    if isinstance(cause, (ssl.SSLCertVerificationError, SSLError)) or "CERTIFICATE" in str(cause):
        failure = Unreachable(
            "connect to",
            host,
            f"its certificate is not trusted ({cause})",
            "pass --ca FILE, set SSL_CERT_FILE, or put it in /etc/containers/certs.d",
        )
        failure.temporary = False
        return failure
    if isinstance(cause, ssl.SSLError):
        failure = Unreachable(
            "connect to", host, f"no TLS there ({cause})", "for plain HTTP pass --plain-http HOST"
        )
        # What answers in another protocol will do so again; a handshake that broke may go through.
        failure.temporary = cause.reason not in _NOT_TLS
        return failure
    return Unreachable("reach", host, f"{method} failed: {_words(cause)}", "is the host right?")


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds a server asks to wait; 0 if it does not say.

    Source: RFC 9110, section 10.2.3: seconds, or a date; draft-ietf-httpapi-ratelimit-headers,
    in which the public hub says when its window of five minutes ends.
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,18}", text):
        return float(text)
    if not text and (used_up := _USED_UP.search(headers.get("RateLimit", ""))):
        return float(used_up[1])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    named = [Path(path) for path in (os.environ.get("SSL_CERT_FILE"), ca_file) if path]
    bundles = [*named, *sorted(CERTS_D.glob("*/*.crt"))]
    return _trusting(tuple((bundle, _stamp(bundle)) for bundle in bundles))


@functools.lru_cache(maxsize=8)
def _trusting(bundles: tuple[tuple[Path, tuple[int, int]], ...]) -> ssl.SSLContext:
    """Return one context for all who trust the same files: parsing the system's takes a while."""
    context = ssl.create_default_context()
    for bundle, _ in bundles:
        try:
            context.load_verify_locations(cafile=str(bundle))
        except OSError as error:
            raise _unreadable(bundle, error) from error
    return context


def _stamp(bundle: Path) -> tuple[int, int]:
    """Return what changes when a file is replaced."""
    try:
        status = bundle.stat()
    except OSError as error:
        raise _unreadable(bundle, error) from error
    return status.st_mtime_ns, status.st_size


def _unreadable(bundle: Path, error: OSError) -> InputError:
    return InputError("read certificates", bundle, error.strerror or str(error), "give a PEM file")


def _root(error: BaseException) -> BaseException:
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _root(reason)
    for inner in error.args:
        if isinstance(inner, BaseException):
            return _root(inner)
    return error


def _words(cause: BaseException) -> str:
    text = str(cause).strip()
    return text if text else type(cause).__name__
