"""A model server that answers whatever a test has written, also what no model server answers."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from servers.serving import Handler, Serving

MODELS = {
    "object": "list",
    "data": [{"id": "tiny", "object": "model", "owned_by": "vllm", "max_model_len": 64}],
}
SAID = {"choices": [{"message": {"content": "A boat."}}], "usage": {"completion_tokens": 3}}
PAGE = b"<!doctype html><html><head><title>Log in</title></head></html>"


@dataclass(frozen=True, slots=True)
class Written:
    """One answer.

    Attributes:
        status: Of HTTP.
        body: Bytes at once, or pieces that are sent as chunks.
        headers: Besides the length.
    """

    status: int = 200
    body: bytes | Callable[[], Iterable[bytes]] = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


def written(document: object, status: int = 200) -> Written:
    """Return an answer of JSON."""
    return Written(status, json.dumps(document).encode())


def stream(*pieces: bytes) -> Written:
    """Return an answer in pieces, as a stream of events."""
    return Written(200, lambda: iter(pieces), {"Content-Type": "text/event-stream; charset=utf-8"})


def event(document: object) -> bytes:
    """Return one event of a stream."""
    return f"data: {json.dumps(document)}\n\n".encode()


def chunk(text: str) -> bytes:
    """Return the event that brings some text of a chat."""
    return event({"choices": [{"delta": {"content": text}}]})


def dripping(piece: bytes, pause_s: float = 0.05) -> Written:
    """Return a stream of events without an end."""

    def pieces() -> Iterator[bytes]:
        while True:
            yield piece
            time.sleep(pause_s)

    return Written(200, pieces, {"Content-Type": "text/event-stream"})


class ModelApi(Serving):
    """The server.

    Attributes:
        answers: By path; ``/v1/models`` and a chat are answered well unless written otherwise.
    """

    def __init__(self, **answers: Written) -> None:
        super().__init__(_Answering)
        good = {"/v1/models": written(MODELS), "/v1/chat/completions": written(SAID)}
        self.answers: dict[str, Written] = {**good, **answers}


class _Answering(Handler):
    def answer(self) -> None:
        self.body()
        owner = self.server.owner
        assert isinstance(owner, ModelApi)
        found = owner.answers.get(self.path, written({"detail": "Not Found"}, 404))
        if isinstance(found.body, bytes):
            self.head(found.status, {"Content-Length": str(len(found.body)), **found.headers})
            self.wfile.write(found.body)
            return
        self.head(found.status, {"Transfer-Encoding": "chunked", **found.headers})
        with contextlib.suppress(OSError):  # whoever asked has gone
            for piece in found.body():
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
