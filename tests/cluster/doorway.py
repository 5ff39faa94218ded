"""A door into a node: a port of its own address, by which pods reach a server of this machine.

The node has a network of its own. A socket belongs to the network of the thread that made it, so a
thread goes in, listens, and comes back; what is accepted is passed on to a port outside.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import threading
from collections.abc import Iterator

from cluster.rig.node import Node

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def doorway(node: Node, port: int) -> Iterator[str]:
    """Open a door to a port of 127.0.0.1 and return host and port that pods use.

    Args:
        node: The node.
        port: Outside.
    """
    listener = _within(node, _address(node))
    accepting = threading.Thread(target=_accept, args=(listener, port), daemon=True)
    accepting.start()
    host, inside = listener.getsockname()
    try:
        yield f"{host}:{inside}"
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        listener.close()


def _address(node: Node) -> str:
    addresses = node.get("node", "node")["status"]["addresses"]
    return str(next(each["address"] for each in addresses if each["type"] == "InternalIP"))


def _within(node: Node, address: str) -> socket.socket:
    made: list[socket.socket | OSError] = []

    def listen() -> None:
        pid = (node.folder / "run/init.pid").read_text().strip()
        try:
            _enter(f"/proc/{pid}/ns/net")  # the thread ends there, and nobody else is in it
            made.append(socket.create_server((address, 0), backlog=64))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def _enter(namespace: str) -> None:
    handle = os.open(namespace, os.O_RDONLY)
    try:
        if _LIBC.setns(handle, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"enter {namespace}")
    finally:
        os.close(handle)


def _accept(listener: socket.socket, port: int) -> None:
    while True:
        try:
            inside, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(inside, port), daemon=True).start()


def _relay(inside: socket.socket, port: int) -> None:
    """Pass on both ways until both sides have ended."""
    try:
        outside = socket.create_connection(("127.0.0.1", port))
    except OSError:
        inside.close()
        return
    with inside, outside:
        back = threading.Thread(target=_pump, args=(outside, inside), daemon=True)
        back.start()
        _pump(inside, outside)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
