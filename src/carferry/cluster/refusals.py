"""Errors for an API server's refusals: what each means, and the remedy."""

from __future__ import annotations

import re

from carferry.cluster.forms import Misfit, checked
from carferry.cluster.kinds import KSERVE_GROUP, Object, Permission
from carferry.errors import ClusterError, Unreachable
from carferry.io.documents import NotJson, parsed_object
from carferry.io.net.proxies import Proxy
from carferry.io.net.unreachable import unreachable as explained

_BODY_LIMIT = 65536
_IS_ANOTHER_NOW = "the object has been modified"  # apiserver, registry/generic/registry/store.go
# The API server's message (apiserver, endpoints/handlers/responsewriters).
_UNAUTHORIZED = re.compile(r'User "([^"]+)" cannot [a-z]+ resource "')


def refused(code: int, body: bytes, permission: Permission, name: str) -> ClusterError:
    """Return the error for an answer of 300 and more.

    Args:
        code: HTTP status; 429 and the 500s are ``temporary``.
        body: Of the answer: a Kubernetes Status, or what a proxy sent instead.
        permission: What the request took; a 403 names it as a Role's rule.
        name: Of the object; empty for a collection.
    """
    status = _status(body)
    message = _message(body)
    subject = f"{permission.resource} {permission.namespace}/{name}".rstrip("/")
    reason, remedy = _explain(code, status, message, permission)
    error = ClusterError(permission.verb, subject, reason, remedy, status=code)
    error.temporary = code == 429 or code >= 500
    return error


def unread(code: int, body: bytes, subject: str) -> ClusterError:
    """Return the error for an answer of 300 and more to a path that no permission names.

    Args:
        code: HTTP status; 429 and the 500s are ``temporary``.
        body: Of the answer.
        subject: The path.
    """
    reason, remedy = f"the API answered {code}: {_message(body)}", ""
    if code == 401:
        remedy = "log in again (oc login), or renew the token"
    error = ClusterError("read", subject, reason, remedy, status=code)
    error.temporary = code == 429 or code >= 500
    return error


def parsed(body: bytes, permission: Permission, name: str, *, is_named: bool = False) -> Object:
    """Return the JSON object a successful answer holds; of one stored object, with its name.

    Raises:
        ClusterError: It holds none: a proxy or a login page answered for the API server.
    """
    subject = f"{permission.resource} {permission.namespace}/{name}".rstrip("/")
    return read(body, permission.verb, subject, is_named=is_named)


def read(body: bytes, action: str, subject: str, *, is_named: bool = False) -> Object:
    """Return the JSON object a successful answer holds, as ``forms.checked`` does.

    Raises:
        ClusterError: It holds none: a proxy or a login page answered for the API server.
    """
    remedy = "check that the address is the API server's"
    try:
        return checked(parsed_object(body), is_named=is_named)
    except NotJson as error:
        reason = f"the answer is not a Kubernetes object: {_text(body[:80])!r}"
        raise ClusterError(action, subject, reason, remedy) from error
    except Misfit as error:
        reason = f"the answer is not a Kubernetes object: {error}"
        raise ClusterError(action, subject, reason, remedy) from error


def names_object(body: bytes) -> bool:
    """Return whether a 404 is about one object; else about its whole resource type."""
    return bool((_status(body).get("details") or {}).get("name"))


def _explain(code: int, status: Object, message: str, permission: Permission) -> tuple[str, str]:
    if code == 401:
        return (
            f"the login was refused (401): {message}",
            "log in again (oc login), or renew the token",
        )
    if code == 403:
        return f"forbidden (403): {message}", _missing_rule(message, permission)
    if code == 404:
        return _of_404(status, message, permission)
    if code == 409 and _IS_ANOTHER_NOW in message:
        return f"conflict (409): {message}", "somebody changed it just now: run this again"
    if code == 409:
        return (
            f"conflict (409): {message}",
            "give those fields up there, or take them over with --force",
        )
    return f"{code}: {message}", ""


def make_project(name: str) -> str:
    """Return what to do about a project that is not there."""
    return f"make it (oc new-project {name}), or name yours as namespace"


def _of_404(status: Object, message: str, permission: Permission) -> tuple[str, str]:
    details = status.get("details") or {}
    if details.get("name"):
        remedy = ""
        if details.get("kind") == "namespaces":
            remedy = make_project(permission.namespace)
        return f"not found (404): {message}", remedy
    reason = f"the cluster does not know {permission.kind.api_version} (404)"
    if permission.kind.group == KSERVE_GROUP:
        return (
            reason,
            "KServe is not installed: enable model serving in OpenShift AI, or install KServe",
        )
    return reason, ""


def _missing_rule(message: str, permission: Permission) -> str:
    who = _UNAUTHORIZED.search(message)
    if not who:
        return ""  # an admission webhook or a quota said no: its message is the reason
    account = who[1].removeprefix("system:serviceaccount:").replace(":", "/")
    place = f"namespace {permission.namespace}" if permission.namespace else "the whole cluster"
    return f"grant to {account} in {place}: {permission}"


def _message(body: bytes) -> str:
    return str(_status(body).get("message") or _text(body[:200]).strip() or "no message")


def _status(body: bytes) -> Object:
    try:
        return checked(parsed_object(body[:_BODY_LIMIT]))
    except (NotJson, Misfit):
        return {}


def unreachable(host: str, method: str, error: Exception, proxy: Proxy | None) -> Unreachable:
    """Return the error for a connection that failed or is not trusted."""
    found = explained(method, host, error, proxy=proxy)
    plain = found.action == "reach" and proxy is None
    remedy = "check the address and the VPN, or name a proxy" if plain else found.remedy
    failure = Unreachable("reach cluster", host, found.reason, remedy)
    failure.temporary = found.temporary
    return failure


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
