"""What a registry's refusal means, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from urllib3.response import BaseHTTPResponse

from carferry.errors import (
    AuthenticationFailed,
    ManifestMissing,
    PushDenied,
    StorageFull,
    TargetError,
)
from carferry.io.net.bodies import body_text
from carferry.io.net.pauses import retry_after
from carferry.refs import Digest, ImageRef
from carferry.registry.answers import Said, read_answer
from carferry.registry.logins.denials import denied, lacks_scope, unauthorized
from carferry.registry.logins.login import Login

_TEMPORARY = {408, 429, 500, 502, 503, 504}
TAKES_NO_PUSHES = "the registry takes no pushes: it is read-only for now, or a mirror"
"""What a bare 405 may mean, besides a tag that is not moved."""
_READING = {"GET", "HEAD"}
_CLASSES: dict[int, type[TargetError]] = {401: AuthenticationFailed, 403: PushDenied}


class TagImmutable(TargetError):
    """The tag names another image and may not be moved."""


class BlobsUnknown(TargetError):
    """A manifest was refused since the registry lacks blobs that it names.

    Attributes:
        digests: Which, as far as the registry says it; empty if it does not.
    """

    digests: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of refusal, told by the registry's code and words.

    Attributes:
        words: Searched for in ``CODE: message``.
        statuses: That it may come with.
        remedy: What to do; ``{repository}`` and ``{registry}`` are named in it.
        error: Its class.
        pushes: Whether it is a refusal to write, to read, or either if None.
    """

    words: re.Pattern[str]
    statuses: Collection[int]
    remedy: str
    error: type[TargetError] = TargetError
    pushes: bool | None = True


def _kind(
    words: str,
    statuses: Collection[int],
    remedy: str,
    error: type[TargetError] = TargetError,
    pushes: bool | None = True,
) -> _Kind:
    return _Kind(re.compile(words, re.IGNORECASE), statuses, remedy, error, pushes)


# The first that fits counts. Every pattern has its answers, and where they were read, in
# tests/registry_answers.py.
_KINDS = (
    _kind(
        r"read.?only|maintenance",
        {400, 403, 405, 409, 503},
        "the registry is read-only for now: ask its operator, or wait",
    ),
    _kind(
        r"proxy (?:project|cache|repository)|pull.through|remote repositor"
        r"|group repositor|to groups",
        {400, 403, 405},
        "{repository} is a mirror that takes no pushes: choose another project or repository",
        PushDenied,
    ),
    _kind(
        r"is locked|disallowed on this|protected tag",
        {403, 405, 409},
        "it is locked there: unlock it, or choose another tag or repository",
        PushDenied,
    ),
    _kind(
        r"firewall|not allowed access|ip address.{0,80}not allowed",
        {403},
        "the registry lets nobody in from this address: have it allowed there",
        PushDenied,
        pushes=None,
    ),
    _kind(
        r"immutab|tag.{0,40}already exists|already assigned to|cannot be overwritten|overwrite"
        r"|not allow updating|redeploy",
        {400, 403, 405, 409, 412},
        "tags are not moved here: choose another tag; what was sent is kept",
        TagImmutable,
    ),
    _kind(
        r"vulnerab|policyviolation|content.?trust|not signed|cosign|quarantin|severity"
        r"|blocking policy",
        {403, 412, 451},
        "a policy of the registry blocks this image: have it scanned, signed or allowed there",
        pushes=None,
    ),
    _kind(
        r"quota|storage (?:limit|space)|no space left|insufficient storage|disk (?:is )?full"
        r"|(?:limit|capacity|size).{0,40}(?:exceeded|reached)|exceed.{0,60}(?:limit|storage|plan)",
        {400, 402, 403, 405, 409, 412, 413, 500, 507},
        "free space there, or raise the registry's quota; what was sent is kept",
        StorageFull,
    ),
    _kind(
        r"NAME_UNKNOWN|repository.{0,300}not (?:be )?(?:found|exist)|(?:no such|unknown) repository"
        r"|(?:project|namespace|organi[sz]ation).{0,200}not (?:be )?(?:found|exist)",
        {400, 401, 403, 404},
        "create {repository}, or its project, at {registry} first, or check its name",
    ),
    _kind(
        r"NAME_INVALID|(?:invalid|missing) (?:image|repository) name",
        {400, 403, 404},
        "{registry} wants names of another form than {repository}: see its documentation",
    ),
    _kind(
        r"expired|re-?authenticate|invalid.?token",
        {401, 403},
        "log in again: the login has run out",
        AuthenticationFailed,
        pushes=None,
    ),
    _kind(
        r"media.?type|artifact.{0,60}not (?:allowed|enabled|supported)"
        r"|unsupported (?:manifest|type)",
        {400, 403, 405, 406, 415, 422},
        "it does not take this kind of image: --format modelcar is the most common one, or have "
        "OCI artifacts allowed there",
    ),
    _kind(
        r"(?:manifest|payload|entity|body).{0,80}(?:too large|too big|larger|exceeds)",
        {400, 413, 422},
        "raise the size limit of the registry or of the proxy before it",
        StorageFull,
    ),
    _kind(
        r"UNSUPPORTED|method not allowed|operation is unsupported",
        {405},
        "it takes no pushes here: it may be read-only, or a mirror",
    ),
    _kind(
        r"TOOMANYREQUESTS|rate.?limit|too many requests",
        {403, 429},
        "it limits requests: wait, or log in for a higher limit",
        pushes=None,
    ),
)  # fmt: skip


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
    said = read_answer(body_text(response))
    failure = _failure(method, response, said, ref, login, known=known)
    lost_token = response.status == 401 and method == "PATCH" and not lacks_scope(response)
    final = isinstance(failure, StorageFull | TagImmutable)
    failure.temporary = not final and (lost_token or response.status in _TEMPORARY)
    failure.retry_after_s = retry_after(response.headers)
    return failure


def elsewhere_refused(
    method: str, response: BaseHTTPResponse, ref: ImageRef, where: tuple[str, str, int]
) -> TargetError:
    """Return the error for a refusal by the host that the registry sent on to: its storage.

    Nobody logs in there, so that no status of it says anything about the login.

    Args:
        method: Of the request.
        response: Its answer; the body is read.
        ref: The repository.
        where: Scheme, host and port.
    """
    said, status = read_answer(body_text(response)), response.status
    scheme, host, port = where
    host = host if (scheme, port) in {("https", 443), ("http", 80)} else f"{host}:{port}"
    action = "pull" if method in _READING else "push"
    reason = f"{host}, where the registry keeps this, said {str(said) or 'nothing more'} ({status})"
    remedy = f"this is not about the login: ask who runs {ref.registry}, or the proxy before {host}"
    failure = TargetError(action, ref, reason, remedy, status=status)
    failure.temporary = response.status in _TEMPORARY
    failure.retry_after_s = retry_after(response.headers)
    return failure


def _failure(
    method: str,
    response: BaseHTTPResponse,
    said: Said,
    ref: ImageRef,
    login: Login | None,
    *,
    known: bool,
) -> TargetError:
    action, status = "pull" if method in _READING else "push", response.status
    reason = f"the registry said {str(said) or 'nothing more'} ({status})"
    if said.lacks_blobs and method == "PUT" and status in {400, 404, 409, 422}:
        remedy = "it has lost what it said it holds: run the same again"
        unknown = BlobsUnknown(action, ref, reason, remedy, status=status)
        unknown.digests = said.digests
        return unknown
    for kind in _KINDS:
        if _fits(kind, action, status, said):
            remedy = kind.remedy.format(repository=ref.repository, registry=ref.registry)
            by_status = _CLASSES.get(status, TargetError)
            error = by_status if kind.error is TargetError else kind.error
            return error(action, ref, reason, remedy, status=status)
    if status == 401:
        known = known and method != "PATCH"
        return unauthorized(action, response, ref, reason, login, known=known)
    if status == 403:
        return denied(action, ref, reason, login, status)
    return _by_status(method, status, said, ref, reason)


def _fits(kind: _Kind, action: str, status: int, said: Said) -> bool:
    if status not in kind.statuses or kind.pushes not in {None, action == "push"}:
        return False
    return bool(kind.words.search(str(said)))


def _by_status(method: str, status: int, said: Said, ref: ImageRef, reason: str) -> TargetError:
    """Return the error of a refusal that says no more than its status."""
    action = "pull" if method in _READING else "push"
    if status == 404 and action == "pull":
        return ManifestMissing(action, ref, reason, "check name and tag", status=status)
    if status == 413:
        remedy = "raise the size limit of the registry or of the proxy before it"
        return StorageFull(action, ref, reason, remedy, status=status)
    if status == 507:
        remedy = "free space there, or raise the registry's quota"
        return StorageFull(action, ref, reason, remedy, status=status)
    remedy = _last_remedy(method, status, said, ref)
    return TargetError(action, ref, reason, remedy, status=status)


def _last_remedy(method: str, status: int, said: Said, ref: ImageRef) -> str:
    if status >= 500:
        return f"{ref.registry} or a proxy before it is failing: try again later, or see its log"
    if status == 405 and method not in _READING:
        # Distribution in maintenance says this and no more: it has no such method then.
        return TAKES_NO_PUSHES
    if (method, status) == ("POST", 404) and not said.code.startswith("BLOB"):
        return (
            f"create {ref.repository}, or its project, at {ref.registry} first, or check its name"
        )
    if said.is_page:
        return f"a web page answered: is {ref.registry} the registry's own address?"
    return ""
