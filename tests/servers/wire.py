"""HTTP/1.1 on a socket, one message at a time: heads as values, bodies as streams of pieces.

Source: RFC 9112, sections 2 to 7 (message format, body length, chunked coding).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import BufferedIOBase
from typing import Literal

PIECE_BYTES = 1 << 18
_BODILESS = {"204", "304"}

Framing = int | Literal["chunked", "close"]


class Broken(ConnectionError):
    """The other side went away in the middle of a message."""


@dataclass(frozen=True, slots=True)
class Head:
    """A start line and headers, in the order and case they came in."""

    start: str
    headers: tuple[tuple[str, str], ...]

    @property
    def words(self) -> list[str]:
        """The start line's three parts: method, path, version or version, status, reason."""
        return [*self.start.split(" ", 2), "", ""][:3]

    def get(self, name: str) -> str | None:
        """Return the first header of this name, case ignored."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    def without(self, name: str) -> Head:
        """Return the head less every header of this name."""
        kept = tuple((n, v) for n, v in self.headers if n.lower() != name.lower())
        return replace(self, headers=kept)

    def with_(self, name: str, value: str) -> Head:
        """Return the head with this header instead of any other of its name."""
        return replace(self, headers=(*self.without(name).headers, (name, value)))

    def encode(self) -> bytes:
        """Return the bytes of the head, the empty line included."""
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def read_head(source: BufferedIOBase) -> Head | None:
    """Read a head; None if the connection ended before one began.

    Raises:
        Broken: The connection ended inside the head, or this is no head.
    """
    first = source.read(1)
    if not first:
        return None
    if not first.isalpha():
        raise Broken("not HTTP: a client that tries TLS first, perhaps")
    start = first + source.readline(65537)
    headers = []
    while (line := source.readline(65537)) not in (b"\r\n", b"\n"):
        if not line:
            raise Broken("the head was cut off")
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.strip(), value.strip()))
    return Head(start.decode("latin-1").rstrip("\r\n"), tuple(headers))


def request_framing(head: Head) -> Framing:
    """Return how long a request's body is."""
    if "chunked" in (head.get("Transfer-Encoding") or "").lower():
        return "chunked"
    return int(head.get("Content-Length") or 0)


def response_framing(head: Head, method: str) -> Framing:
    """Return how long the body of a response to this method is."""
    status = head.words[1]
    if method == "HEAD" or status in _BODILESS or status.startswith("1"):
        return 0
    if "chunked" in (head.get("Transfer-Encoding") or "").lower():
        return "chunked"
    length = head.get("Content-Length")
    return "close" if length is None else int(length)


def read_body(source: BufferedIOBase, framing: Framing) -> Iterator[bytes]:
    """Yield the body's own bytes, chunk marks removed, as they arrive.

    Raises:
        Broken: The connection ended before the body did.
    """
    if framing == "chunked":
        yield from _read_chunks(source)
    elif framing == "close":
        while piece := _some(source, PIECE_BYTES):
            yield piece
    else:
        yield from _read_exactly(source, framing)


def write_body(pieces: Iterable[bytes], framing: Framing) -> Iterator[bytes]:
    """Yield what goes on the wire for these pieces."""
    for piece in pieces:
        if framing == "chunked" and piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
        elif piece:
            yield piece
    if framing == "chunked":
        yield b"0\r\n\r\n"


def _read_exactly(source: BufferedIOBase, size: int) -> Iterator[bytes]:
    while size > 0:
        piece = _some(source, min(size, PIECE_BYTES))
        if not piece:
            raise Broken(f"the body was cut off {size} bytes before its end")
        size -= len(piece)
        yield piece


def _read_chunks(source: BufferedIOBase) -> Iterator[bytes]:
    while size := _chunk_size(source):
        yield from _read_exactly(source, size)
        source.readline(3)
    while source.readline(65537) not in (b"\r\n", b"\n", b""):
        pass


def _chunk_size(source: BufferedIOBase) -> int:
    line = source.readline(1024)
    if not line:
        raise Broken("the chunked body was cut off")
    return int(line.split(b";")[0], 16)


def _some(source: BufferedIOBase, size: int) -> bytes:
    return source.read1(size)
