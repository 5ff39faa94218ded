"""An S3 client whose requests go through our own HTTP.

botocore knows credentials, signatures, regions, addresses and S3's XML; connections, certificates,
proxies and retries are the same as for a hub or a registry (docs/adr/0030-s3.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from carferry.errors import CarferryError, InputError
from carferry.io.net.bodies import give_back, whole
from carferry.io.net.certificates import Named
from carferry.io.net.http import Http, unreachable
from carferry.io.net.retry import Retry
from carferry.source.s3.connection import Connection
from carferry.source.s3.failures import client_failed, refused, unlike_s3, unparsed

_REGION = "us-east-1"
_HEADER = "latin-1"
# What botocore raises at a length, a date or a document that is none: it parses unchecked.
_UNCHECKED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
# A page of a list is 1000 keys of at most 1024 bytes, each written as six at most.
_CAP_BYTES = 16 * 1024 * 1024


class S3Client:
    """Asks one server; every failure is an error of ours.

    Args:
        connection: How the server is reached.
        http: Connection pool; default one that trusts the profile's ``ca_bundle`` too.
        retry: Policy; share it with the target.
        ca_file: PEM certificates to trust, beside all others.

    Raises:
        InputError: botocore is not installed, or its configuration cannot be read.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        http: Http | None = None,
        retry: Retry | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self.connection = connection
        self.retry = retry or Retry()
        self.where = connection.host or "Amazon S3"
        self._reached = False
        _need_botocore()
        try:
            session = _session(connection)
            self._signed = session.get_credentials() is not None
            self._http = http or Http(ca_file=ca_file, more=_bundle(session), retry=self.retry)
            self._client = _client(session, connection, signed=self._signed)
        except _errors() as error:
            raise client_failed(error, self.where, self.where) from error
        except CarferryError:
            raise
        except _UNCHECKED as error:
            remedy = "check the connection's settings"
            raise InputError("read from", self.where, str(error), remedy) from error
        self._client.meta.events.register("before-send.s3", self._send)

    def call(self, operation: str, subject: object, **parameters: Any) -> dict[str, Any]:
        """Ask once and return the answer as botocore parses it.

        Raises:
            SourceError: The server refused or failed.
            InputError: What was asked, or with which credentials, cannot be.
        """
        from botocore.exceptions import ClientError

        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
        except ClientError as error:
            raise refused(error, subject, self.where, signed=self._signed) from error
        except _errors() as error:
            raise client_failed(error, subject, self.where) from error
        except CarferryError:
            raise
        except _UNCHECKED as error:
            raise unparsed(subject, self.where) from error
        return answer

    def ask(self, operation: str, subject: object, **parameters: Any) -> dict[str, Any]:
        """Ask, and again as long as the policy allows."""
        return self.retry.call(
            lambda: self.call(operation, subject, **parameters), first=lambda: not self._reached
        )

    def _send(self, request: Any, **_: Any) -> Any:
        """Send what botocore has signed, in its sender's place."""
        from botocore.awsrequest import AWSResponse

        headers = {_text(name): _text(value) for name, value in request.headers.items()}
        headers.setdefault("Accept-Encoding", "identity")  # another length, and no ranges
        answer = self._http.request(
            request.method, request.url, headers=headers, body=request.body or None
        )
        self._reached = True
        if fault := unlike_s3(request.url, answer.status, answer.headers):
            answer.close()
            raise fault
        raw = answer if request.stream_output else _Whole(_document(answer, request.url))
        return AWSResponse(request.url, answer.status, answer.headers, raw)


class _Whole:
    """A document that was read, in the form in which botocore reads one."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        """Yield it in one piece."""
        yield self._data


def _document(answer: BaseHTTPResponse, url: str) -> bytes:
    try:
        return whole(answer, _CAP_BYTES)
    except (HTTPError, OSError) as error:
        raise unreachable("GET", url, error) from error
    finally:
        give_back(answer)


def _need_botocore() -> None:
    try:
        import_module("botocore.session")
    except ImportError as error:
        remedy = "pip install 'botocore>=1.36'"
        raise InputError("read from", "S3", "botocore is not installed", remedy) from error


def _session(connection: Connection) -> Any:
    from botocore.session import Session

    session = Session()
    if connection.access_key:
        session.set_credentials(
            connection.access_key, connection.secret_key, connection.token or None
        )
    return session


def _client(session: Any, connection: Connection, *, signed: bool) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config

    written = (session.get_scoped_config() or {}).get("s3")
    style = written.get("addressing_style") if isinstance(written, Mapping) else None
    # Few servers but Amazon's have a name in the DNS for every bucket.
    s3 = {"addressing_style": style or ("path" if connection.endpoint else "auto")}
    config = Config(
        s3=s3,
        retries={"total_max_attempts": 1, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        **({} if signed else {"signature_version": UNSIGNED}),
    )
    region = connection.region or session.get_config_variable("region") or _REGION
    endpoint = connection.endpoint or None
    made: Any = session.create_client("s3", region, endpoint_url=endpoint, config=config)
    return made


def _bundle(session: Any) -> tuple[Named, ...]:
    """Return the certificates that the profile names."""
    named = session.get_scoped_config().get("ca_bundle")
    return (Named(Path(str(named)).expanduser(), "ca_bundle of the AWS profile"),) if named else ()


def _errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError
    from botocore.parsers import ResponseParserError

    return BotoCoreError, ResponseParserError


def _text(value: str | bytes) -> str:
    return value.decode(_HEADER) if isinstance(value, bytes) else value
