"""A small API server: pages, forbids and lacks collections as Kubernetes does."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from carferry.errors import ClusterError
from carferry.gpu.inventory.listing import List, paged

Objects = list[dict[str, Any]]


@contextmanager
def api(
    collections: Mapping[str, Objects], *, forbidden: tuple[str, ...] = (), broken: str = ""
) -> Iterator[List]:
    """Serve collections over HTTP on loopback; yields what lists them."""
    with serving(collections, forbidden=forbidden, broken=broken) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        try:
            yield paged(lambda path: _get(connection, path))
        finally:
            connection.close()


@contextmanager
def serving(
    collections: Mapping[str, Objects], *, forbidden: tuple[str, ...] = (), broken: str = ""
) -> Iterator[str]:
    """Serve collections over HTTP on loopback; yields the server's address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            status, body = 200, _page(collections.get(url.path), parse_qs(url.query))
            if url.path in forbidden:
                status, body = 403, {"message": "forbidden"}
            elif url.path == broken:
                status, body = 500, {"message": "etcd is away"}
            elif body is None:
                status, body = 404, {"message": "not found"}
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            """Answer an access review about a collection: whoever is not forbidden may list it."""
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked = review["spec"].get("resourceAttributes") or {}
            root = f"/apis/{asked.get('group')}/v1" if asked.get("group") else "/api/v1"
            scope = f"/namespaces/{asked['namespace']}" if asked.get("namespace") else ""
            path = f"{root}{scope}/{asked.get('resource')}"
            data = json.dumps({"status": {"allowed": path not in forbidden}}).encode()
            self.send_response(201)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Keep test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _page(items: Objects | None, query: dict[str, list[str]]) -> dict[str, Any] | None:
    if items is None:
        return None
    token = query.get("continue", ["0"])[0]
    # What a broken answer gave out as a token starts anew.
    start = int(token) if token.isascii() and token.isdecimal() and len(token) < 19 else 0
    limit = int(query.get("limit", ["500"])[0])
    end = start + limit
    token = str(end) if end < len(items) else ""
    return {"items": items[start:end], "metadata": {"continue": token}}


def _get(connection: http.client.HTTPConnection, path: str) -> dict[str, Any]:
    connection.request("GET", path)
    response = connection.getresponse()
    body: dict[str, Any] = json.loads(response.read())
    if response.status != 200:
        raise ClusterError("list", path, body["message"], status=response.status)
    return body


def node(
    name: str,
    product: str = "NVIDIA-L40S",
    count: int = 4,
    *,
    resource: str = "nvidia.com/gpu",
    labels: Mapping[str, str] | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """Return a ready GPU node; extra keys go into spec (taints) or status (images)."""
    status = {
        "allocatable": {resource: str(count), "cpu": "64", "ephemeral-storage": "500Gi"},
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    spec = {key: value for key, value in extra.items() if key in ("taints", "unschedulable")}
    status |= {key: value for key, value in extra.items() if key not in spec}
    named = {"nvidia.com/gpu.product": product} if product else {}
    return {
        "metadata": {"name": name, "labels": {**named, **(labels or {})}},
        "spec": spec,
        "status": status,
    }


def pod(node_name: str, gpus: int, phase: str = "Running", **spec: Any) -> dict[str, Any]:
    """Return a pod on a node whose one container limits some GPUs."""
    container = {"resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}
    return {
        "metadata": {"name": "p"},
        "spec": {"nodeName": node_name, "containers": [container], **spec},
        "status": {"phase": phase},
    }
