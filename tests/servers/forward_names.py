"""A plugin of proxy.py: names that only the proxy can resolve, so that who gets there went through.

Runs in the proxy's process, see ``servers.forward``.
"""

from __future__ import annotations

import os

from proxy.http.parser import HttpParser
from proxy.http.proxy import HttpProxyBasePlugin

INSIDE = ".site.test"
DOOR = "CARFERRY_TEST_DOOR"


class Names(HttpProxyBasePlugin):
    """Every name of the site is this machine; no other is known."""

    def resolve_dns(self, host: str, port: int) -> tuple[str | None, None]:
        return ("127.0.0.1" if host.endswith(INSIDE) else None), None


class Door(HttpProxyBasePlugin):
    """Every name's port 443 is one port of this machine, whose server goes by the name."""

    def before_upstream_connection(self, request: HttpParser) -> HttpParser:
        if request.port == 443:
            request.port = int(os.environ[DOOR])
        return request

    def resolve_dns(self, host: str, port: int) -> tuple[str | None, None]:
        return "127.0.0.1", None
