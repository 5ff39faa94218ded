"""What a registry's refusal means, and what to do about it."""

from __future__ import annotations

from urllib3.response import BaseHTTPResponse

from carferry.errors import (
    AuthenticationFailed,
    ManifestMissing,
    PushDenied,
    StorageFull,
    TargetError,
)
from carferry.io.bodies import body_text
from carferry.io.documents import parsed
from carferry.io.http import retry_after
from carferry.refs import ImageRef

_TEMPORARY = {408, 429, 500, 502, 503, 504}


def refused(
    method: str, response: BaseHTTPResponse, ref: ImageRef, *, logged_in: bool
) -> TargetError:
    """Return the error for a status that is not an answer; its body is read.

    Args:
        method: Of the request.
        response: Its answer; a 401 to a PATCH is ``temporary``, since a token may run out
            during a long body.
        ref: The repository.
        logged_in: Whether a login was found for it.
    """
    failure = _failure(method, response, ref, logged_in=logged_in)
    lost_token = response.status == 401 and method == "PATCH"
    failure.temporary = lost_token or response.status in _TEMPORARY
    failure.retry_after_s = retry_after(response.headers)
    return failure


def login_remedy(*, logged_in: bool) -> str:
    """Return what to do when a login is refused, or none was found."""
    if logged_in:
        return "check the login in REGISTRY_AUTH_FILE or the registry secret"
    return "no login was found: run podman login, or set REGISTRY_AUTH_FILE"


def _failure(
    method: str, response: BaseHTTPResponse, ref: ImageRef, *, logged_in: bool
) -> TargetError:
    status, message = response.status, _message(body_text(response))
    action = "pull" if method in {"GET", "HEAD"} else "push"
    reason = f"the registry said {message or 'nothing more'} ({status})"
    if status == 401:
        remedy = login_remedy(logged_in=logged_in)
        return AuthenticationFailed("log in to", ref.registry, reason, remedy, status=status)
    if status == 403:
        remedy = f"this login needs {action} rights on {ref.repository}"
        return PushDenied(action, ref, reason, remedy, status=status)
    if status == 404 and action == "pull":
        return ManifestMissing(action, ref, reason, "check name and tag", status=status)
    if status in {413, 507}:
        remedy = "raise the registry's size limit or quota"
        return StorageFull(action, ref, reason, remedy, status=status)
    return TargetError(action, ref, reason, status=status)


def _message(body: str) -> str:
    """Return ``CODE: message`` of a registry's error document, or the start of its text."""
    try:
        first = parsed(body)["errors"][0]
        message = f"{first.get('code', '')}: {first.get('message', '')}"
        detail = first.get("detail")
        return f"{message} {detail}" if isinstance(detail, str) and detail else message
    except (ValueError, LookupError, TypeError, AttributeError):
        return " ".join(body.split())[:200]
