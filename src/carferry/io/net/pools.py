"""Connection pools: each host by its own trust and through the proxy that is meant for it."""

from __future__ import annotations

import ssl
import threading
from typing import Any

import urllib3

from carferry.io.net.pace import paced
from carferry.io.net.proxies import Proxy, proxy_for
from carferry.io.net.trust import Trust

_HTTPS = 443


class Pools:
    """Pools that are made when they are needed, and then kept.

    Args:
        trust: Whose certificates are believed.
        settings: Of urllib3's pool managers.

    Raises:
        InputError: What is named to trust cannot be used.
    """

    def __init__(self, trust: Trust, **settings: Any) -> None:
        self._trust = trust
        self._settings = settings
        self._shared = trust.context()
        self._made: dict[tuple[Proxy | None, str], urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def through(self, url: str) -> tuple[urllib3.PoolManager, Proxy | None]:
        """Return the pool for a URL, and the proxy that it goes through.

        Raises:
            InputError: A proxy, or a host's own certificates, that cannot be used.
        """
        proxy, host = proxy_for(url), urllib3.util.parse_url(url)
        name, port = (host.host or "").strip("[]"), host.port or _HTTPS
        own = host.scheme == "https" and self._trust.is_special(name, port)
        key = proxy, f"{name}:{port}" if own else ""
        with self._lock:
            if key not in self._made:
                context = self._trust.context(name, port) if own else self._shared
                self._made[key] = open_pool(context, proxy, self._shared, **self._settings)
            return self._made[key], proxy


def open_pool(
    context: ssl.SSLContext,
    proxy: Proxy | None = None,
    proxys: ssl.SSLContext | None = None,
    **settings: Any,
) -> urllib3.PoolManager:
    """Return one pool manager.

    Args:
        context: Verifies the hosts.
        proxy: What every request goes through; None: nothing.
        proxys: Verifies the proxy itself, if it speaks TLS.
        settings: Of urllib3's pool managers.
    """
    if proxy is None:
        return paced(urllib3.PoolManager(ssl_context=context, **settings))
    through = urllib3.ProxyManager(
        proxy.url,
        proxy_headers=proxy.headers,
        proxy_ssl_context=proxys or context,
        ssl_context=context,
        **settings,
    )
    return paced(through)
