"""A pipelines API server (KFP v2beta1), as far as a client that submits runs can see it.

Real HTTP on a free port of 127.0.0.1. It takes what the real server takes: a bearer token, IR
documents as multipart uploads, runs whose parameters the uploaded pipeline declares, schedules
that its cron library parses. A run goes through the looks a test gives it, one at a time.

Source: kubeflow/pipelines backend/api/v2beta1 (swagger) and backend/src/apiserver, 2.5 to 2.16.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from servers.argo import Look
from servers.dsp_rules import (
    EXISTS,
    NOT_FOUND,
    Refused,
    UploadRefused,
    check_concurrency,
    check_parameters,
    check_trigger,
    uploaded,
)
from servers.dsp_runs import Run

Document = dict[str, Any]


@dataclass
class Store:
    """All that the server holds, open for a test to read."""

    pipelines: dict[str, Document] = field(default_factory=dict)
    versions: dict[str, Document] = field(default_factory=dict)
    specs: dict[str, Document] = field(default_factory=dict)
    experiments: dict[str, Document] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    recurring: dict[str, Document] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    published: list[tuple[str, str]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)


class PipelineServer:
    """Context manager: the server runs inside, on ``url``."""

    def __init__(
        self,
        looks: Sequence[Look] = (Look("RUNNING", at="fit-model"), Look("SUCCEEDED")),
        *,
        token: str = "",
        certificate: tuple[Path, Path] | None = None,
        page_size: int = 100,
        v1beta1: bool = True,
    ) -> None:
        """Demand a token, if one is given; certificate is a chain and a key for TLS.

        Args:
            looks: What each look at a run finds; the last one stays.
            token: Bearer token to demand.
            certificate: For TLS.
            page_size: Most objects that one page of a list holds.
            v1beta1: Whether the older form of the API is served, as all releases until now do.
        """
        self.store = Store()
        self.token = token
        self.looks = list(looks)
        self.page_size = page_size
        self.v1beta1 = v1beta1
        self.before: Callable[[str, str], None] = lambda method, path: None
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, method: str, target: str, body: bytes, content_type: str) -> Document | str:
        """Return the answer to a request.

        Raises:
            Refused: 400, 404 or 409 with the server's words.
        """
        split = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        self.before(method, split.path)
        with self._lock:
            self.store.requests.append((method, split.path))
            for verb, pattern, route in self._routes():
                if verb == method and (match := re.fullmatch(pattern, split.path)):
                    if "multipart" in content_type:
                        return route(query, uploaded(body, content_type))
                    return route(query, json.loads(body or b"{}"), *match.groups())
        raise Refused(NOT_FOUND, "Not Found")

    def _routes(self) -> Sequence[tuple[str, str, Callable[..., Document | str]]]:
        api = "/apis/v2beta1"
        old = [
            ("GET", "/apis/v1beta1/runs/([^/]+)", lambda q, b, run: self._run(run).v1beta1()),
            ("GET", "/apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log", self._log),
        ]
        return (
            *(old if self.v1beta1 else ()),
            ("GET", f"{api}/pipelines", self._list_pipelines),
            ("POST", f"{api}/pipelines", self._create_pipeline),
            ("POST", f"{api}/pipelines/upload", self._upload),
            ("POST", f"{api}/pipelines/upload_version", self._upload_version),
            ("GET", f"{api}/pipelines/([^/]+)/versions", self._list_versions),
            ("GET", f"{api}/pipelines/[^/]+/versions/([^/]+)", self._get_version),
            ("GET", f"{api}/experiments", self._list_experiments),
            ("POST", f"{api}/experiments", self._create_experiment),
            ("POST", f"{api}/runs", self._create_run),
            ("GET", f"{api}/runs/([^/]+)", lambda q, b, run: self._run(run).v2beta1()),
            ("GET", f"{api}/artifacts", self._list_artifacts),
            ("GET", f"{api}/artifacts/([0-9]+)", self._sign),
            ("GET", "/store/([0-9]+)", lambda q, b, key: self.store.published[int(key)][1]),
            ("GET", f"{api}/recurringruns", self._list_recurring),
            ("POST", f"{api}/recurringruns", self._create_recurring),
            ("POST", f"{api}/recurringruns/([^/]+):(enable|disable)", self._switch),
            ("DELETE", f"{api}/recurringruns/([^/]+)", self._delete_recurring),
        )

    def _list_pipelines(self, query: Document, body: Document) -> Document:
        return self._page("pipelines", self.store.pipelines.values(), query)

    def _create_pipeline(self, query: Document, body: Document) -> Document:
        name, place = body["display_name"], body.get("namespace", "")
        taken = {(p["display_name"], p["namespace"]) for p in self.store.pipelines.values()}
        if (name, place) in taken:
            said = f"Failed to create a new pipeline. The name {name} already exist."
            raise Refused(EXISTS, said, "Failed to create a pipeline due to server error")
        made = {"pipeline_id": f"p{len(taken)}", "display_name": name, "namespace": place}
        self.store.pipelines[made["pipeline_id"]] = made
        return made

    def _upload(self, query: Document, spec: Document) -> Document:
        """Make a pipeline and, as the real server does, a version of the same name."""
        wanted = {"display_name": query["name"], "namespace": query.get("namespace", "")}
        made = self._create_pipeline({}, wanted)
        self._upload_version({"pipelineid": made["pipeline_id"], "name": query["name"]}, spec)
        return made

    def _upload_version(self, query: Document, spec: Document) -> Document:
        known = [v for v in self.store.versions.values() if v["pipeline_id"] == query["pipelineid"]]
        if query["name"] in {version["display_name"] for version in known}:
            raise UploadRefused(EXISTS, "Failed to create a pipeline version")
        made = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": f"v{len(self.store.versions)}",
            "display_name": query["name"],
        }
        self.store.versions[made["pipeline_version_id"]] = made
        self.store.specs[made["pipeline_version_id"]] = spec
        return made

    def _list_versions(self, query: Document, body: Document, pipeline: str) -> Document:
        of_it = [v for v in self.store.versions.values() if v["pipeline_id"] == pipeline]
        return self._page("pipeline_versions", of_it, query)

    def _get_version(self, query: Document, body: Document, version: str) -> Document:
        if version not in self.store.specs:
            raise Refused(NOT_FOUND, f"PipelineVersion {version} not found", "Failed to get it")
        spec = {"pipeline_spec": self.store.specs[version], "platform_spec": {}}
        return self.store.versions[version] | {"pipeline_spec": spec}

    def _list_experiments(self, query: Document, body: Document) -> Document:
        return self._page("experiments", self.store.experiments.values(), query)

    def _create_experiment(self, query: Document, body: Document) -> Document:
        made = {**body, "experiment_id": f"e{len(self.store.experiments)}"}
        self.store.experiments[made["experiment_id"]] = made
        return made

    def _create_run(self, query: Document, body: Document) -> Document:
        run = Run(body, self._checked(body), self.looks)
        self.store.runs[run.id] = run
        return run.shown()

    def _create_recurring(self, query: Document, body: Document) -> Document:
        check_trigger(body["trigger"])
        check_concurrency(body["max_concurrency"])
        self._checked(body)
        status = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}[body["mode"]]
        made = {**body, "recurring_run_id": f"c{len(self.store.requests)}", "status": status}
        self.store.recurring[made["recurring_run_id"]] = made
        return made

    def _list_recurring(self, query: Document, body: Document) -> Document:
        group = query.get("experiment_id")
        known = [r for r in self.store.recurring.values() if group in (None, r["experiment_id"])]
        return self._page("recurringRuns", known, query)  # so spelled in the v2beta1 API

    def _switch(self, query: Document, body: Document, recurring: str, how: str) -> Document:
        self._recurring(recurring)["status"] = {"enable": "ENABLED", "disable": "DISABLED"}[how]
        return {}

    def _delete_recurring(self, query: Document, body: Document, recurring: str) -> Document:
        self._recurring(recurring)
        del self.store.recurring[recurring]
        return {}

    def _recurring(self, recurring: str) -> Document:
        if recurring not in self.store.recurring:
            raise Refused(NOT_FOUND, f"Job {recurring} not found", "Failed to get a recurring run")
        return self.store.recurring[recurring]

    def _run(self, run_id: str) -> Run:
        if run_id not in self.store.runs:
            raise Refused(NOT_FOUND, f"Run {run_id} not found", "Failed to get a run")
        return self.store.runs[run_id]

    def _log(self, query: Document, body: Document, run_id: str, pod: str) -> Document | str:
        """Return a pod's log; the real server has sent its 200 before it looks for the pod."""
        missing = f"Failed to read logs for run {run_id}"
        return self.store.logs.get(pod) or {"error_message": missing, "error_details": pod}

    def _list_artifacts(self, query: Document, body: Document) -> Document:
        known = [
            {"artifact_id": str(key), "uri": uri}
            for key, (uri, _) in enumerate(self.store.published)
        ]
        return {"artifacts": known[::-1] if query.get("order_by") == "desc" else known}

    def _sign(self, query: Document, body: Document, key: str) -> Document:
        signed = f"{self.url}/store/{key}?X-Amz-Signature=5ec4e7"
        return {"artifact_id": key} | ({"download_url": signed} if "view" in query else {})

    def _checked(self, body: Document) -> Document:
        spec = self.store.specs[body["pipeline_version_reference"]["pipeline_version_id"]]
        check_parameters(spec, body["runtime_config"].get("parameters", {}))
        return spec

    def _page(self, kind: str, known: Iterable[Document], query: Mapping[str, str]) -> Document:
        predicates = json.loads(query.get("filter", "{}")).get("predicates", [])
        names = {each.get("string_value", each.get("stringValue")) for each in predicates}
        found = [item for item in known if not names or item["display_name"] in names]
        start = int(query.get("page_token") or 0)
        end = start + min(int(query.get("page_size", 20)), self.page_size)
        rest = {"next_page_token": str(end)} if end < len(found) else {}
        return {kind: found[start:end], "total_size": len(found)} | rest


def _handler(server: PipelineServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply()

        do_POST = do_DELETE = do_GET  # noqa: N815 - http.server's name

        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            stored = self.path.startswith("/store/")  # its link is signed, a token is too much
            wanted = f"Bearer {server.token}" if server.token and not stored else None
            if (wanted or stored) and self.headers.get("authorization") != wanted:
                self._send(401, "Unauthorized\n")  # the proxy before the server
                return
            content_type = self.headers.get("Content-Type", "")
            try:
                self._send(200, server.answer(self.command, self.path, body, content_type))
            except Refused as refused:
                self._send(refused.status, refused.body)

        def _send(self, status: int, answer: Document | str) -> None:
            text = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            kind = "text/plain" if isinstance(answer, str) else "application/json"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    return Handler
