"""A served model in a cluster: what it should serve, and the ways that lead to it from here.

Sources: kserve v0.20 (InferenceServiceStatus, LLMInferenceServiceStatus; labels of pods),
opendatahub-io/odh-dashboard (auth and visibility), Kubernetes (proxy subresources).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from carferry.cluster.kinds import KINDS, Object
from carferry.cluster.kserve import llm_kind, made_of
from carferry.endpoint.door import Direct, Door, Proxied
from carferry.errors import ClusterError, EndpointFailed
from carferry.io.net.http import Http

if TYPE_CHECKING:
    from carferry.cluster.api import Api

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
_AUTH = "security.opendatahub.io/enable-auth"
_VISIBLE = "networking.kserve.io/visibility"
_KNATIVE_VISIBLE = "networking.knative.dev/visibility"
_LENGTH = re.compile(r"--max[-_]model[-_]len(?:=|$)")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Found:
    """A served model, as the cluster describes it.

    Attributes:
        kind: ``InferenceService`` or ``LLMInferenceService``.
        name: Of the object.
        namespace: Its project.
        model: The name that requests use.
        max_model_len: As it was deployed; 0 if that was left to the model.
        inside: Address in the cluster; empty if there is none yet.
        outside: Address of its route; empty if none was asked for.
        has_auth: Whether it asks for a token.
        is_knative: Whether a pod stands behind Knative's own proxy.
        reason: Why it is not ready; empty if it is.
    """

    kind: str
    name: str
    namespace: str
    model: str
    max_model_len: int
    inside: str
    outside: str
    has_auth: bool
    is_knative: bool
    reason: str


def find(api: Api, name: str, namespace: str) -> Found:
    """Return what serves under a name.

    Raises:
        EndpointFailed: Nothing does.
        ClusterError: It may not be read.
        Unreachable: The API server does not answer.
    """
    obj = api.get(KINDS["InferenceService"], namespace, name)
    if obj is not None:
        return service(obj)
    if (obj := _llm(api, namespace, name)) is not None:
        return llm_service(obj)
    names = [each["metadata"]["name"] for each in api.list(KINDS["InferenceService"], namespace)]
    known = f"there is {', '.join(sorted(names)[:10])}" if names else "there is none"
    reason = f"no InferenceService of that name in {namespace}: {known}"
    raise EndpointFailed("test", name, reason, "pass --namespace, or a URL")


def service(obj: Object) -> Found:
    """Return what an InferenceService says of itself."""
    status, about = obj.get("status") or {}, obj["metadata"]
    model = ((obj.get("spec") or {}).get("predictor") or {}).get("model") or {}
    labels, annotations = about.get("labels") or {}, about.get("annotations") or {}
    is_knative = status.get("deploymentMode") in ("Knative", "Serverless")
    shown = (
        labels.get(_KNATIVE_VISIBLE) != "cluster-local"
        if is_knative
        else labels.get(_VISIBLE) == "exposed"
    )
    return Found(
        kind="InferenceService",
        name=about["name"],
        namespace=about["namespace"],
        model=about["name"],
        max_model_len=_length(model.get("args") or []),
        inside=_plain((status.get("address") or {}).get("url")),
        outside=_plain(status.get("url")) if shown else "",
        has_auth=annotations.get(_AUTH) == "true",
        is_knative=is_knative,
        reason=_unready(status),
    )


def llm_service(obj: Object) -> Found:
    """Return what an LLMInferenceService says of itself; it asks for a token unless told not to."""
    status, about = obj.get("status") or {}, obj["metadata"]
    spec = obj.get("spec") or {}
    annotations = about.get("annotations") or {}
    addresses = [_plain(each.get("url")) for each in status.get("addresses") or []]
    inside = next((url for url in addresses if ".svc" in url), "")
    url = _plain(status.get("url"))
    return Found(
        kind="LLMInferenceService",
        name=about["name"],
        namespace=about["namespace"],
        model=str((spec.get("model") or {}).get("name") or about["name"]),
        max_model_len=0,
        inside=inside or (url if ".svc" in url else ""),
        outside="" if ".svc" in url else url,
        has_auth=annotations.get(_AUTH) != "false",
        is_knative=False,
        reason=_unready(status),
    )


def doors(
    api: Api,
    found: Found,
    *,
    token: str = "",
    http: Http | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[Door]:
    """Yield the ways to a served model from here, the one that its clients take first.

    In the cluster that is its address; elsewhere its route, if it has one. Last comes the API
    server's proxy, which leads there from wherever kubectl does.

    Args:
        api: The connection.
        found: What serves.
        token: Of the model's; see ``token_of``.
        http: Trust and proxies of the direct ways.
        environ: Tells whether this runs in a pod.
    """
    http = http or Http()
    if found.inside and _IN_CLUSTER in environ:
        yield Direct(found.inside, token, http, "inside the cluster")
    if found.outside:
        yield Direct(found.outside, token, http, "its route")
    behind = _to_pod(api, found) if found.has_auth or found.is_knative else _to_service(api, found)
    if behind is not None:
        yield behind


def token_of(api: Api, found: Found) -> str:
    """Return the token that a deployment's own account has; empty if there is none to be read.

    The Secret is the one that ``deploy`` makes, or another of the same account, as the dashboard
    makes them.
    """
    account = f"{found.name}-sa"
    try:
        made = api.get(KINDS["Secret"], found.namespace, f"default-name-{account}")
        secrets = [made] if made else _tokens(api, found.namespace, account)
    except ClusterError:
        return ""
    for secret in secrets:
        if token := _decoded((secret.get("data") or {}).get("token")):
            return token
    return ""


def _tokens(api: Api, namespace: str, account: str) -> list[Object]:
    kind = "type=kubernetes.io/service-account-token"
    held = api.list(KINDS["Secret"], namespace, fieldSelector=kind)
    name = "kubernetes.io/service-account.name"
    return [s for s in held if (s["metadata"].get("annotations") or {}).get(name) == account]


def _llm(api: Api, namespace: str, name: str) -> Object | None:
    kind = llm_kind(api)
    try:
        return api.get(kind, namespace, name) if kind else None
    except ClusterError as error:
        if error.status in (403, 404):  # not to be seen, or gone
            return None
        raise


def _to_service(api: Api, found: Found) -> Proxied | None:
    parts = urlsplit(found.inside)
    service = (parts.hostname or "").partition(".")[0]
    if not service:
        return None
    port = parts.port or _PORTS.get(parts.scheme, 80)
    scheme = "https:" if parts.scheme == "https" else ""
    return Proxied(api, found.namespace, "services", f"{scheme}{service}:{port}")


def _to_pod(api: Api, found: Found) -> Proxied | None:
    """Return the way to a ready pod's own server, which is behind what asks for a token."""
    made = made_of(KINDS[found.kind], found.name)
    for pod in api.list(KINDS["Pod"], found.namespace, labelSelector=made.selector):
        conditions = (pod.get("status") or {}).get("conditions") or []
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        for container in pod["spec"]["containers"] if ready else ():
            if container.get("name") == made.server:
                ports = container.get("ports") or [{}]
                port = ports[0].get("containerPort", 8080)
                place = f"{_scheme(container)}{pod['metadata']['name']}:{port}"
                return Proxied(api, found.namespace, "pods", place)
    return None


def _scheme(container: Object) -> str:
    """Return the scheme as a proxy takes it: whoever is probed by TLS serves nothing else."""
    probe = (container.get("readinessProbe") or {}).get("httpGet") or {}
    return "https:" if probe.get("scheme") == "HTTPS" else ""


def _length(args: list[str]) -> int:
    """Return the last ``--max-model-len`` of a server's arguments; 0 if there is none."""
    length = 0
    for index, word in enumerate(args):
        if match := _LENGTH.match(word):
            value = word[match.end() :] or (args[index + 1] if index + 1 < len(args) else "")
            length = int(value) if value.isascii() and value.isdigit() else 0
    return length


def _unready(status: Object) -> str:
    for each in status.get("conditions") or []:
        if each.get("type") == "Ready" and each.get("status") != "True":
            return str(each.get("message") or each.get("reason") or "its condition Ready is false")
    return "" if status.get("conditions") else "KServe has not looked at it yet"


def _plain(url: object) -> str:
    """Return an address without ``/v1`` and the slash at its end."""
    return str(url or "").rstrip("/").removesuffix("/v1").rstrip("/")


def _decoded(text: object) -> str:
    try:
        return base64.b64decode(str(text or ""), validate=True).decode("ascii").strip()
    except (binascii.Error, UnicodeDecodeError):
        return ""
