"""HTTP as carferry needs it: streamed bodies, no hidden retries, no hidden redirects.

urllib3 underneath, because it is already installed by kubernetes and kfp, streams both
ways, and can leave retries to the layer that knows which bytes were sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from carferry.io.net.addresses import check_address
from carferry.io.net.bodies import in_pieces
from carferry.io.net.certificates import Named
from carferry.io.net.pools import Pools
from carferry.io.net.retry import Retry
from carferry.io.net.trust import Trust
from carferry.io.net.unreachable import answered
from carferry.io.net.unreachable import unreachable as unreachable

CONNECT_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 60.0
# Registries hash or copy the whole blob again before they answer the last PUT.
COMMIT_TIMEOUT_S = 1800.0
# Slower than any storage that could take a model; a blob of 35 GB gets all of that time.
_COMMITTED_BYTES_PER_S = 20_000_000
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
    """Connections that trust the same certificates and follow the same rule for proxies.

    Args:
        ca_file: File or folder of PEM certificates to trust, beside all that ``io/trust.py`` finds.
        more: Others that only these hosts are trusted by, as a profile's.
        timeouts: Limits for every request that names none of its own.
        connections: Connections kept per host; one per parallel upload and download.
        retry: Where hosts that ask to be left alone are noted; share it with all who ask them.

    Raises:
        InputError: Certificates that are named and cannot be read.
    """

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        more: tuple[Named, ...] = (),
        timeouts: Timeouts | None = None,
        connections: int = 16,
        retry: Retry | None = None,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        self._retry = retry or Retry()
        agent = {"User-Agent": "carferry"}
        trust = Trust(ca_file, more)
        self._pools = Pools(trust, maxsize=connections, retries=False, headers=agent)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        timeouts: Timeouts | None = None,
        at_once: bool = False,
    ) -> BaseHTTPResponse:
        """Send one request and return the response with its body unread.

        A body that is an iterable is sent as it comes; give ``Content-Length`` with it.
        A host that has asked for a pause gets it before anything is sent, from every thread, unless
        the request has to be sent ``at_once``, on the way out.

        Raises:
            Unreachable: Nothing answered, the connection broke, or TLS or a proxy refused.
            Cancelled: The policy's ``stop`` was set during such a pause.
            InputError: The proxy that is named cannot be used.
        """
        check_address(url)
        if not at_once:
            self._retry.admit(url)
        pool, proxy = self._pools.through(url)
        try:
            response = pool.request(
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
        self._retry.heard(url, response.status, response.headers)
        if proxy and (failure := answered(proxy, url, response.status, response.headers)):
            response.close()
            raise failure
        return response


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: what credentials are kept to."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    return scheme, host, parts.port or _PORTS.get(scheme, 0)
