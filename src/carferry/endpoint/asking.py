"""Requests to a model server: JSON there, JSON back, within limits of length and time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import urllib3

from carferry.endpoint.door import Door
from carferry.endpoint.refusals import is_page, refusal, web_page
from carferry.errors import CarferryError, EndpointFailed, Unreachable
from carferry.io.documents import NotJson, parsed_object
from carferry.io.net.bodies import body_text, drain, whole
from carferry.io.net.unreachable import unreachable

ANSWER_S = 120.0
"""Seconds until an answer begins: a server compiles for the first request of its life."""
_ANSWER_BYTES = 16 * 1024 * 1024
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


class Refused(Exception):
    """An answer of 300 and more, as it came.

    Attributes:
        status: Of HTTP.
        body: The beginning of its text.
        error: The same as an error to raise.
    """

    def __init__(self, status: int, body: str, error: CarferryError) -> None:
        """Keep all three."""
        super().__init__(str(error))
        self.status, self.body, self.error = status, body, error


def get(door: Door, action: str, path: str, *, read_s: float = ANSWER_S) -> dict[str, Any]:
    """Return the JSON object at a path.

    Raises:
        EndpointFailed: Something else answers, or refuses.
        ClusterError: The API server does not let this login through.
        Unreachable: Nothing answers.
    """
    try:
        return _object(door, action, opened(door, action, "GET", path, read_s=read_s))
    except Refused as refused:
        raise refused.error from None


def text(door: Door, action: str, path: str, cap_bytes: int) -> str:
    """Return a text at a path, or its beginning.

    Raises:
        Refused: It is not there.
        Unreachable: Nothing answers, or no more.
    """
    response = opened(door, action, "GET", path)
    try:
        found = whole(response, cap_bytes).decode("utf-8", "replace")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise broken(door, error) from error
    finally:
        response.close()
    return found


def post(
    door: Door,
    action: str,
    path: str,
    body: bytes,
    *,
    content_type: str = "application/json",
    read_s: float = ANSWER_S,
) -> dict[str, Any]:
    """Send a body and return the JSON object that is answered.

    Raises:
        Refused: The server will not have it.
        EndpointFailed: What comes is no JSON object.
        Unreachable: Nothing answers, or no more.
    """
    headers = {**_JSON, "Content-Type": content_type}
    response = opened(door, action, "POST", path, body=body, headers=headers, read_s=read_s)
    return _object(door, action, response, within_s=read_s)


def encoded(document: Mapping[str, Any]) -> bytes:
    """Return an object as JSON."""
    return json.dumps(document, sort_keys=True).encode()


def opened(
    door: Door,
    action: str,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    read_s: float = ANSWER_S,
) -> urllib3.BaseHTTPResponse:
    """Send one request and return the response of a success, its body unread.

    Raises:
        Refused: Any other answer.
        Unreachable: Nothing answers.
    """
    response = door.open(method, path, body=body, headers=headers or _JSON, read_s=read_s)
    if response.status < 300:
        return response
    said = body_text(response)
    failure = refusal(door, action, path, response.status, response.headers, said)
    raise Refused(response.status, said, failure)


def broken(door: Door, error: Exception) -> Unreachable:
    """Return the error for an answer that broke off."""
    return unreachable("an answer", f"{door.subject}", error)


def _object(
    door: Door,
    action: str,
    response: urllib3.BaseHTTPResponse,
    *,
    within_s: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    try:
        data = whole(response, _ANSWER_BYTES + 1, within_s=within_s, clock=clock)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise EndpointFailed(action, door.subject, f"the answer broke off: {error}") from error
    if len(data) > _ANSWER_BYTES:
        response.close()
        raise EndpointFailed(action, door.subject, f"an answer of more than {_ANSWER_BYTES} bytes")
    drain(response)
    try:
        return parsed_object(data)
    except NotJson as error:
        said = data.decode("utf-8", "replace")
        if is_page(said):
            raise web_page(door, action, said) from error
        raise EndpointFailed(action, door.subject, f"the answer is {error}") from error
