"""What a registry's refusal means, and what to do about it."""

from __future__ import annotations

import json

from urllib3.response import BaseHTTPResponse

from carferry.errors import ManifestMissing, StorageFull, TargetError
from carferry.io.http import body_text, retry_after
from carferry.refs import ImageRef
from carferry.registry.denials import denied, lacks_scope, unauthorized
from carferry.registry.login import Login

_TEMPORARY = {408, 429, 500, 502, 503, 504}


def refused(
    method: str,
    response: BaseHTTPResponse,
    ref: ImageRef,
    *,
    login: Login | None,
    known: bool = False,
) -> TargetError:
    """Return the error for a status that is not an answer; its body is read.

    Args:
        method: Of the request.
        response: Its answer; a 401 to a PATCH is ``temporary``, since a token may run out
            during a long body.
        ref: The repository.
        login: What was found for it.
        known: Whether a token server has taken that login.
    """
    failure = _failure(method, response, ref, login, known=known)
    lost_token = response.status == 401 and method == "PATCH" and not lacks_scope(response)
    failure.temporary = lost_token or response.status in _TEMPORARY
    failure.retry_after_s = retry_after(response.headers)
    return failure


def _failure(
    method: str, response: BaseHTTPResponse, ref: ImageRef, login: Login | None, *, known: bool
) -> TargetError:
    status, message = response.status, words_of(body_text(response))
    action = "pull" if method in {"GET", "HEAD"} else "push"
    reason = f"the registry said {message or 'nothing more'} ({status})"
    if status == 401:
        known = known and method != "PATCH"
        return unauthorized(action, response, ref, reason, login, known=known)
    if status == 403:
        return denied(action, ref, reason, login, status)
    if status == 404 and action == "pull":
        return ManifestMissing(action, ref, reason, "check name and tag", status=status)
    if status in {413, 507}:
        remedy = "raise the registry's size limit or quota"
        return StorageFull(action, ref, reason, remedy, status=status)
    # Distribution in maintenance says this and no more: it has no such method then.
    closed = status == 405 and action == "push"
    remedy = "the registry takes no pushes: it is read-only for now, or a mirror" if closed else ""
    return TargetError(action, ref, reason, remedy, status=status)


def words_of(body: str) -> str:
    """Return ``CODE: message`` of a registry's error document, or the start of its text."""
    try:
        first = json.loads(body)["errors"][0]
        message = f"{first.get('code', '')}: {first.get('message', '')}"
        detail = first.get("detail")
        return f"{message} {detail}" if isinstance(detail, str) and detail else message
    except (ValueError, LookupError, TypeError, AttributeError):
        return " ".join(body.split())[:200]
