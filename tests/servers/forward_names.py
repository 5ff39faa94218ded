"""A plugin of proxy.py: names that only the proxy can resolve, so that who gets there went through.

Runs in the proxy's process, see ``servers.forward``.
"""

from __future__ import annotations

from proxy.http.proxy import HttpProxyBasePlugin

INSIDE = ".site.test"


class Names(HttpProxyBasePlugin):
    """Every name of the site is this machine; no other is known."""

    def resolve_dns(self, host: str, port: int) -> tuple[str | None, None]:
        return ("127.0.0.1" if host.endswith(INSIDE) else None), None
