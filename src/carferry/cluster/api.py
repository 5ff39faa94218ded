"""Requests to a Kubernetes API server: connect, send, read, and turn refusals into our errors.

The official client reads configurations and does authentication and TLS; paths are made here from
a small table, since the objects are plain dicts and discovery would cost a request per API group
(docs/adr/0022-kubernetes-client.md).
"""

from __future__ import annotations

import json
import os
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
from carferry.cluster.refusals import names_object, parsed, read, refused, unreachable
from carferry.errors import CarferryError, ClusterError, InputError
from carferry.io.pace import Limits, paced

_TIMEOUT = urllib3.Timeout(connect=10, read=60)  # seconds
# Lists come in pages of 250 objects, and an object is at most 1.5 MB (etcd) and mostly 10 kB.
_LIMITS = Limits(64 * 1024 * 1024, is_document=True)
_MOST_PAGES = 1000
# What the official client raises on a broken kubeconfig: it indexes what it parsed unchecked.
_UNUSABLE = (
    *(ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, LookupError),
    *(AttributeError, RecursionError),
)


class Api:
    """A connection to one API server, as one user, with a namespace to default to."""

    def __init__(self, settings: client.Configuration, *, namespace: str = "default") -> None:
        """Keep the connection; nothing is sent yet.

        Args:
            settings: Host, credentials and trust, as the official client reads them.
            namespace: Of the context; a default for callers.
        """
        settings.retries = False  # the caller decides what is tried again
        self.host: str = settings.host.rstrip("/")
        self.namespace = namespace
        self._client = client.ApiClient(settings)
        paced(self._client.rest_client.pool_manager, _LIMITS)

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
            raise refused(response.status, response.data, permission, name)
        return parsed(response.data, permission, name)

    def text(self, permission: Permission, name: str, query: Mapping[str, str]) -> str:
        """Return a text that is no JSON object: a log.

        Raises:
            ClusterError: The server refused.
            Unreachable: No answer.
        """
        response = self._send("GET", _path(permission, name), query, None, "application/json")
        if response.status >= 300:
            raise refused(response.status, response.data, permission, name)
        return response.data.decode("utf-8", "replace")

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
        body = {"apiVersion": kind.api_version, "kind": name, "spec": spec}
        path = f"/apis/{kind.api_version}/{kind.plural}"
        response = self._send("POST", path, {}, body, "application/json")
        asked = Permission("create", kind, "")
        if response.status >= 300:
            raise refused(response.status, response.data, asked, "")
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
            # The pool has the configured TLS; the layer above it would write whole
            # bodies, Secrets included, to the debug log.
            response: urllib3.BaseHTTPResponse = self._client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body, sort_keys=True),
                headers=headers,
                timeout=_TIMEOUT,
            )
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self.host, str(error)) from error
        return response

    def read(self, path: str) -> Object:
        """Return the JSON object at a path, query included, as lists are paged through.

        Raises:
            ClusterError: The server refused; ``status`` holds the code.
            Unreachable: No answer.
        """
        response = self._send("GET", path, {}, None, "application/json")
        subject = path.partition("?")[0]
        if response.status >= 300:
            raise ClusterError(
                "read", subject, f"the API answered {response.status}", status=response.status
            )
        return read(response.data, "read", subject)

    def get(self, kind: ResourceKind, namespace: str, name: str) -> Object | None:
        """Return one object, or None if there is none of that name."""
        permission = Permission("get", kind, namespace)
        response = self._send("GET", _path(permission, name), {}, None, "application/json")
        if response.status == 404 and names_object(response.data):
            return None
        if response.status >= 300:
            raise refused(response.status, response.data, permission, name)
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
        host: ``https://...``, with ``token`` and ``ca_file``: no kubeconfig is read.
        token: Bearer token for ``host``.
        ca_file: CA bundle for ``host``.
        environ: Variables; KUBERNETES_SERVICE_HOST and KUBECONFIG are read.
        service_account: Folder with a pod's token, ca.crt and namespace.

    Raises:
        InputError: No configuration was given or found, or the kubeconfig is unusable.
    """
    settings = client.Configuration()
    if host:
        if not host.startswith(("https://", "http://")):
            raise InputError("connect", repr(host), "no scheme", "write https://host:port")
        settings.host = host
        settings.ssl_ca_cert = str(ca_file) if ca_file else None
        if token:
            settings.api_key = {"authorization": f"Bearer {token}"}
        return Api(settings)
    if kubeconfig is None and not context and "KUBERNETES_SERVICE_HOST" in environ:
        return _from_pod(settings, environ, service_account)
    files = str(kubeconfig or environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    return _from_kubeconfig(settings, files, context)


def _from_pod(settings: client.Configuration, environ: Mapping[str, str], folder: Path) -> Api:
    loader = InClusterConfigLoader(folder / "token", folder / "ca.crt", environ=environ)
    try:
        loader.load_and_set(settings)
        namespace = (folder / "namespace").read_text(encoding="utf-8").strip()
    except (ConfigException, OSError) as error:
        remedy = "mount the ServiceAccount token, or pass a kubeconfig"
        raise InputError("connect", "this pod's cluster", str(error), remedy) from error
    return Api(settings, namespace=namespace)


def _from_kubeconfig(settings: client.Configuration, files: str, context: str) -> Api:
    remedy = "log in (oc login), set KUBECONFIG, or render the objects instead"
    if not any(Path(part).is_file() for part in files.split(os.pathsep) if part):
        raise InputError("connect", files, "no kubeconfig there", remedy)
    try:
        contexts, active = config.list_kube_config_contexts(config_file=files)
        config.load_kube_config(
            config_file=files, context=context or None, client_configuration=settings
        )
    except _UNUSABLE as error:
        raise InputError("connect", files, f"unusable kubeconfig: {error}", remedy) from error
    chosen = next((each for each in contexts if each["name"] == context), active)
    if not isinstance(settings.host, str):
        raise InputError("connect", files, "unusable kubeconfig: its server is no text", remedy)
    return Api(settings, namespace=chosen["context"].get("namespace", "default"))
