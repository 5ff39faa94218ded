"""What a registry's refusal means, and what to do about it."""

from __future__ import annotations

import json

from urllib3.response import BaseHTTPResponse

from carferry.errors import (
    AuthenticationFailed,
    ManifestMissing,
    PushDenied,
    StorageFull,
    TargetError,
)
from carferry.io.http import body_text, retry_after
from carferry.refs import ImageRef
from carferry.registry.challenges import parse_challenges
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
    lost_token = response.status == 401 and method == "PATCH" and not _short(response)
    failure.temporary = lost_token or response.status in _TEMPORARY
    failure.retry_after_s = retry_after(response.headers)
    return failure


def login_remedy(login: Login | None) -> str:
    """Return what to do when a login is refused, or none was found."""
    if login:
        where = login.where or "REGISTRY_AUTH_FILE or the registry secret"
        return f"check the login in {where}"
    return "no login was found: run podman login, or set REGISTRY_AUTH_FILE"


def denied(action: str, ref: ImageRef, reason: str, status: int) -> PushDenied:
    """Return the error for a login that is good, and not for this.

    Args:
        action: ``push`` or ``pull``.
        ref: The repository.
        reason: Who said so, in their words.
        status: HTTP status.
    """
    way = "to" if action == "push" else "from"
    remedy = f"this login may not {action} {way} {ref.name}: it needs {action} rights there"
    return PushDenied(action, ref, reason, remedy, status=status)


def _failure(
    method: str, response: BaseHTTPResponse, ref: ImageRef, login: Login | None, *, known: bool
) -> TargetError:
    status, message = response.status, words_of(body_text(response))
    action = "pull" if method in {"GET", "HEAD"} else "push"
    reason = f"the registry said {message or 'nothing more'} ({status})"
    if status == 401:
        # Many registries give tokens that are good for less, and then say no more than 401.
        known = known and method != "PATCH" and not _says(response, "invalid_token")
        if login and (known or _short(response)):
            return denied(action, ref, reason, status)
        return AuthenticationFailed(
            "log in to", ref.registry, reason, login_remedy(login), status=status
        )
    if status == 403:
        if login:
            return denied(action, ref, reason, status)
        remedy = f"it needs {action} rights, and {login_remedy(None)}"
        return PushDenied(action, ref, reason, remedy, status=status)
    if status == 404 and action == "pull":
        return ManifestMissing(action, ref, reason, "check name and tag", status=status)
    if status in {413, 507}:
        remedy = "raise the registry's size limit or quota"
        return StorageFull(action, ref, reason, remedy, status=status)
    return TargetError(action, ref, reason, status=status)


def _short(response: BaseHTTPResponse) -> bool:
    """Tell whether a registry says that the token it got does not reach this far."""
    return _says(response, "insufficient_scope")


def _says(response: BaseHTTPResponse, error: str) -> bool:
    offered = parse_challenges(response.headers.getlist("WWW-Authenticate"))
    return any(each["error"] == error for each in offered)


def words_of(body: str) -> str:
    """Return ``CODE: message`` of a registry's error document, or the start of its text."""
    try:
        first = json.loads(body)["errors"][0]
        message = f"{first.get('code', '')}: {first.get('message', '')}"
        detail = first.get("detail")
        return f"{message} {detail}" if isinstance(detail, str) and detail else message
    except (ValueError, LookupError, TypeError, AttributeError):
        return " ".join(body.split())[:200]
