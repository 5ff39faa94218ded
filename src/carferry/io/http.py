"""HTTP as carferry needs it: streamed bodies, no hidden retries, no hidden redirects.

urllib3 underneath, because it is already installed by kubernetes and kfp, streams both
ways, and can leave retries to the layer that knows which bytes were sent.
"""

from __future__ import annotations

import functools
import os
import ssl
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, SSLError
from urllib3.response import BaseHTTPResponse

from carferry.errors import InputError, Unreachable
from carferry.io.retry import Retry

CONNECT_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 60.0
# Registries hash or copy the whole blob again before they answer the last PUT.
COMMIT_TIMEOUT_S = 1800.0
# Slower than any storage that could take a model; a blob of 35 GB gets all of that time.
_COMMITTED_BYTES_PER_S = 20_000_000
CERTS_D = Path("/etc/containers/certs.d")
_BODY_CAP = 64 * 1024
_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to connect, to wait for the next byte, and at most to wait for a closed upload."""

    connect_s: float = CONNECT_TIMEOUT_S
    read_s: float = READ_TIMEOUT_S
    commit_s: float = COMMIT_TIMEOUT_S

    def committing(self, size_bytes: int) -> Timeouts:
        """Return the limits of a request whose answer takes as long as reading bytes again."""
        wanted_s = self.read_s + size_bytes / _COMMITTED_BYTES_PER_S
        return replace(self, read_s=min(wanted_s, max(self.read_s, self.commit_s)))

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
        retry: Where hosts that ask to be left alone are noted; share it with all who ask them.
    """

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        timeouts: Timeouts | None = None,
        connections: int = 16,
        retry: Retry | None = None,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        self._retry = retry or Retry()
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
        A host that has asked for a pause gets it before anything is sent, from every thread.

        Raises:
            Unreachable: Nothing answered, the connection broke, or TLS was refused.
            Cancelled: The policy's ``stop`` was set during such a pause.
        """
        self._retry.admit(url)
        try:
            response = self._pool(_proxy_of(url)).request(
                method,
                url,
                headers={"User-Agent": "carferry", **(headers or {})},
                body=body,
                timeout=(timeouts or self.timeouts).for_urllib3(),
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
        except (HTTPError, OSError) as error:
            raise unreachable(method, url, error) from error
        self._retry.heard(url, response.status, response.headers)
        return response

    def _pool(self, proxy: str) -> urllib3.PoolManager:
        with self._lock:
            if proxy not in self._pools:
                kind = partial(urllib3.ProxyManager, proxy) if proxy else urllib3.PoolManager
                self._pools[proxy] = kind(**self._settings)
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
    failure = Unreachable("reach", host, f"{method} failed: {_words(cause)}", "is the host right?")
    # An address that no client can ask, such as ftp://, stays one.
    failure.temporary = not isinstance(error, LocationValueError)
    return failure


def body_text(response: BaseHTTPResponse) -> str:
    """Read at most 64 KiB of an error body and let the connection go."""
    try:
        data = response.read(_BODY_CAP)
    except (HTTPError, OSError):
        data = b""
    response.close()
    return (data or b"").decode("utf-8", "replace")


def whole(response: BaseHTTPResponse, cap_bytes: int) -> bytes:
    """Read a body to its end, or to the cap.

    A single read returns what came before the connection ended; only the next one says that
    more was promised.

    Raises:
        HTTPError: It broke off (also OSError).
    """
    data = b""
    while len(data) < cap_bytes and (more := response.read(cap_bytes - len(data))):
        data += more
    return data


def drain(response: BaseHTTPResponse) -> None:
    """Read what is left of a small body so that the connection can be used again."""
    try:
        response.read(_BODY_CAP)
    except (HTTPError, OSError):
        response.close()
    give_back(response)


def give_back(response: BaseHTTPResponse) -> None:
    """Return the connection to its pool, or close it if bytes of the body are still to come."""
    remaining = getattr(response, "length_remaining", None)
    if remaining is None or remaining > 0:
        response.close()
    else:
        response.release_conn()


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
