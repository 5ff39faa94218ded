"""A pipelines API server (KFP v2beta1), as far as a client that submits runs can see it.

Real HTTP on a free port of 127.0.0.1. It takes what the real server takes: a bearer token, IR
documents as multipart uploads, runs whose parameters the uploaded pipeline declares, six-field
schedules. A run goes through the states a test gives it, one per look.

Source: kubeflow/pipelines backend/api/v2beta1 (swagger), server 2.5 to 2.16.
"""

from __future__ import annotations

import email
import email.policy
import json
import re
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import yaml

Document = dict[str, Any]


@dataclass
class Store:
    """All that the server holds, open for a test to read."""

    pipelines: dict[str, Document] = field(default_factory=dict)
    versions: dict[str, Document] = field(default_factory=dict)
    specs: dict[str, Document] = field(default_factory=dict)
    experiments: dict[str, Document] = field(default_factory=dict)
    runs: dict[str, Document] = field(default_factory=dict)
    recurring: dict[str, Document] = field(default_factory=dict)


class Refused(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class PipelineServer:
    """Context manager: the server runs inside, on ``url``."""

    def __init__(
        self,
        *,
        token: str = "",
        states: Sequence[str] = ("PENDING", "RUNNING", "SUCCEEDED"),
        failed_step: str = "",
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        """Demand a token, if one is given; certificate is a chain and a key for TLS."""
        self.store = Store()
        self.token = token
        self.states = list(states)
        self.failed_step = failed_step
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
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

    def answer(self, method: str, target: str, body: bytes, content_type: str) -> Document:
        """Return the JSON answer to a request.

        Raises:
            Refused: 400 or 404 with a message.
        """
        split = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        for verb, pattern, route in self._routes():
            if verb == method and (match := re.fullmatch(pattern, split.path)):
                if route in (self._upload, self._upload_version):
                    return route(query, uploaded(body, content_type))
                return route(query, json.loads(body or b"{}"), *match.groups())
        raise Refused(404, f"no such path: {method} {split.path}")

    def _routes(self) -> Sequence[tuple[str, str, Callable[..., Document]]]:
        api = "/apis/v2beta1"
        return (
            ("GET", f"{api}/healthz", lambda query, body: {"multi_user": False}),
            ("GET", f"{api}/pipelines", self._list_pipelines),
            ("POST", f"{api}/pipelines/upload", self._upload),
            ("POST", f"{api}/pipelines/upload_version", self._upload_version),
            ("GET", f"{api}/pipelines/([^/]+)/versions", self._list_versions),
            ("GET", f"{api}/experiments", self._list_experiments),
            ("POST", f"{api}/experiments", self._create_experiment),
            ("POST", f"{api}/runs", self._create_run),
            ("GET", f"{api}/runs/([^/]+)", self._get_run),
            ("POST", f"{api}/recurringruns", self._create_recurring),
        )

    def _list_pipelines(self, query: Document, body: Document) -> Document:
        return {"pipelines": filtered(self.store.pipelines, query)}

    def _upload(self, query: Document, spec: Document) -> Document:
        made = {"pipeline_id": f"p{len(self.store.pipelines)}", "display_name": query["name"]}
        self.store.pipelines[made["pipeline_id"]] = made
        self._upload_version({"pipelineid": made["pipeline_id"], "name": query["name"]}, spec)
        return made

    def _upload_version(self, query: Document, spec: Document) -> Document:
        if query["pipelineid"] not in self.store.pipelines:
            raise Refused(404, "no such pipeline")
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
        return {"pipeline_versions": of_it}

    def _list_experiments(self, query: Document, body: Document) -> Document:
        return {"experiments": filtered(self.store.experiments, query)}

    def _create_experiment(self, query: Document, body: Document) -> Document:
        made = {**body, "experiment_id": f"e{len(self.store.experiments)}"}
        self.store.experiments[made["experiment_id"]] = made
        return made

    def _create_run(self, query: Document, body: Document) -> Document:
        self._check(body)
        run_id = f"r{len(self.store.runs)}"
        self.store.runs[run_id] = {**body, "run_id": run_id, "state": "PENDING", "looks": 0}
        return visible(self.store.runs[run_id])

    def _create_recurring(self, query: Document, body: Document) -> Document:
        self._check(body)
        if len(body["trigger"]["cron_schedule"]["cron"].split()) != 6:
            raise Refused(400, "cron must have six fields")
        made = {**body, "recurring_run_id": f"c{len(self.store.recurring)}"}
        self.store.recurring[made["recurring_run_id"]] = made
        return made

    def _get_run(self, query: Document, body: Document, run_id: str) -> Document:
        if run_id not in self.store.runs:
            raise Refused(404, "no such run")
        run = self.store.runs[run_id]
        run["state"] = self.states[min(run["looks"], len(self.states) - 1)]
        run["looks"] += 1
        if run["state"] == "FAILED" and self.failed_step:
            task = {"display_name": self.failed_step, "state": "FAILED"}
            run["run_details"] = {"task_details": [{**task, "error": {"message": "exit code 1"}}]}
        return visible(run)

    def _check(self, body: Document) -> None:
        """Refuse parameters that the pipeline does not declare, or lacks."""
        spec = self.store.specs[body["pipeline_version_reference"]["pipeline_version_id"]]
        declared = spec["root"]["inputDefinitions"]["parameters"]
        given = body["runtime_config"].get("parameters", {})
        needed = {name for name, about in declared.items() if not about.get("isOptional")}
        if wrong := sorted((given.keys() - declared.keys()) | (needed - given.keys())):
            raise Refused(400, f"parameters do not match the pipeline: {wrong}")
        if body["experiment_id"] not in self.store.experiments:
            raise Refused(404, "no such experiment")

    def _handler(outer) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - self is the handler
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply()

            do_POST = do_GET  # noqa: N815 - http.server's name

            def _reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, document = 200, {}
                try:
                    wanted = f"Bearer {outer.token}"
                    if outer.token and self.headers.get("authorization") != wanted:
                        raise Refused(401, "who are you?")
                    content_type = self.headers.get("Content-Type", "")
                    document = outer.answer(self.command, self.path, body, content_type)
                except Refused as refused:
                    status, document = refused.status, {"message": str(refused)}
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        return Handler


def filtered(known: dict[str, Document], query: Document) -> list[Document]:
    """Return what an EQUALS filter on the name leaves."""
    predicates = json.loads(query.get("filter", "{}")).get("predicates", [])
    names = {
        predicate.get("stringValue", predicate.get("string_value")) for predicate in predicates
    }
    return [item for item in known.values() if not names or item["display_name"] in names]


def visible(run: Document) -> Document:
    """Return a run without the server's own notes."""
    return {name: value for name, value in run.items() if name != "looks"}


def uploaded(body: bytes, content_type: str) -> Document:
    """Return the IR document in a multipart upload.

    Raises:
        Refused: 400: no file, or not a pipeline.
    """
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.default)
    for part in message.iter_parts():
        documents = list(yaml.safe_load_all(part.get_payload(decode=True)))
        if documents and "pipelineInfo" in documents[0]:
            return documents[0]
    raise Refused(400, "no pipeline in the upload")
