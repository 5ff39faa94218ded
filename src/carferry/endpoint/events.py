"""Server-sent events as vLLM streams them, read strictly: one JSON object each, then ``[DONE]``.

Source: WHATWG HTML, 9.2.6 (parsing an event stream); OpenAI's API (``data: [DONE]``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import urllib3

from carferry.endpoint.door import Door
from carferry.endpoint.refusals import is_page, web_page, words
from carferry.errors import EndpointFailed
from carferry.io.documents import NotJson, parsed_object
from carferry.io.net.bodies import body_text, drain

_PIECE = 16 * 1024
_DONE = "[DONE]"
_KIND = "text/event-stream"


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What a stream may be.

    Attributes:
        line_bytes: Longest line.
        events: Most of them.
        total_bytes: Longest body.
    """

    line_bytes: int = 1 << 20
    events: int = 10_000
    total_bytes: int = 16 << 20


class CutOff(Exception):
    """The time for a stream is over; what came is good."""


def events(
    door: Door,
    action: str,
    response: urllib3.BaseHTTPResponse,
    *,
    until: float,
    limits: StreamLimits | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[dict[str, Any]]:
    """Yield the objects of a stream as they arrive; it ends with ``[DONE]`` and nothing else.

    Args:
        door: How it was asked.
        action: What is being done.
        response: Of a success, its body unread.
        until: When there is no more time, by the clock.
        limits: Of lengths.
        clock: Monotonic seconds.

    Raises:
        EndpointFailed: No stream, one that breaks off, one beyond its limits, or an error in it.
        CutOff: The time is over.
    """
    limits = limits or StreamLimits()
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != _KIND:
        raise _no_stream(door, action, kind, body_text(response))
    count = 0
    for data in _data(_lines(door, action, response, until, limits, clock)):
        if data == _DONE:
            drain(response)
            return
        count += 1
        if count > limits.events:
            response.close()
            raise EndpointFailed(action, door.subject, f"more than {limits.events} events")
        yield _event(door, action, data, response)
    response.close()
    reason = f"the stream ended after {count} events without {_DONE}"
    raise EndpointFailed(action, door.subject, reason, "its log says why: oc logs")


def _event(
    door: Door, action: str, data: str, response: urllib3.BaseHTTPResponse
) -> dict[str, Any]:
    try:
        found = parsed_object(data)
    except NotJson as error:
        response.close()
        reason = f"an event of the stream is {error}"
        raise EndpointFailed(action, door.subject, reason) from error
    if found.get("error") or found.get("object") == "error":
        response.close()
        raise EndpointFailed(action, door.subject, f"the stream says: {words(data)}")
    return found


def _data(lines: Iterator[str]) -> Iterator[str]:
    """Yield the data of every event; comments and other fields are passed over."""
    held: list[str] = []
    for line in lines:
        name, _, value = line.partition(":")
        if not line and held:
            yield "\n".join(held)
            held = []
        elif name == "data":
            held.append(value.removeprefix(" "))


def _lines(
    door: Door,
    action: str,
    response: urllib3.BaseHTTPResponse,
    until: float,
    limits: StreamLimits,
    clock: Callable[[], float],
) -> Iterator[str]:
    rest, total = b"", 0
    while piece := _read(door, action, response):
        total += len(piece)
        *whole, rest = (rest + piece).replace(b"\r\n", b"\n").split(b"\n")
        yield from (line.rstrip(b"\r").decode("utf-8", "replace") for line in whole)
        if len(rest) > limits.line_bytes or total > limits.total_bytes:
            response.close()
            raise EndpointFailed(action, door.subject, "a stream longer than any answer")
        if clock() > until:
            response.close()
            raise CutOff


def _read(door: Door, action: str, response: urllib3.BaseHTTPResponse) -> bytes:
    try:
        return response.read1(_PIECE)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        response.close()
        raise EndpointFailed(action, door.subject, f"the stream broke off: {error}") from error


def _no_stream(door: Door, action: str, kind: str, body: str) -> EndpointFailed:
    if is_page(body):
        return web_page(door, action, body)
    reason = f"{kind or 'something without a type'} instead of a stream of events"
    return EndpointFailed(action, door.subject, reason)
