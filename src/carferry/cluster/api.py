"""Requests to a Kubernetes API server: connect, send, read, and turn refusals into our errors.

The official client reads configurations and does authentication and TLS; paths are made here from
a small table, since the objects are plain dicts and discovery would cost a request per API group
(docs/adr/0022-kubernetes-client.md).
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import InClusterConfigLoader

from carferry.cluster.account import named_in
from carferry.cluster.kinds import IDENTITY, REVIEWS, Object, Permission, ResourceKind
from carferry.cluster.pod import SERVICE_ACCOUNT
from carferry.cluster.reach import pool, proxy_url
from carferry.cluster.refusals import names_object, parsed, read, refused, unreachable, unread
from carferry.errors import CarferryError, ClusterError, InputError, Unreachable
from carferry.io.net.addresses import check_address
from carferry.io.net.pace import Limits, paced
from carferry.io.net.pauses import retry_after
from carferry.io.net.proxies import Proxy, proxy_for
from carferry.shown import printable

_TIMEOUT = urllib3.Timeout(connect=10, read=60)  # seconds
# Lists come in pages of 250 objects, and an object is at most 1.5 MB (etcd) and mostly 10 kB.
_LIMITS = Limits(64 * 1024 * 1024, is_document=True)
_MOST_PAGES = 1000
# Requests at once through the server to a model that is measured.
_STREAMS = 16
# code, agent, and a quoted text (RFC 7234, 5.5), of which a header may hold several.
_WARNING = re.compile(r'\b299 \S+ "((?:[^"\\]|\\.)*)"')
_log = logging.getLogger("carferry")
_TOKEN = re.compile(r"(?:[Bb]earer )?[!-~]+")
# Whoever asks tries again, and waits as long as the server asks: not the pool, four times for each.
_ONCE = urllib3.Retry(
    3, connect=0, read=0, status=0, other=0, redirect=3, respect_retry_after_header=False
)
# What the official client raises on a broken kubeconfig: it indexes what it parsed unchecked.
_UNUSABLE = (
    *(ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, LookupError),
    *(AttributeError, RecursionError),
)


class Api:
    """A connection to one API server, as one user, with a namespace to default to."""

    def __init__(
        self,
        settings: client.Configuration,
        *,
        namespace: str = "default",
        proxy: Proxy | None = None,
        ca_file: Path | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Keep the connection; nothing is sent yet.

        Args:
            settings: Host, credentials and trust, as the official client reads them.
            namespace: Of the context; a default for callers.
            proxy: What every request goes through; None: nothing.
            ca_file: PEM certificates to trust beside all others.
            environ: Variables that name certificates.
        """
        _check_token(settings)
        self.host: str = settings.host.rstrip("/")
        self.namespace = namespace
        self._proxy = proxy
        # The caller decides what is tried again, and which proxy there is.
        settings.retries, settings.proxy = False, None
        self._pool = paced(pool(settings, proxy, environ, ca_file), _LIMITS)
        self._streams = pool(settings, proxy, environ, ca_file, connections=_STREAMS)
        self._client = client.ApiClient(settings)
        self._heard: set[str] = set()

    def call(
        self,
        permission: Permission,
        name: str = "",
        *,
        method: str = "GET",
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """Send one request and return the object the server answers with.

        Raises:
            ClusterError: The server refused; ``status`` holds the code.
            Unreachable: No answer, or a certificate that is not trusted.
        """
        response = self._send(method, _path(permission, name), query or {}, body, content_type)
        if response.status >= 300:
            raise _refused(response, permission, name)
        return parsed(response.data, permission, name)

    def text(self, permission: Permission, name: str, query: Mapping[str, str]) -> str:
        """Return a text that is no JSON object: a log.

        Raises:
            ClusterError: The server refused.
            Unreachable: No answer.
        """
        response = self._send("GET", _path(permission, name), query, None, "application/json")
        if response.status >= 300:
            raise _refused(response, permission, name)
        return response.data.decode("utf-8", "replace")

    def proxied(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        read_s: float = 60.0,
    ) -> urllib3.BaseHTTPResponse:
        """Send one request through the server to a pod or a Service; the body is left unread.

        The login to the server goes with it; the server keeps it to itself.

        A body goes in chunks. Of one with a length, Go's transport asks once more whether it is
        longer, when all of it has been sent; if by then the answer's head is on its way to us,
        the body is closed, that question fails, and the transport closes the connection to the
        pod: a stream breaks off after its first bytes. Busy servers do it to 2 of 100.
        Source: net/http ``transferWriter.writeBody``, ``chunkWriter.writeHeader``; golang/go
        issue 40747.

        Args:
            method: As in HTTP.
            path: Below the server's address, as in ``/api/v1/namespaces/x/services/y:80/proxy/z``.
            headers: More of the request's.
            body: Of the request.
            read_s: Seconds to wait for the next byte.

        Raises:
            Unreachable: No answer.
        """
        login: dict[str, str] = {}
        self._client.update_params_for_auth(login, [], ["BearerToken"])
        try:
            response: urllib3.BaseHTTPResponse = self._streams.request(
                method,
                f"{self.host}{path}",
                body=body,
                headers={**headers, **login},
                timeout=urllib3.Timeout(connect=10, read=read_s),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                chunked=body is not None,
            )
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self.host, method, error, self._proxy) from error
        return response

    def may(self, permission: Permission) -> bool:
        """Ask the server whether this user holds a permission (SelfSubjectAccessReview).

        Raises:
            ClusterError: The server does not answer the question.
        """
        attributes = {
            "namespace": permission.namespace,
            "verb": permission.verb,
            "group": permission.kind.group,
            "resource": permission.kind.plural,
            "subresource": permission.subresource,
        }
        answer = self._review(
            REVIEWS, "SelfSubjectAccessReview", {"resourceAttributes": attributes}
        )
        return bool(answer.get("allowed"))

    def whoami(self) -> str:
        """Return the user name the server knows this connection by.

        SelfSubjectReview exists from Kubernetes 1.28 on; before it, the name that a
        ServiceAccount's token carries is returned, or nothing.
        """
        try:
            answer = self._review(IDENTITY, "SelfSubjectReview", {})
            return str((answer.get("userInfo") or {})["username"])
        except (CarferryError, LookupError):
            headers: dict[str, str] = {}
            self._client.update_params_for_auth(headers, [], ["BearerToken"])
            return named_in(headers.get("authorization", "").rpartition(" ")[2])

    def _review(self, kind: ResourceKind, name: str, spec: Object) -> Object:
        """Return the status of a review of this user; reviews belong to no namespace."""
        body: Object = {"apiVersion": kind.api_version, "kind": name}
        body |= {"spec": spec} if spec else {}
        path = f"/apis/{kind.api_version}/{kind.plural}"
        response = self._send("POST", path, {}, body, "application/json")
        asked = Permission("create", kind, "")
        if response.status >= 300:
            raise _refused(response, asked, "")
        return dict(parsed(response.data, asked, "").get("status") or {})

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None,
        content_type: str,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        self._client.update_params_for_auth(headers, [], ["BearerToken"])
        url = f"{self.host}{path}?{urlencode(sorted(query.items()))}".rstrip("?")
        try:
            # The client's own layer would write whole bodies, Secrets included, to the debug log.
            response: urllib3.BaseHTTPResponse = self._pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body, sort_keys=True),
                headers=headers,
                timeout=_TIMEOUT,
                retries=_ONCE,
            )
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self.host, method, error, self._proxy) from error
        self._hear(response)
        return response

    def _hear(self, response: urllib3.BaseHTTPResponse) -> None:
        """Pass on what the server warns of, each text once: deprecations, Pod Security."""
        for header in response.headers.getlist("Warning"):
            for text in _WARNING.findall(header):
                if text not in self._heard:
                    self._heard.add(text)
                    _log.warning("the cluster warns: %s", printable(text.replace("\\", "")))

    def read(self, path: str) -> Object:
        """Return the JSON object at a path, query included, as lists are paged through.

        Raises:
            ClusterError: The server refused; ``status`` holds the code.
            Unreachable: No answer.
        """
        response = self._send("GET", path, {}, None, "application/json")
        subject = path.partition("?")[0]
        if response.status >= 300:
            error = unread(response.status, response.data, subject)
            error.retry_after_s = retry_after(response.headers)
            raise error
        return read(response.data, "read", subject)

    def get(self, kind: ResourceKind, namespace: str, name: str) -> Object | None:
        """Return one object, or None if there is none of that name."""
        permission = Permission("get", kind, namespace)
        response = self._send("GET", _path(permission, name), {}, None, "application/json")
        if response.status == 404 and names_object(response.data):
            return None
        if response.status >= 300:
            raise _refused(response, permission, name)
        return parsed(response.data, permission, name, is_named=True)

    def list(self, kind: ResourceKind, namespace: str, **selectors: str) -> list[Object]:
        """Return every object of a kind that matches the label or field selectors."""
        items: list[Object] = []
        query, asked = dict(selectors, limit="250"), Permission("list", kind, namespace)
        for _ in range(_MOST_PAGES):
            page = self.call(asked, query=query)
            items += page.get("items", [])
            query["continue"] = page.get("metadata", {}).get("continue", "")
            if not query["continue"]:
                return items
        raise ClusterError("list", asked.resource, f"more than {_MOST_PAGES} pages")


def _refused(response: urllib3.BaseHTTPResponse, permission: Permission, name: str) -> ClusterError:
    error = refused(response.status, response.data, permission, name)
    error.retry_after_s = retry_after(response.headers)
    return error


def _path(permission: Permission, name: str) -> str:
    path = permission.kind.path(permission.namespace, name)
    return f"{path}/{permission.subresource}" if permission.subresource else path


def connect(
    *,
    kubeconfig: Path | None = None,
    context: str = "",
    host: str = "",
    token: str = "",
    ca_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
) -> Api:
    """Connect to the given host or kubeconfig, else as the pod's account, else by kubeconfig.

    Args:
        kubeconfig: File to read; by default $KUBECONFIG or ~/.kube/config.
        context: Of the kubeconfig; by default its current one.
        host: ``https://...``, with ``token``: no kubeconfig is read.
        token: Bearer token for ``host``.
        ca_file: PEM certificates to trust beside all others.
        environ: Variables; KUBERNETES_SERVICE_HOST, KUBECONFIG and those of certificates and
            proxies are read.
        service_account: Folder with a pod's token, ca.crt and namespace.

    Raises:
        InputError: No configuration was given or found, or the kubeconfig is unusable.
    """
    if host:
        if not host.startswith(("https://", "http://")):
            raise InputError("connect", repr(host), "no scheme", "write https://host:port")
        settings = client.Configuration()
        settings.host = host
        if token:
            settings.api_key = {"authorization": f"Bearer {token}"}
        return Api(settings, proxy=proxy_for(host, environ), ca_file=ca_file, environ=environ)
    if kubeconfig is None and not context and "KUBERNETES_SERVICE_HOST" in environ:
        settings, namespace = _from_pod(environ, service_account)
        return Api(settings, namespace=namespace, ca_file=ca_file, environ=environ)
    files = str(kubeconfig or environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    settings, namespace, url = _from_kubeconfig(files, context)
    proxy = Proxy.parse(url, f"proxy-url in {files}") if url else proxy_for(settings.host, environ)
    return Api(settings, namespace=namespace, proxy=proxy, ca_file=ca_file, environ=environ)


def _check_token(settings: client.Configuration) -> None:
    """Refuse what no header can carry: the HTTP library would fail at it, and show it."""
    for value in settings.api_key.values():
        if not _TOKEN.fullmatch(str(value)):
            reason = "its token holds what no token has: a blank, a line break or no ASCII"
            raise InputError("log in to", settings.host, reason, "log in again: oc login")


def _from_pod(environ: Mapping[str, str], folder: Path) -> tuple[client.Configuration, str]:
    """Return a pod's account and its project; no proxy comes between it and its API server."""
    settings = client.Configuration()
    loader = InClusterConfigLoader(folder / "token", folder / "ca.crt", environ=environ)
    try:
        loader.load_and_set(settings)
        namespace = (folder / "namespace").read_text(encoding="utf-8").strip()
    except (ConfigException, OSError) as error:
        remedy = "mount the ServiceAccount token, or pass a kubeconfig"
        raise InputError("connect", "this pod's cluster", str(error), remedy) from error
    return settings, namespace


def _from_kubeconfig(files: str, context: str) -> tuple[client.Configuration, str, str]:
    """Return a context's login, its namespace and its cluster's proxy."""
    settings = client.Configuration()
    remedy = "log in (oc login), set KUBECONFIG, or render the objects instead"
    if not any(Path(part).is_file() for part in files.split(os.pathsep) if part):
        raise InputError("connect", files, "no kubeconfig there", remedy)
    try:
        contexts, active = config.list_kube_config_contexts(config_file=files)
        config.load_kube_config(
            config_file=files, context=context or None, client_configuration=settings
        )
        chosen = next((each for each in contexts if each["name"] == context), active)["context"]
        proxy = proxy_url(files, chosen["cluster"])
    except _UNUSABLE as error:
        raise InputError("connect", files, f"unusable kubeconfig: {error}", remedy) from error
    if not isinstance(settings.host, str):
        raise InputError("connect", files, "unusable kubeconfig: its server is no text", remedy)
    try:
        check_address(settings.host)
    except Unreachable as error:
        reason = f"unusable kubeconfig: its server {error.subject} is {error.reason}"
        raise InputError("connect", files, reason, remedy) from error
    return settings, chosen.get("namespace", "default"), proxy
