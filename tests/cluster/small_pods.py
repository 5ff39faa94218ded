"""Pods that ask for little: an admission webhook of a small node, for objects made for large ones.

What pages deploy asks for four CPUs and 16 GiB, as real models want; the node of the tests has two.
Pods of one namespace are admitted with small requests, everything else as it came.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

from carferry.cluster.quantity import Quantity
from cluster.rig.expose import exposed
from cluster.rig.node import Node
from cluster.rig.settings import NODE_IP

SMALL = {"cpu": "50m", "memory": "64Mi"}
Object = dict[str, Any]


@contextlib.contextmanager
def small_pods(node: Node, namespace: str) -> Iterator[None]:
    """Let the pods of a namespace ask for little while the context is open."""
    authority = trustme.CA()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NODE_IP).configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    first = int((Path(node.folder) / "run/init.pid").read_text())
    name = f"small-pods-{namespace}"
    try:
        with exposed(server.server_port, first) as address:
            node.apply(_hook(name, namespace, address, authority.cert_pem.bytes()))
            try:
                yield
            finally:  # a hook without its server would hold up every pod that follows
                node.kubectl("delete", "mutatingwebhookconfiguration", name)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _hook(name: str, namespace: str, address: str, authority: bytes) -> Object:
    rule = {
        "operations": ["CREATE"],
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": ["pods"],
    }
    client = {"url": f"https://{address}/", "caBundle": base64.b64encode(authority).decode()}
    hook = {
        "name": "small-pods.tests.local",
        "clientConfig": client,
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "reinvocationPolicy": "IfNeeded",  # KServe's own hook adds containers
        "failurePolicy": "Ignore",
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [hook],
    }


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        patch = base64.b64encode(json.dumps(shrink(asked["object"])).encode()).decode()
        answer = {"uid": asked["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch}
        review = {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": answer,
        }
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def shrink(pod: Object) -> list[Object]:
    """Return the JSON patch that makes the requests of a pod's containers small, none larger."""
    patch = []
    for kind in ("initContainers", "containers"):
        for number, container in enumerate(pod["spec"].get(kind, [])):
            resources = container.get("resources", {})
            # A limit without a request counts as one.
            asked = resources.get("limits", {}) | resources.get("requests", {})
            less = {name: small for name, small in SMALL.items() if _larger(asked, name)}
            if less:
                value = resources | {"requests": resources.get("requests", {}) | less}
                path = f"/spec/{kind}/{number}/resources"
                patch.append({"op": "add", "path": path, "value": value})
    return patch


def _larger(asked: Object, name: str) -> bool:
    if name not in asked:
        return False
    return Quantity.of(asked[name]).amount > Quantity.of(SMALL[name]).amount
