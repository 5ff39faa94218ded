"""What an answer means that is not the one asked for, and what to do about it.

Sources: vLLM, entrypoints/openai (``{"error": {"message", "type", "code"}}``, before 0.10
``{"object": "error", "message"}``); FastAPI (``{"detail"}``); Kubernetes, Status v1;
OpenShift's router (a web page with 503 where no pod is ready).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from carferry.cluster.kinds import as_yaml
from carferry.cluster.refusals import refused as refused_by_cluster
from carferry.endpoint.door import Door
from carferry.errors import CarferryError, ClusterError, EndpointFailed
from carferry.io.documents import NotJson, parsed_object

_TITLE = re.compile(r"(?i)<title>\s*([^<]{1,200}?)\s*</title>")
_SHOWN = 300
_NO_MODEL = re.compile(r"(?i)model .{0,200}does not exist|model .{0,200}not found")
_WAITING = "wait until its pods are ready: oc get pods; carferry deploy shows what holds them up"


def refusal(
    door: Door, action: str, path: str, status: int, headers: Mapping[str, str], body: str
) -> CarferryError:
    """Return the error for an answer that is no success.

    Args:
        door: How it was asked.
        action: What was being done.
        path: What was asked for.
        status: HTTP status, 300 and more.
        headers: Of the answer.
        body: Its text, or the beginning.
    """
    said = _object(body)
    if said.get("kind") == "Status" and door.proxied:
        return _of_cluster(door, action, status, body, said)
    reason, remedy = _explained(door, path, status, headers, body, said)
    return EndpointFailed(action, door.subject, reason, remedy, status=status)


def web_page(door: Door, action: str, body: str) -> EndpointFailed:
    """Return the error for a page where a model's JSON should be."""
    reason = f"a web page answers{_titled(body)}, no model server"
    return EndpointFailed(action, door.subject, reason, "is a login or a proxy before it?")


def is_page(body: str) -> bool:
    """Return whether a text is HTML."""
    return body.lstrip()[:1] == "<"


def words(body: str) -> str:
    """Return what an error's body says: the server's message, a page's title, or its text."""
    said = _object(body)
    error = said.get("error")
    inner = error.get("message") if isinstance(error, dict) else error
    for text in (inner, said.get("message"), said.get("detail")):
        if isinstance(text, str) and text.strip():
            return _short(text)
    if is_page(body):
        return f"a web page{_titled(body)}"
    return _short(body) or "nothing more"


def names_no_model(body: str) -> bool:
    """Return whether an error says that there is no model of the name that was asked for."""
    return bool(_NO_MODEL.search(words(body)))


def _explained(
    door: Door, path: str, status: int, headers: Mapping[str, str], body: str, said: dict[str, Any]
) -> tuple[str, str]:
    text = words(body)
    if status < 400:
        place = _short(headers.get("Location", "") or "nowhere")
        return f"it sends on to {place} ({status})", "name that address, or is a login before it?"
    if status == 401:
        if door.has_token:
            return f"the token was refused (401): {text}", "is it another deployment's, or expired?"
        return f"it asks for a token (401): {text}", "pass --token-file FILE"
    if status == 403:
        remedy = "the token's account must be allowed to get this InferenceService"
        return f"forbidden (403): {text}", remedy
    if status == 404:
        what = "" if said else "; no model server answers there"
        remedy = "check the address: it goes before /v1" if path == "/v1/models" else ""
        return f"{path} is not found (404): {text}{what}", remedy
    if status in (502, 503, 504):
        return f"not ready ({status}): {text}", _WAITING
    return f"{path} was answered {status}: {text}", "its log says why: oc logs" * (status >= 500)


def _of_cluster(
    door: Door, action: str, status: int, body: str, said: dict[str, Any]
) -> CarferryError:
    """Return the error for what the API server says itself, not the model behind it."""
    if status in (401, 403):
        error = refused_by_cluster(status, body.encode(), door.proxied[0], "")
        if status == 403:
            place = door.proxied[0].namespace
            error.remedy = f"grant in namespace {place}: {as_yaml(door.proxied)[0]}"
        return error
    text = _short(str(said.get("message") or "no message"))
    if status == 404:  # the Service or the pod: what stands behind it answers in its own words
        remedy = "is it deployed? oc get inferenceservices"
        return ClusterError(action, door.subject, f"not found (404): {text}", remedy, status=status)
    if status >= 500:
        return EndpointFailed(
            action, door.subject, f"not ready ({status}): {text}", _WAITING, status=status
        )
    return EndpointFailed(action, door.subject, f"{status}: {text}", status=status)


def _object(body: str) -> dict[str, Any]:
    try:
        return parsed_object(body)
    except NotJson:
        return {}


def _titled(body: str) -> str:
    found = _TITLE.search(body[:8192])
    return f", {' '.join(found[1].split())!r}" if found else ""


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN else flat[:_SHOWN] + "..."
