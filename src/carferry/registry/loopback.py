"""Registries of this machine: spoken to without TLS where they know none.

A registry for trying things listens on ``localhost`` and has no certificate; docker and the Go
clients need no flag for it. Nobody else can listen there, so a login is as safe as with TLS. A
registry that does speak TLS there is asked by TLS, and its certificate is checked as any other.
"""

from __future__ import annotations

import re
import socket
import ssl

from carferry.io.net.addresses import is_loopback

_PATIENCE_S = 2.0
_QUESTION = "GET /v2/ HTTP/1.1\r\nHost: {}\r\nUser-Agent: carferry\r\nConnection: close\r\n\r\n"
# Neither a redirect, nor "this port wants TLS" (400), nor "upgrade" (426).
_ITS_OWN = re.compile(rb"HTTP/1\.[01] (?!400|426)[245]\d\d\b")


def is_of_this_machine(host: str) -> bool:
    """Say whether ``host[:port]`` names this machine."""
    return is_loopback(_split(host)[0])


def answers_plainly(host: str) -> bool:
    """Say whether a registry on this machine speaks HTTP and no TLS; False of any other.

    Nothing secret is sent. One that is not there, or starts just now, is taken for one without TLS.
    """
    if not is_of_this_machine(host) or _speaks_tls(host):
        return False
    return _speaks_http(host)


def _speaks_tls(host: str) -> bool:
    """Begin a handshake; which certificate there is does not matter yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    name, port = _split(host)
    try:
        with socket.create_connection((name, port or 443), timeout=_PATIENCE_S) as plain:
            context.wrap_socket(plain).close()
    except OSError:  # ssl.SSLError is one; so are silence, and nobody there
        return False
    return True


def _speaks_http(host: str) -> bool:
    """Ask whether a registry is there; a server of TLS, or one that leads to it, says otherwise."""
    name, port = _split(host)
    try:
        with socket.create_connection((name, port or 80), timeout=_PATIENCE_S) as plain:
            plain.sendall(_QUESTION.format(host).encode("ascii"))
            return bool(_ITS_OWN.match(plain.recv(64)))
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def _split(host: str) -> tuple[str, int]:
    """Return name, without brackets, and port of ``host[:port]``; 0 if it names none."""
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit() and (name.endswith("]") or ":" not in name):
        return name.strip("[]"), int(port)
    return host.strip("[]"), 0
