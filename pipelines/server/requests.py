"""Requests to a pipelines API server: they end, fail with our errors, and print nothing.

Source: kfp-server-api 2.17, the generated client of the v2beta1 API. kfp's own ``Client`` above
it prints links, warns about old servers, waits for ever and guesses an in-cluster service that
OpenShift AI does not have.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kfp_server_api
import urllib3
from kfp_server_api import ApiException, OpenApiException

from carferry.cluster.reach import pool
from carferry.io.documents import NotJson, parsed, parsed_object
from carferry.io.net.bodies import tail
from carferry.io.net.pace import Limits, paced
from carferry.io.net.proxies import proxy_for
from carferry.pipelines.server.answers import JsonObject, mapping, misfit
from carferry.pipelines.server.endpoint import Endpoint, read_token
from carferry.pipelines.server.refusal import odd, refused, unreachable, web_page

_TIMEOUT_S = (10, 60)  # to connect, and between two bytes
_LOG_BYTES = 1 << 18
LONGEST_BYTES = 256 * 1024 * 1024
_ID = re.compile(r"[!-~]+")


class Server:
    """Requests to one endpoint: a time limit on each, our errors, nothing printed."""

    def __init__(self, endpoint: Endpoint, client: kfp_server_api.ApiClient) -> None:
        """Keep a logged-in client; nothing is sent yet."""
        self.endpoint = endpoint
        self._client = client
        self.pipelines = kfp_server_api.PipelineServiceApi(client)
        self.uploads = kfp_server_api.PipelineUploadServiceApi(client)
        self.experiments = kfp_server_api.ExperimentServiceApi(client)
        self.runs = kfp_server_api.RunServiceApi(client)
        self.recurring_runs = kfp_server_api.RecurringRunServiceApi(client)

    def call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Return what one method of the generated APIs answers.

        Raises:
            ClusterError: The server refused; ``status`` holds the code. Or the answer has not
                the form that it should have.
            Unreachable: No answer, or a certificate that is not trusted.
        """
        with self._named():
            return method(*arguments, _request_timeout=_TIMEOUT_S, **options)

    def identity(self, found: Any, kind: str) -> str:
        """Return the id in an answer.

        Args:
            found: What a call returned.
            kind: What it is the id of: ``run`` for the field ``run_id``.

        Raises:
            ClusterError: There is none, so that nothing was made or found.
        """
        known = getattr(found, f"{kind}_id") or ""
        if not _ID.fullmatch(known):
            raise odd(self.endpoint.url, f"answered without a {kind.replace('_', ' ')} id")
        return str(known)

    def listed(self, method: Callable[..., Any], kind: str, *arguments: Any, **options: Any) -> Any:
        """Yield the objects of every page of a list.

        Args:
            method: A list method of the generated APIs.
            kind: Name of the answer's field that holds the objects.
            arguments: For the method.
            options: For the method.

        Raises:
            ClusterError: The server refused.
            Unreachable: No answer.
        """
        token, before = "", set[str]()
        while token not in before:
            before.add(token)
            page = self.call(method, *arguments, page_size=100, page_token=token, **options)
            yield from getattr(page, kind) or []
            token = page.next_page_token or ""
            if not token:
                return
        raise odd(self.endpoint.url, f"the list of {kind} has no end")

    def read(self, path: str, **names: str) -> JsonObject:
        """Return the JSON object at a path that the generated client does not know.

        Raises:
            ClusterError: The server refused, or answered with something else.
            Unreachable: No answer.
        """
        return mapping(self.call(self._get, path, names, response_type="object"))

    def tail(self, path: str, **names: str) -> str:
        """Return the end of a text of any length.

        Raises:
            ClusterError: The server refused.
            Unreachable: No answer, or it broke off.
        """
        answer = self.call(self._get, path, names, _preload_content=False)
        with self._named(), contextlib.closing(answer):
            kept = tail(answer, _LOG_BYTES, LONGEST_BYTES)
        return kept.decode("utf-8", "replace")

    def _get(self, path: str, names: dict[str, str], **options: Any) -> Any:
        accept = {"Accept": "application/json"}
        return self._client.call_api(
            path,
            "GET",
            names,
            [],
            accept,
            auth_settings=["Bearer"],
            _return_http_data_only=True,
            **options,
        )

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Turn the client's exceptions into ours, and drop what it says on its own."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except ApiException as error:
            raise refused(error, self.endpoint.url) from error
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(error, self.endpoint.url) from error
        except OpenApiException as error:
            # An id or a name that an earlier answer left out or gave in another form.
            raise odd(self.endpoint.url, f"the answers do not fit together: {error}") from error
        except (UnicodeError, LookupError) as error:  # bytes that are not in the charset it names
            raise odd(self.endpoint.url, f"the answer cannot be read: {error}") from error


class _Client(kfp_server_api.ApiClient):  # type: ignore[misc]
    """The generated client; it would take a login page for an object without fields."""

    def request(self, method: str, url: str, **options: Any) -> Any:
        answer = super().request(method, url, **options)
        if "html" in (answer.getheader("content-type") or ""):
            raise web_page(self.configuration.host)
        return answer

    def deserialize(self, response: Any, response_type: str) -> Any:
        try:
            reason = misfit(parsed(response.data), response_type)
            if not reason:
                return super().deserialize(response, response_type)
        except (ApiException, ArithmeticError, RecursionError, TypeError, ValueError) as error:
            # Not JSON, or a date that is none: the client raises whatever it met.
            reason = f"the answer cannot be read: {getattr(error, 'reason', error)}"
        raise odd(self.configuration.host, reason)


def connect(endpoint: Endpoint) -> Server:
    """Return a server to send requests to; the first one comes later.

    Raises:
        InputError: The token file or the CA file is not there, or is something else; or a proxy
            that cannot be used.
    """
    if endpoint.token_file:
        read_token(endpoint.token_file)
    settings = kfp_server_api.Configuration(host=endpoint.url)
    settings.retries = urllib3.Retry(0)  # the caller decides what is tried again
    proxy = proxy_for(endpoint.url)
    if endpoint.token_file or endpoint.token:
        settings.api_key["authorization"] = endpoint.token
        settings.api_key_prefix["authorization"] = "Bearer"
    if endpoint.token_file:
        settings.refresh_api_key_hook = _token_reader(endpoint.token_file)
    client = _Client(settings)
    ours = pool(settings, proxy, os.environ, endpoint.ca)
    client.rest_client.pool_manager = paced(ours, Limits(LONGEST_BYTES))
    return Server(endpoint, client)


def _token_reader(path: Path) -> Callable[[kfp_server_api.Configuration], None]:
    """Return a hook that reads the token anew: in a pod it changes every hour."""

    def read(settings: kfp_server_api.Configuration) -> None:
        settings.api_key["authorization"] = read_token(path)

    return read


def json_object(text: str) -> Mapping[str, Any]:
    """Return the JSON object that a text is; empty if it is none."""
    try:
        return parsed_object(text)
    except NotJson:
        return {}
