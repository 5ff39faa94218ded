"""Servers of this machine, for the pods of a node."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from cluster.rig.forward import pass_on
from cluster.rig.namespaces import enter_network
from cluster.rig.settings import NODE_IP


@contextlib.contextmanager
def exposed(port: int, pid: int) -> Iterator[str]:
    """Let pods reach what listens on a port of 127.0.0.1 here; yield the address they use.

    Args:
        port: The same on both sides.
        pid: A process of the node, as this machine counts.
    """
    made: list[socket.socket] = []

    def listen() -> None:
        enter_network(pid)
        made.append(socket.create_server((NODE_IP, port)))

    inside = threading.Thread(target=listen)
    inside.start()
    inside.join()
    (listener,) = made
    threading.Thread(target=_serve, args=(listener, port), daemon=True).start()
    try:
        yield f"{NODE_IP}:{port}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _serve(listener: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=pass_on, args=(client, port), daemon=True).start()
