"""Faults between a client and a server, as values: actions, and rules for when.

An action touches a passing exchange at four points: the request's head, its body (`upload`),
the response's head, its body (`download`). Positions count body bytes from the start, or from
the end if negative, as in slices.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from servers.wire import Head

Pieces = Iterator[bytes]


class Reset(Exception):
    """Tear the connection down with a TCP reset."""


class HangUp(Exception):
    """Close the connection in an orderly way, wherever the message is."""


class Action:
    """Lets everything pass; the base of all actions."""

    def request(self, head: Head) -> Head:
        """Return the request's head to send to the upstream."""
        return head

    def upload(self, pieces: Pieces, length: int | None) -> Pieces:
        """Return the request's body to send to the upstream."""
        return pieces

    def response(self, head: Head) -> Head:
        """Return the response's head to send to the client."""
        return head

    def download(self, pieces: Pieces, length: int | None) -> Pieces:
        """Return the response's body to send to the client."""
        return pieces


@dataclass(frozen=True, slots=True)
class Rewrite(Action):
    """Put any bytes on the wire in the place of an answer, then close.

    Attributes:
        wire: Makes them of the answer's head and whole body and of the request's method.
    """

    wire: Callable[[Head, bytes, str], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class DropRequest(Action):
    """Reset before the upstream hears of it."""

    def request(self, head: Head) -> Head:
        raise Reset


@dataclass(frozen=True, slots=True)
class ResetUpload(Action):
    """Reset both connections after so many bytes of the request's body went upstream."""

    at: int = 0

    def upload(self, pieces: Pieces, length: int | None) -> Pieces:
        yield from _first(pieces, _point(self.at, length))
        raise Reset


@dataclass(frozen=True, slots=True)
class ResetDownload(Action):
    """Reset after the response's head and so many bytes of its body."""

    at: int = 0

    def download(self, pieces: Pieces, length: int | None) -> Pieces:
        yield from _first(pieces, _point(self.at, length))
        raise Reset


@dataclass(frozen=True, slots=True)
class Truncate(Action):
    """Close in an orderly way after so many bytes of the response's body."""

    at: int = 0

    def download(self, pieces: Pieces, length: int | None) -> Pieces:
        yield from _first(pieces, _point(self.at, length))
        raise HangUp


@dataclass(frozen=True, slots=True)
class DropReply(Action):
    """Reset at the header boundary: the upstream did it, the client hears nothing."""

    def response(self, head: Head) -> Head:
        raise Reset


@dataclass(frozen=True, slots=True)
class StallReply(Action):
    """Hold the response's head back."""

    seconds: float

    def response(self, head: Head) -> Head:
        time.sleep(self.seconds)
        return head


@dataclass(frozen=True, slots=True)
class StallUpload(Action):
    """Pause once inside the request's body."""

    seconds: float
    at: int = 0

    def upload(self, pieces: Pieces, length: int | None) -> Pieces:
        return _paused(pieces, _point(self.at, length), self.seconds)


@dataclass(frozen=True, slots=True)
class StallDownload(Action):
    """Pause once inside the response's body."""

    seconds: float
    at: int = 0

    def download(self, pieces: Pieces, length: int | None) -> Pieces:
        return _paused(pieces, _point(self.at, length), self.seconds)


@dataclass(frozen=True, slots=True)
class Throttle(Action):
    """Hold both bodies of the exchange to a rate."""

    bytes_per_s: int

    def upload(self, pieces: Pieces, length: int | None) -> Pieces:
        return self._slowly(pieces)

    def download(self, pieces: Pieces, length: int | None) -> Pieces:
        return self._slowly(pieces)

    def _slowly(self, pieces: Pieces) -> Pieces:
        started, passed, step = time.monotonic(), 0, max(1, self.bytes_per_s // 50)
        for piece in pieces:
            for at in range(0, len(piece), step):
                part = piece[at : at + step]
                yield part
                passed += len(part)
                due = started + passed / self.bytes_per_s
                time.sleep(max(0.0, due - time.monotonic()))


@dataclass(frozen=True, slots=True)
class FlipByte(Action):
    """Change one byte of the response's body and keep its length."""

    at: int = 0

    def download(self, pieces: Pieces, length: int | None) -> Pieces:
        point, passed = _point(self.at, length), 0
        for piece in pieces:
            at = point - passed
            passed += len(piece)
            if 0 <= at < len(piece):
                yield piece[:at] + bytes([piece[at] ^ 0xFF]) + piece[at + 1 :]
            else:
                yield piece


@dataclass(frozen=True, slots=True)
class IgnoreRange(Action):
    """Answer a range request with the whole file and 200, as some proxies do."""

    def request(self, head: Head) -> Head:
        return head.without("Range").without("If-Range")


@dataclass(frozen=True, slots=True)
class EditRequest(Action):
    """Rewrite the request's head."""

    edit: Callable[[Head], Head]

    def request(self, head: Head) -> Head:
        return self.edit(head)


@dataclass(frozen=True, slots=True)
class EditReply(Action):
    """Rewrite the response's head: its Range, its Location, its ETag."""

    edit: Callable[[Head], Head]

    def response(self, head: Head) -> Head:
        return self.edit(head)


def change_etag(etag: str = '"another"') -> EditReply:
    """Return an action that gives every response another ETag."""
    return EditReply(lambda head: head.with_("ETag", etag))


@dataclass(frozen=True, slots=True)
class Answer(Action):
    """Answer in the upstream's place.

    Attributes:
        status: What the client sees.
        headers: Besides Content-Length.
        body: Bytes.
        forward: Whether the upstream still gets the request ("504, but it happened").
        drain: Whether the request's body is read first; if not, the connection closes.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    forward: bool = False
    drain: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """When an action is taken.

    Attributes:
        action: What goes wrong.
        method: Regular expression for the whole method.
        path: Regular expression searched in the path and query.
        first: The first matching request to hit, counted from 1.
        times: How many matching requests to hit from there on; None for all.
        chance: Share of those requests to hit, drawn from the proxy's seed.
    """

    action: Action
    method: str = ".*"
    path: str = ""
    first: int = 1
    times: int | None = 1
    chance: float = 1.0

    def matches(self, method: str, path: str) -> bool:
        """Return whether a request counts for this rule."""
        return bool(re.fullmatch(self.method, method) and re.search(self.path, path))

    def hits(self, nth: int) -> bool:
        """Return whether the n-th matching request is one to hit."""
        return nth >= self.first and (self.times is None or nth < self.first + self.times)


def _point(at: int, length: int | None) -> int:
    if at >= 0:
        return at
    if length is None:
        raise ValueError("a position from the end needs a body of known length")
    return max(0, length + at)


def _first(pieces: Pieces, size: int) -> Pieces:
    """Yield the first size bytes and ask the source for nothing beyond their piece."""
    while size > 0 and (piece := next(pieces, b"")):
        yield piece[:size]
        size -= len(piece)


def _paused(pieces: Pieces, at: int, seconds: float) -> Pieces:
    for piece in pieces:
        if 0 <= at < len(piece):
            yield piece[:at]
            time.sleep(seconds)
            yield piece[at:]
        else:
            yield piece
        at -= len(piece)
