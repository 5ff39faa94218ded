"""The server: vLLM's routes over HTTP, only those of the model's task."""

from __future__ import annotations

import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from vllm.standin import answers, log
from vllm.standin.answers import Request, Wrong
from vllm.standin.model import Model

_ROUTES = {
    "generate": {"/v1/completions", "/v1/chat/completions"},
    "embed": {"/v1/embeddings"},
    "transcription": {"/v1/audio/transcriptions"},
}


def serve(model: Model) -> None:
    """Serve a model until the process ends."""
    tokens = model.max_model_len * 4
    log.engine("Loading weights took 0.01 seconds: %s tensors", model.tensors)
    log.engine("GPU KV cache size: %s tokens", f"{tokens:,}")
    log.engine("Maximum concurrency for %s tokens per request: 4.00x", f"{model.max_model_len:,}")
    handler = type("OfModel", (Handler,), {"model": model})
    host = model.options.host or ""
    server = _Server((host, model.options.port), handler)
    if model.options.ssl_certfile:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(model.options.ssl_certfile, model.options.ssl_keyfile)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    log.api("Starting vLLM server on http://%s:%s", host or "0.0.0.0", model.options.port)
    log.api("Application startup complete.")
    server.serve_forever()


class _Server(ThreadingHTTPServer):
    """As many may knock at once as at uvicorn's door, not five."""

    request_queue_size = 128


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    model: Model
    served = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        """Answer what asks for no text."""
        open_to_all: dict[str, Callable[[], None]] = {
            "/health": lambda: self._send(b"", "application/json"),
            "/ping": lambda: self._send(b"", "application/json"),
            "/version": lambda: self._json({"version": self.model.options.version}),
            "/metrics": self._metrics,
            "/v1/models": lambda: self._json(answers.models(self.model)),
        }
        path = self.path.partition("?")[0]
        if path.startswith("/v1/") and not self._allowed():
            return
        open_to_all.get(path, self._unknown)()

    def do_POST(self) -> None:
        """Answer with text, or with numbers."""
        body = self._body()
        if not self._allowed():
            return
        if self.path not in _ROUTES[self.model.task]:
            self._unknown()
            return
        try:
            self._answer(body)
        except Wrong as wrong:
            self._json(wrong.document, wrong.status)
        with Handler.lock:
            Handler.served += 1

    def log_message(self, format: str, *args: Any) -> None:
        """Log a request as uvicorn does."""
        host, port = self.client_address[:2]
        print(f'(APIServer pid={os.getpid()}) INFO:     {host}:{port} - "{self.requestline}" '
              f"{args[1]}", flush=True)  # fmt: skip

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return body

    def _answer(self, body: bytes) -> None:
        if self.path == "/v1/audio/transcriptions":
            if b'name="file"' not in body:
                raise Wrong("field required: file", 400, "BadRequestError", "file")
            self._json(answers.transcription(self.model))
            return
        asked = json.loads(body)
        if self.path == "/v1/embeddings":
            self._json(answers.embeddings(asked, self.model))
            return
        request = Request.read(asked, self.model, chat=self.path.endswith("/chat/completions"))
        words = _paced(request.words(self.model))
        if request.stream:
            self._stream(answers.pieces(request, words))
        else:
            self._json(answers.whole(request, "".join(words)))

    def _allowed(self) -> bool:
        keys = self.model.options.api_key or []
        known = {f"Bearer {key}" for key in ([keys] if isinstance(keys, str) else keys)}
        if not known or self.headers.get("Authorization") in known:
            return True
        self._json({"error": "Unauthorized"}, 401)
        return False

    def _metrics(self) -> None:
        text = answers.metrics(self.model, Handler.served)
        self._send(text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    def _unknown(self) -> None:
        self._json({"detail": "Not Found"}, 404)

    def _json(self, document: Any, status: int = 200) -> None:
        self._send(json.dumps(document).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, events: Iterator[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            data = event.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


def _paced(words: Iterator[str]) -> Iterator[str]:
    """Yield tokens as fast as the stand-in is told to."""
    time.sleep(float(os.environ.get("STANDIN_FIRST_TOKEN_S", "0")))
    rate = float(os.environ.get("STANDIN_TOKENS_PER_S", "0"))
    for number, word in enumerate(words):
        if number and rate:
            time.sleep(1 / rate)
        yield word
