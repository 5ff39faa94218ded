"""A registry's 401 and 403: a login that is missing, one that is wrong, and one with fewer rights.

Source: RFC 6750, section 3.1 (``insufficient_scope``, ``invalid_token``).
"""

from __future__ import annotations

from urllib3.response import BaseHTTPResponse

from carferry.errors import AuthenticationFailed, PushDenied, TargetError
from carferry.refs import ImageRef
from carferry.registry.logins.challenges import parse_challenges
from carferry.registry.logins.login import Login


def login_remedy(login: Login | None) -> str:
    """Return what to do when a login is refused, or none was found."""
    if login:
        where = login.where or "REGISTRY_AUTH_FILE or the registry secret"
        return f"check the login in {where}"
    return "no login was found: run podman login, or set REGISTRY_AUTH_FILE"


def denied(action: str, ref: ImageRef, reason: str, login: Login | None, status: int) -> PushDenied:
    """Return the error for a login that is good, and not for this; or for nobody who may not.

    Args:
        action: ``push`` or ``pull``.
        ref: The repository.
        reason: Who said so, in their words.
        login: What was found for it.
        status: HTTP status.
    """
    way = "to" if action == "push" else "from"
    remedy = f"this login may not {action} {way} {ref.name}: it needs {action} rights there"
    if not login:
        remedy = f"it needs {action} rights, and {login_remedy(None)}"
    return PushDenied(action, ref, reason, remedy, status=status)


def unauthorized(
    action: str,
    response: BaseHTTPResponse,
    ref: ImageRef,
    reason: str,
    login: Login | None,
    *,
    known: bool,
) -> TargetError:
    """Return the error for a 401: the login may not do this, it is wrong, or there is none.

    Args:
        action: ``push`` or ``pull``.
        response: The answer.
        ref: The repository.
        reason: The registry's words.
        login: What was found for it.
        known: Whether a token server took that login and gave a new token for this.
    """
    # Many registries give tokens that are good for less, and then say no more than 401.
    known = known and not _says(response, "invalid_token")
    if login and (known or lacks_scope(response)):
        return denied(action, ref, reason, login, 401)
    return AuthenticationFailed("log in to", ref.registry, reason, login_remedy(login), status=401)


def lacks_scope(response: BaseHTTPResponse) -> bool:
    """Tell whether a registry says that the token it got does not reach this far."""
    return _says(response, "insufficient_scope")


def _says(response: BaseHTTPResponse, error: str) -> bool:
    offered = parse_challenges(response.headers.getlist("WWW-Authenticate"))
    return any(each["error"] == error for each in offered)
