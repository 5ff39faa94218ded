"""Ports of this machine that lead into a node, whose own are the same."""

from __future__ import annotations

import contextlib
import socket
import threading

from cluster.rig.namespaces import enter_network

_CHUNK_BYTES = 1 << 18
_PATIENCE_S = 10.0


def listen(port: int) -> socket.socket:
    """Return a socket that takes connections for a node; port 0 is one that is free.

    Raises:
        OSError: Somebody else has the port.
    """
    return socket.create_server(("127.0.0.1", port))


def forward(listeners: list[socket.socket], pid: int) -> None:
    """Pass on what arrives at sockets of this machine, until this process ends.

    Args:
        listeners: Each leads to the same port inside.
        pid: A process of the node, as this machine counts.
    """
    for listener in listeners:
        threading.Thread(target=_serve, args=(listener, pid), daemon=True).start()


def _serve(listener: socket.socket, pid: int) -> None:
    enter_network(pid)
    port = listener.getsockname()[1]
    while True:
        client, _ = listener.accept()
        threading.Thread(target=pass_on, args=(client, port), daemon=True).start()


def pass_on(client: socket.socket, port: int) -> None:
    """Connect to a port of 127.0.0.1 and carry bytes both ways until both ends are through."""
    with client:
        try:
            server = socket.create_connection(("127.0.0.1", port), _PATIENCE_S)
        except OSError:
            return
        with server:
            server.settimeout(None)
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
