"""The bodies of answers, read within limits of length and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import cast

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from carferry.io.net.pace import DOCUMENT_BYTES_PER_S, TooLong, TooSlow

DOCUMENT_S = 60.0
_ERROR_S = 10.0
_PIECE = 16 * 1024
_BODY_CAP = 64 * 1024
# A socket gives one call of sendall the time for one byte, so that a MiB in one call would want
# 17 KiB/s of every layer on its way at once.
_SENT_AT_ONCE = 256 * 1024


def body_text(response: BaseHTTPResponse, clock: Callable[[], float] = time.monotonic) -> str:
    """Read at most 64 KiB of an error body, for some seconds, and let the connection go."""
    data, until = bytearray(), clock() + _ERROR_S
    try:
        while len(data) < _BODY_CAP and clock() < until and (more := response.read(_PIECE)):
            data += more
    except (HTTPError, OSError):
        pass  # what came before is better than nothing
    response.close()
    return data.decode("utf-8", "replace")


def whole(
    response: BaseHTTPResponse,
    cap_bytes: int,
    *,
    within_s: float = DOCUMENT_S,
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """Read a small document to its end, or to the cap.

    A single read returns what came before the connection ended; only the next one says that
    more was promised.

    Args:
        response: With its body unread.
        cap_bytes: Read no more than this.
        within_s: How long it may take; for one that comes at 64 KiB/s, longer by what it takes.
        clock: Monotonic seconds.

    Raises:
        HTTPError: It broke off (also OSError), or takes too long.
    """
    data, started = bytearray(), clock()
    while len(data) < cap_bytes and (more := response.read1(min(_PIECE, cap_bytes - len(data)))):
        data += more
        if clock() - started > within_s + len(data) / DOCUMENT_BYTES_PER_S:
            response.close()
            raise TooSlow(f"only {len(data)} bytes of it came within {within_s:g} s")
    return bytes(data)


def tail(response: BaseHTTPResponse, kept_bytes: int, cap_bytes: int) -> bytes:
    """Return the end of a long text.

    Raises:
        HTTPError: It broke off (also OSError), or has no end.
    """
    kept, read = b"", 0
    while more := response.read(_BODY_CAP):
        read += len(more)
        if read > cap_bytes:
            response.close()
            raise TooLong(f"it is longer than {cap_bytes} bytes")
        kept = (kept + more)[-kept_bytes:]
    return kept


def drain(response: BaseHTTPResponse, clock: Callable[[], float] = time.monotonic) -> None:
    """Read what is left of a small body so that the connection can be used again."""
    read, until = 0, clock() + _ERROR_S
    try:
        while read < _BODY_CAP and clock() < until and (more := response.read(_PIECE)):
            read += len(more)
    except (HTTPError, OSError):
        response.close()
    give_back(response)


def give_back(response: BaseHTTPResponse) -> None:
    """Return the connection to its pool, or close it if bytes of the body are still to come."""
    remaining = getattr(response, "length_remaining", None)
    if remaining is None or remaining > 0:
        response.close()
    else:
        response.release_conn()


def in_pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield chunks in pieces that a slow connection takes within the time of one write."""
    for chunk in chunks:
        view = memoryview(chunk)  # a slice of bytes would be a copy of every byte that is sent
        for at in range(0, len(view), _SENT_AT_ONCE):
            yield cast("bytes", view[at : at + _SENT_AT_ONCE])
