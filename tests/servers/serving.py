"""An HTTP/1.1 server in a thread: free port, keep-alive, a log of what was asked and sent."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler
from types import TracebackType
from typing import Any, Self

_IDLE_S = 3.0
_LEAVE_S = 1.0


@dataclass(slots=True)
class Exchange:
    """One request and what was answered.

    Attributes:
        method: As asked.
        path: With the query.
        headers: The request's, names in lower case.
        status: Of the response; 0 if there was none.
        sent: Body bytes of the response.
        received: Body bytes of the request, if a proxy counts them.
        actions: What a proxy did to it.
    """

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    status: int = 0
    sent: int = 0
    received: int = 0
    actions: tuple[Any, ...] = ()

    @property
    def range(self) -> str | None:
        """The Range header, or None."""
        return self.headers.get("range")


class Meter:
    """Counts body bytes into an exchange and holds the connection to a rate."""

    def __init__(self, exchange: Exchange, bytes_per_s: int | None) -> None:
        self.exchange = exchange
        self.bytes_per_s = bytes_per_s
        self.piece_bytes = 4 << 20 if bytes_per_s is None else max(1, bytes_per_s // 50)
        self._started = time.monotonic()

    def count(self, size: int) -> None:
        """Note size more bytes sent; sleep if the rate asks for it."""
        self.exchange.sent += size
        if self.bytes_per_s is not None:
            due = self._started + self.exchange.sent / self.bytes_per_s
            time.sleep(max(0.0, due - time.monotonic()))


class Handler(BaseHTTPRequestHandler):
    """Reads one request, logs it and lets `answer` reply."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    exchange: Exchange

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.exchange = Exchange(self.command, self.path, headers)
        with self.server.owner.note(self.exchange):
            self.answer()

    def answer(self) -> None:
        """Reply to the request at hand."""
        raise NotImplementedError

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole reply; header names are written with underscores."""
        self.head(status, {"Content-Length": str(len(body))} | _dashed(headers))
        if self.command != "HEAD":
            self.wfile.write(body)
            self.exchange.sent += len(body)

    def head(self, status: int, headers: dict[str, str]) -> None:
        """Send the status line and the headers."""
        self.exchange.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def body(self) -> bytes:
        """Read the request's body."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size + 2)[:size])
        self.rfile.readline()
        return b"".join(pieces)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the exchange is the log."""


class Serving:
    """A server in a thread; a context manager that leaves no thread and no socket behind.

    Attributes:
        exchanges: Everything that was asked so far.
        busiest: Most exchanges that were under way at one time.
    """

    def __init__(self, handler: type[BaseRequestHandler], port: int = 0) -> None:
        self.exchanges: list[Exchange] = []
        self._active = self.busiest = 0
        self._idle = threading.Condition()
        self._server = _Server(("127.0.0.1", port), handler)
        self._server.owner = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()

    @property
    def log(self) -> list[Exchange]:
        """Every exchange so far, after waiting a moment for those under way to end."""
        with self._idle:
            self._idle.wait_for(lambda: self._active == 0, timeout=_IDLE_S)
            return list(self.exchanges)

    def clear_log(self) -> None:
        """Forget the exchanges so far."""
        with self._idle:
            self._idle.wait_for(lambda: self._active == 0, timeout=_IDLE_S)
            self.exchanges.clear()

    @contextlib.contextmanager
    def note(self, exchange: Exchange) -> Any:
        """Log the exchange and count it as under way."""
        with self._idle:
            self._active += 1
            self.busiest = max(self.busiest, self._active)
            self.exchanges.append(exchange)
        try:
            yield
        finally:
            with self._idle:
                self._active -= 1
                self._idle.notify_all()


class _Server(ThreadingHTTPServer):
    """Remembers its open connections, to end them with the server."""

    daemon_threads = True  # one that sleeps in a stalled exchange must not hold up the end
    request_queue_size = 128
    owner: Any

    def __init__(
        self, address: tuple[str, int], handler: Callable[..., BaseRequestHandler]
    ) -> None:
        self._open: set[socket.socket] = set()
        self._guard = threading.Condition()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._guard:
            self._open.discard(request)
            self._guard.notify_all()

    def hang_up(self) -> None:
        """Wake every handler that waits on its client, and wait a moment for them to end."""
        with self._guard:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._guard.wait_for(lambda: not self._open, timeout=_LEAVE_S)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may leave when they like; anything else is a bug worth printing."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
