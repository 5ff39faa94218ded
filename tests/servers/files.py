"""Sending a file over HTTP: conditional and single ranges as RFC 9110 section 14 has them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from servers.content import Content, Declared
from servers.serving import Handler, Meter

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Unsatisfiable(ValueError):
    """A range that lies outside the file."""


def wanted(header: str | None, size: int) -> tuple[int, int] | None:
    """Return (start, stop) of a Range header; None for none or one this server ignores.

    Raises:
        Unsatisfiable: Nothing of the file lies in the range.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= size or (first and last and int(last) < int(first)):
        raise Unsatisfiable(header)
    return start, stop


def send(
    handler: Handler, held: Content, extra: Mapping[str, str], bytes_per_s: int | None
) -> None:
    """Answer a GET or HEAD with the file or the range that was asked for."""
    headers = {"Accept-Ranges": "bytes", "ETag": held.etag, **extra}
    asked = handler.headers.get("Range")
    if handler.headers.get("If-Range", headers["ETag"]) != headers["ETag"]:
        asked = None
    try:
        span = wanted(asked, held.size)
    except Unsatisfiable:
        handler.reply(416, Content_Range=f"bytes */{held.size}")
        return
    start, stop = span or (0, held.size)
    if span:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{held.size}"
    if handler.command == "GET" and isinstance(held.given, Declared) and stop > _looked(held.given):
        handler.reply(501, b"this file is only declared: it has no bytes")
        return
    headers |= {"Content-Length": str(stop - start), "Content-Type": "application/octet-stream"}
    handler.head(206 if span else 200, headers)
    if handler.command == "GET":
        held.send(handler.connection, start, stop, Meter(handler.exchange, bytes_per_s))


def _looked(given: Declared) -> int:
    """Return up to where a declared file can be read: a first look, if it has a head."""
    return 1 << 20 if given.head else 0
