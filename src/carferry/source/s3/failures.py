"""What S3 servers and their client say, as one line each."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, urlsplit

from carferry.errors import (
    CarferryError,
    InputError,
    SourceChanged,
    SourceDenied,
    SourceError,
    SourceNotFound,
    Unreachable,
)
from carferry.io.net.pauses import retry_after

_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the connection's Secret"
_DENIED = {
    "AccessDenied": ("these credentials may not read it", "grant s3:ListBucket and s3:GetObject"),
    "AllAccessDisabled": ("the bucket is closed to everybody", "ask its owner"),
    "AccountProblem": ("the account has a problem", "ask its owner"),
    "InvalidAccessKeyId": ("the server does not know this access key", _KEYS),
    "SignatureDoesNotMatch": ("the secret key does not belong to the access key", _KEYS),
    "InvalidToken": ("the session token is not valid", "get new credentials"),
    "InvalidClientTokenId": ("the credentials are not valid", "get new credentials"),
    "ExpiredToken": ("the credentials have expired", "get new credentials and run again"),
    "TokenRefreshRequired": ("the credentials have expired", "get new credentials and run again"),
    "RequestTimeTooSkewed": (
        "this machine's clock is more than 15 minutes off the server's",
        "set the clock",
    ),
}
_DENIED["ExpiredTokenException"] = _DENIED["ExpiredToken"]
_DENIED["403"] = _DENIED["Forbidden"] = _DENIED["AccessDenied"]
_DENIED["401"] = _DENIED["Unauthorized"] = _DENIED["InvalidAccessKeyId"]
_REGION = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_REDIRECTS = {301, 302, 303, 307, 308}
_TRANSIENT = {
    "SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "RequestLimitExceeded",
    "InternalError", "ServiceUnavailable", "Busy",
}  # fmt: skip
_CHANGED = {
    "PreconditionFailed": "its etag is no longer that of the listing",
    "412": "its etag is no longer that of the listing",
    "NoSuchKey": "it is gone since it was listed",
    "404": "it is gone since it was listed",
    "NoSuchVersion": "it is gone since it was listed",
    "InvalidRange": "it is shorter than it was listed",
    "416": "it is shorter than it was listed",
}


def archived(subject: object, storage_class: str) -> InputError:
    """Return the error for an object that is not at hand."""
    return InputError(
        "read", subject, f"archived ({storage_class or 'storage class unknown'})",
        "restore it first: aws s3api restore-object",
    )  # fmt: skip


def unlike_s3(url: str, status: int, headers: Mapping[str, str]) -> InputError | None:
    """Return the error for an answer that no S3 server gives, and botocore makes nothing of.

    Amazon names the right region with every redirect, which botocore follows; it would follow
    one that names none for ever.
    """
    host = urlsplit(url).netloc
    if status in _REDIRECTS and not headers.get("x-amz-bucket-region"):
        place = _split(headers.get("Location", ""))
        remedy = (
            f"write {place.scheme}://{place.netloc} as AWS_S3_ENDPOINT"
            if place.netloc
            else "set AWS_DEFAULT_REGION"
        )
        return InputError("read from", host, f"it redirects ({status})", remedy)
    page = "html" in headers.get("Content-Type", "").lower()
    if page and status == HTTPStatus.OK and "list-type=2" in url:
        reason = "it answers with a web page, so it is no S3 server"
        return InputError("read from", host, reason, "check AWS_S3_ENDPOINT")
    return None


def _split(location: str) -> SplitResult:
    try:
        return urlsplit(location)
    except ValueError:
        return urlsplit("")


def unparsed(subject: object, where: str) -> InputError:
    """Return the error for an answer that botocore could make nothing of."""
    reason = f"{where} answers with something that no S3 server says"
    return InputError("read", subject, reason, "check AWS_S3_ENDPOINT")


def refused(error: Any, subject: object, where: str, *, signed: bool = True) -> CarferryError:
    """Return the error for what a server answered.

    Args:
        error: botocore's ClientError.
        subject: What was asked for.
        where: The server, in words.
        signed: Whether there were credentials to sign with.
    """
    meta = error.response.get("ResponseMetadata", {})
    code, status = str(error.response.get("Error", {}).get("Code", "")), meta["HTTPStatusCode"]
    if code == "NoSuchBucket":
        return SourceNotFound("read", subject, f"{where} has no such bucket", "check the name")
    if code == "InvalidObjectState":
        return archived(subject, error.response["Error"].get("StorageClass", ""))
    if code in _CHANGED:
        return SourceChanged("read", subject, _CHANGED[code], "run again once nobody writes there")
    if code in _DENIED:
        return _denied(code, subject, where, signed=signed)
    if code in _REGION:
        return InputError(
            "read", subject, "the bucket is in another region", "set AWS_DEFAULT_REGION"
        )
    failure = SourceError("read", subject, f"{where} answered {status} {code}".rstrip())
    failure.temporary = code in _TRANSIENT or status in {408, 429} or status >= 500
    failure.retry_after_s = retry_after(meta.get("HTTPHeaders", {}))
    return failure


def _denied(code: str, subject: object, where: str, *, signed: bool) -> SourceDenied:
    reason, remedy = _DENIED[code]
    if not signed:
        reason, remedy = "closed to the public, and no credentials were found", _KEYS
    return SourceDenied("read", subject, f"{where}: {reason}", remedy)


def client_failed(error: Exception, subject: object, where: str) -> CarferryError:
    """Return the error for what botocore itself could not do.

    Its texts name files, profiles and endpoints, never keys.
    """
    name = type(error).__name__
    if name in {"EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError",
                "ReadTimeoutError", "SSLError", "ProxyConnectionError"}:  # fmt: skip
        return Unreachable("reach the credentials' server for", subject, str(error))
    if "Credential" in name or "Token" in name or "SSO" in name or "Profile" in name:
        return SourceDenied("sign requests to", subject, str(error), _KEYS)
    if name == "ResponseParserError":
        return unparsed(subject, where)
    return InputError("read", subject, f"{name}: {error}", "check the connection's settings")
