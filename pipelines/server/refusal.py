"""Errors for a pipelines API server's refusals: what each means, and the remedy.

Source: kubeflow/pipelines, backend/src/common/util/error.go and grpc-gateway's error handler:
an error is JSON with ``message``, the chain of what failed from the outside in, and ``details``,
whose message is the innermost one, meant for people. Uploads answer ``error_message``.
"""

from __future__ import annotations

from typing import Any

import urllib3
from kfp_server_api import ApiException

from carferry.errors import ClusterError, Unreachable
from carferry.io.documents import NotJson, parsed_object
from carferry.io.net.proxies import proxy_for
from carferry.io.net.unreachable import unreachable as explained
from carferry.pipelines.server.answers import objects
from carferry.shown import one_line, redact

ACTION = "call pipelines API"
_LONGEST = 500
_PHRASE = 80
_WRONG_PLACE = "is this the URL of route ds-pipeline-<dspa>?"
_NO_PATH = "Not Found"
_INTERNAL = "Internal Server Error"
_REMEDIES = {
    401: "the token is missing or has expired; give --token-file or --kubeconfig",
    403: "the account needs the Role ds-pipeline-user-access-<dspa> in that project",
    404: _WRONG_PLACE,
}


def refused(error: ApiException, url: str) -> ClusterError | Unreachable:
    """Return our error for an answer outside 200 to 299, in the server's own words."""
    status = int(error.status or 0)
    if not status:
        return Unreachable(ACTION, url, bounded(str(error.reason)))
    said = message(str(error.body or ""))
    standard = f"{status} {bounded(str(error.reason or ''), _PHRASE)}".strip()
    reason = ": ".join(filter(None, (standard, said)))
    # A 404 in the API's own words is about an object; without them the path was unknown.
    remedy = "" if status == 404 and said not in ("", _NO_PATH) else _REMEDIES.get(status, "")
    found = ClusterError(ACTION, url, reason, remedy, status=status)
    found.temporary = status == 429 or status >= 500
    return found


def message(body: str) -> str:
    """Return the telling part of an error's body, bounded; empty if it is no error of the API."""
    try:
        answer = parsed_object(body)
    except NotJson:
        return ""
    said = answer.get("message") or answer.get("error_message") or answer.get("error") or ""
    return bounded(_innermost(answer) or str(said))


def bounded(text: str, most: int = _LONGEST) -> str:
    """Return a server's words on one line, without secrets; of long ones the end, the cause."""
    text = redact(text)
    shown = one_line(text[-most:])
    return shown if len(text) <= most >= len(shown) else f"...{shown[-most:]}"


def unreachable(error: urllib3.exceptions.HTTPError, url: str) -> Unreachable:
    """Return our error for a connection that failed, broke off or is not trusted."""
    found = explained("request", url, error)
    plain = found.action == "reach" and proxy_for(url) is None
    failure = Unreachable(
        ACTION, url, bounded(found.reason), "check --host" if plain else found.remedy
    )
    failure.temporary = found.temporary
    return failure


def web_page(url: str) -> ClusterError:
    """Return our error for a web page in place of an object: a dashboard, or a login."""
    remedy = "give the URL of route ds-pipeline-<dspa>; if it is, the token was not accepted"
    return ClusterError(ACTION, url, "a web page answered, not the API", remedy)


def odd(url: str, reason: str) -> ClusterError:
    """Return our error for an answer that the API would not give."""
    return ClusterError(ACTION, url, bounded(reason), _WRONG_PLACE)


def _innermost(answer: dict[str, Any]) -> str:
    for detail in objects(answer.get("details")):
        said = detail.get("message") or detail.get("error_message")
        if said and said != _INTERNAL:
            return str(said)
    return ""
