"""How a TCP connection ends: in order, or with a reset; and ports."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

_WAIT_S = 1.0
_LISTEN = "0A"  # the kernel's include/net/tcp_states.h


def reset_on_close(connection: socket.socket) -> None:
    """Make the next close send RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def settle(connection: socket.socket) -> None:
    """Wait a moment until the other side has acknowledged all that was sent."""
    deadline = time.monotonic() + _WAIT_S
    while _unsent(connection) and time.monotonic() < deadline:
        time.sleep(0.002)


def _unsent(connection: socket.socket) -> int:
    answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


def drain(connection: socket.socket) -> None:
    """Say no more, and read what still comes: unread bytes would turn the close into a reset."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(_WAIT_S)
        while connection.recv(1 << 16):
            pass


def free_port() -> int:
    """Return a port that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening_port(pid: int) -> int:
    """Return the TCP port that a process listens on, or 0; by what the kernel says of it."""
    held = {_target(link) for link in Path(f"/proc/{pid}/fd").glob("*")}
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *rest = line.split()
        if state == _LISTEN and f"socket:[{rest[5]}]" in held:
            return int(local.partition(":")[2], 16)
    return 0


def _target(link: Path) -> str:
    with contextlib.suppress(OSError):  # closed meanwhile
        return str(link.readlink())
    return ""


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Run a server that says the same to everybody; yield its address and what it was sent."""
    got: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                got.append(peer.recv(4096))
                peer.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", got
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)
