"""A small Kubernetes API server of ours: real HTTP on a free port, state in memory.

Knows create, read, list, delete and server-side apply (field managers, conflicts, dry run),
access reviews, Roles, and rules that forbid. Nothing runs behind it: a test scripts what the
controllers would have written, one step per look at the InferenceService or the Job.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from servers.certs import Certificates
from servers.kube_store import RESOURCES, Object, Refusal, Store

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
IDENTITY = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_NAMESPACE = re.compile(r"/api/v1/namespaces/([^/]+)")
_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))/namespaces/(?P<namespace>[^/]+)"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>log))?"
)
_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Request:
    """One request as the server saw it."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    body: Object | None
    user: str


@dataclass
class KubeServer:
    """The server and its state; use it as a context manager.

    Attributes:
        user: Who a caller without a known token is.
        tokens: Bearer tokens that are accepted; empty accepts any.
        namespaces: Those that exist.
        forbidden: (verb, plural) pairs that answer 403.
        roles: Namespace to the rules that the caller holds there, as a Role writes them; those of
            "" hold everywhere. None: everything is allowed that is not forbidden.
        anonymous: Answer 404 when asked who the caller is, as before Kubernetes 1.28.
        uninstalled: API groups that answer 404, as before their CRDs are there.
        more: API groups with their versions, of which nothing but the name is served; those that
            say OpenShift AI 3 by default.
        failing: Answers ``failure``, with ``failing_words``, to that many requests; 400 only to
            those that write, as a webhook does.
        denials: Kind's plural to what an admission webhook says about it.
        logs: (pod, container, of the previous run) to log text.
        requests: Every request, in order.
        certificates: What clients must trust, if there is TLS.
    """

    user: str = "system:serviceaccount:demo:pipeline-runner"
    tokens: set[str] = field(default_factory=set)
    namespaces: set[str] = field(default_factory=lambda: {"demo"})
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    roles: dict[str, list[Object]] | None = None
    anonymous: bool = False
    uninstalled: set[str] = field(default_factory=set)
    more: tuple[str, ...] = ("route.openshift.io/v1", "infrastructure.opendatahub.io/v1")
    failing: int = 0
    failure: int = 503
    failing_words: str = "the server is overloaded"
    denials: dict[str, str] = field(default_factory=dict)
    logs: dict[tuple[str, str, bool], str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    store: Store = field(default_factory=Store)
    certificates: Certificates | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> KubeServer:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if self.certificates:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificates.chain, self.certificates.key)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        scheme = "https" if self.certificates else "http"
        return f"{scheme}://127.0.0.1:{self._http.server_port}"

    def answer(self, request: Request) -> Object | str:
        """Return the answer to one request.

        Raises:
            Refusal: The answer is a Status.
        """
        with self._lock:
            self.requests.append(request)
            if self.failing and (self.failure != 400 or request.method in _VERBS):
                self.failing -= 1
                raise Refusal(self.failure, "Overloaded", self.failing_words)
            if request.path == REVIEWS and request.method == "POST":
                return self._review(request)
            if request.path == IDENTITY and not self.anonymous:
                return {"status": {"userInfo": {"username": self.user}}}
            if (
                not request.path.startswith(("/api/v1/", "/apis/"))
                or "/namespaces/" not in request.path
            ):
                return self._discover(request.path)
            if project := _NAMESPACE.fullmatch(request.path):
                return self._project(project[1])
            return self._resource(request)

    def _project(self, name: str) -> Object:
        if not self._allows("get", "", "namespaces", name):
            raise Refusal(403, "Forbidden", self._cannot("get", "namespaces", "", "", name), name)
        if name not in self.namespaces:
            raise Refusal(404, "NotFound", f'namespaces "{name}" not found', name)
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}

    def _review(self, request: Request) -> Object:
        assert request.body is not None
        if ("create", "selfsubjectaccessreviews") in self.forbidden:
            raise Refusal(403, "Forbidden", f'User "{self.user}" cannot create resource "reviews"')
        asked = request.body["spec"]["resourceAttributes"]
        resource = f"{asked['resource']}/{asked.get('subresource') or ''}".rstrip("/")
        place = asked.get("namespace") or ""
        allowed = self._allows(asked["verb"], asked["group"], resource, place)
        return request.body | {"status": {"allowed": allowed}}

    def _allows(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        if (verb, resource) in self.forbidden:
            return False
        if self.roles is None:
            return True
        held = [*self.roles.get("", []), *(self.roles.get(namespace, []) if namespace else [])]
        wanted = (("verbs", verb), ("apiGroups", group), ("resources", resource))
        return any(all({part, "*"} & {*rule[key]} for key, part in wanted) for rule in held)

    def _discover(self, path: str) -> Object:
        if path == "/version":
            return {"major": "1", "minor": "31", "gitVersion": "v1.31.0"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            known = (*RESOURCES, *self.more)
            groups = [name for name in known if "/" in name and not self._is_uninstalled(name)]
            return {"kind": "APIGroupList", "groups": [_group(name) for name in groups]}
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if version not in RESOURCES or self._is_uninstalled(version):
            raise Refusal(404, "NotFound", "404 page not found")
        resources = [
            {
                "name": plural,
                "kind": kind,
                "namespaced": True,
                "singularName": kind.lower(),
                "verbs": [],
            }
            for kind, plural in RESOURCES[version].items()
        ]
        return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}

    def _resource(self, request: Request) -> Object | str:
        match = _PATH.fullmatch(request.path)
        version = (match["core"] or match["group"]) if match else ""
        if not match or match["plural"] not in RESOURCES.get(version, {}).values():
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        if self._is_uninstalled(version):
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        plural, namespace, name = match["plural"], match["namespace"], match["name"] or ""
        verb = _VERBS.get(request.method, "get" if name else "list")
        group = version.rpartition("/")[0]
        resource = f"{plural}/{match['sub'] or ''}".rstrip("/")
        makes = verb == "patch" and (plural, namespace, name) not in self.store.objects
        for each in (verb, "create") if makes else (verb,):
            if not self._allows(each, group, resource, namespace):
                said = self._cannot(each, plural, group, namespace, name)
                raise Refusal(403, "Forbidden", said, name)
        if match["sub"]:
            return self._log(name, request.query)
        if verb in ("create", "patch") and namespace not in self.namespaces:
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found', namespace)
        if verb == "patch" and plural in self.denials:
            said = f'admission webhook "w.test" denied the request: {self.denials[plural]}'
            raise Refusal(403, "Forbidden", said, name)
        return self.store.do(
            verb, (plural, namespace, name), request.query, self._checked(verb, request)
        )

    def _checked(self, verb: str, request: Request) -> Object:
        wanted = "application/apply-patch+yaml"
        if verb == "patch" and (
            request.content_type != wanted or not request.query.get("fieldManager")
        ):
            raise Refusal(415, "UnsupportedMediaType", "only server-side apply is served here")
        return request.body or {}

    def _log(self, pod: str, query: dict[str, str]) -> str:
        try:
            return self.logs[pod, query["container"], query.get("previous") == "true"]
        except KeyError:
            raise Refusal(400, "BadRequest", "previous terminated container not found") from None

    def _is_uninstalled(self, version: str) -> bool:
        return version.rpartition("/")[0] in self.uninstalled

    def _cannot(self, verb: str, plural: str, group: str, namespace: str, name: str) -> str:
        full = f"{plural}.{group}" if group else plural
        return (
            f'{full} "{name}" is forbidden: User "{self.user}" cannot {verb} resource "{plural}" '
            f'in API group "{group}" in the namespace "{namespace}"'
        )


def _group(version: str) -> Object:
    group, _, short = version.partition("/")
    entry = {"groupVersion": version, "version": short}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _handler(server: KubeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: no wait for a delayed acknowledgement

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            url = urlsplit(self.path)
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            request = Request(
                self.command,
                url.path,
                {name: values[-1] for name, values in parse_qs(url.query).items()},
                self.headers.get("Content-Type") or "",
                json.loads(body) if body else None,
                server.user,
            )
            try:
                if server.tokens and token not in server.tokens:
                    raise Refusal(401, "Unauthorized", "Unauthorized")
                self._send(200, server.answer(request))
            except Refusal as refusal:
                self._send(refusal.code, _status(refusal))

        def _send(self, code: int, answer: Object | str) -> None:
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base class looks them up

    return Handler


def _details(refusal: Refusal) -> Object:
    is_project = refusal.message.startswith("namespaces ") and refusal.code == 404
    kind = {"kind": "namespaces"} if is_project else {}
    return {"name": refusal.name, **kind} if refusal.name else {}


def _status(refusal: Refusal) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": refusal.message,
        "reason": refusal.reason,
        "details": _details(refusal),
        "code": refusal.code,
    }
