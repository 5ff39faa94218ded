"""A proxy of ours that breaks things on purpose, between a client and a registry or a hub.

Bodies stream through in pieces, in both directions. Each request opens its own connection to the
upstream, so that a broken one breaks nothing else; the client's connection is kept alive.
"""

from __future__ import annotations

import random
import select
import socket
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from io import BufferedIOBase
from socketserver import StreamRequestHandler
from typing import NoReturn
from urllib.parse import urlsplit

from servers.chaos import Action, Answer, HangUp, Reset, Rewrite, Rule
from servers.serving import Exchange, Serving
from servers.sockets import drain, reset_on_close, settle
from servers.wire import (
    PIECE_BYTES,
    Framing,
    Head,
    read_body,
    read_head,
    request_framing,
    response_framing,
    write_body,
)

_TIMEOUT_S = 60.0


class Proxy(Serving):
    """Passes every request on, but for what its rules say; a context manager.

    Attributes:
        endpoint: The URL to give to clients.
        host: ``127.0.0.1:port``, for image references.
        upstream: The URL behind.
        rules: Read anew for each request; every rule that hits takes its action, in this order.
    """

    def __init__(self, upstream: str, rules: Iterable[Rule] = (), *, seed: int = 0) -> None:
        super().__init__(type("_Bound", (_ProxyHandler,), {"proxy": self}))
        self.upstream = upstream.rstrip("/")
        self.rules = list(rules)
        self.host = self.endpoint.removeprefix("http://")
        self._seen: Counter[int] = Counter()
        self._random = random.Random(seed)
        self._guard = threading.Lock()

    def arm(self, rules: Iterable[Rule] = ()) -> None:
        """Take other rules, which count from one, and forget the exchanges so far."""
        with self._guard:
            self.rules = list(rules)
            self._seen.clear()
            self.exchanges.clear()

    def actions(self, method: str, path: str) -> tuple[Action, ...]:
        """Count a request against every rule; return what to do to it."""
        taken = []
        with self._guard:
            for rule in self.rules:
                if not rule.matches(method, path):
                    continue
                self._seen[id(rule)] += 1
                drawn = rule.chance >= 1 or self._random.random() < rule.chance
                if rule.hits(self._seen[id(rule)]) and drawn:
                    taken.append(rule.action)
        return tuple(taken)

    def homeward(self, head: Head) -> Head:
        """Point the links of a response at the proxy instead of the upstream."""
        for name in ("Location", "Link"):
            value = head.get(name)
            if value is not None:
                head = head.with_(name, value.replace(self.upstream, self.endpoint))
        return head


class _ProxyHandler(StreamRequestHandler):
    proxy: Proxy
    rbufsize = PIECE_BYTES
    disable_nagle_algorithm = True
    timeout = _TIMEOUT_S

    def handle(self) -> None:
        with suppress(ConnectionError, TimeoutError):
            while (head := read_head(self.rfile)) is not None:
                if not self._exchange(head):
                    return

    def _exchange(self, head: Head) -> bool:
        """Pass one exchange on; return whether the client's connection can go on."""
        method, path, _ = head.words
        headers = {name.lower(): value for name, value in head.headers}
        exchange = Exchange(method, path, headers)
        with self.proxy.note(exchange):
            exchange.actions = self.proxy.actions(method, path)
            try:
                return _Passage(self.proxy, exchange, self).run(head)
            except Reset:
                self.reset()
            except HangUp:
                pass
        return False

    def reset(self) -> None:
        """Close at once with RST; what was sent before still arrives."""
        settle(self.connection)
        reset_on_close(self.connection)
        self.rfile.close()
        self.connection.close()


class _Passage:
    """One exchange on its way through the actions."""

    def __init__(self, proxy: Proxy, exchange: Exchange, client: _ProxyHandler) -> None:
        self.proxy, self.exchange, self.client = proxy, exchange, client
        self.actions: tuple[Action, ...] = exchange.actions
        self.cut_short = False

    def run(self, head: Head) -> bool:
        """Return whether the client's connection can go on."""
        again = (head.get("Connection") or "").lower() != "close"
        if head.get("Expect"):
            head = head.without("Expect")
            self.client.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        framing = request_framing(head)
        for action in self.actions:
            head = action.request(head)
        instead = next((a for a in self.actions if isinstance(a, Answer)), None)
        if instead is not None and not instead.forward:
            self._refuse(instead, framing)
        else:
            with ExitStack() as stack:
                again = self._pass_on(head, framing, instead, stack) and again
        if self.cut_short:
            drain(self.client.connection)
        return again and not self.cut_short

    def _pass_on(
        self, head: Head, framing: Framing, instead: Answer | None, stack: ExitStack
    ) -> bool:
        upstream = stack.enter_context(self._connect())
        source = stack.enter_context(upstream.makefile("rb"))
        self._send_request(upstream, head, framing)
        reply = _final_head(source)
        if instead is not None:
            for _ in read_body(source, response_framing(reply, self.exchange.method)):
                pass
            self._answer(instead)
            return True
        framing = response_framing(reply, self.exchange.method)
        if rewrite := next((a for a in self.actions if isinstance(a, Rewrite)), None):
            self._rewrite(rewrite, reply, b"".join(read_body(source, framing)))
        self._send_reply(reply, framing, source)
        return framing != "close"

    def _connect(self) -> socket.socket:
        parts = urlsplit(self.proxy.upstream)
        upstream = socket.create_connection((parts.hostname, parts.port), timeout=_TIMEOUT_S)
        upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return upstream

    def _send_request(self, upstream: socket.socket, head: Head, framing: Framing) -> None:
        pieces = self._received(framing)
        for action in self.actions:
            pieces = action.upload(pieces, _length(framing))
        try:
            upstream.sendall(head.encode())
            for data in write_body(pieces, framing):
                if select.select([upstream], [], [], 0)[0]:
                    self.cut_short = True  # the upstream answers early and reads no more
                    return
                upstream.sendall(data)
        except ConnectionError:
            self.cut_short = True
        except Reset:
            reset_on_close(upstream)
            raise

    def _received(self, framing: Framing) -> Iterator[bytes]:
        for piece in read_body(self.client.rfile, framing):
            self.exchange.received += len(piece)
            yield piece

    def _send_reply(self, head: Head, framing: Framing, source: BufferedIOBase) -> None:
        head = self.proxy.homeward(head)
        for action in self.actions:
            head = action.response(head)
        if self.cut_short:
            head = head.with_("Connection", "close")
        self.exchange.status = int(head.words[1])
        self.client.wfile.write(head.encode())
        pieces = read_body(source, framing)
        for action in self.actions:
            pieces = action.download(pieces, _length(framing))
        for data in write_body(self._counted(pieces), framing):
            self.client.wfile.write(data)

    def _rewrite(self, rewrite: Rewrite, head: Head, body: bytes) -> NoReturn:
        for data in rewrite.wire(self.proxy.homeward(head), body, self.exchange.method):
            self.client.wfile.write(data)
        raise HangUp

    def _counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            self.exchange.sent += len(piece)

    def _refuse(self, answer: Answer, framing: Framing) -> None:
        if answer.drain:
            for _ in self._received(framing):
                pass
        else:
            self.cut_short = framing != 0
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        head = Head(f"HTTP/1.1 {answer.status} Chaos", tuple(answer.headers.items()))
        head = head.with_("Content-Length", str(len(answer.body)))
        if self.cut_short:
            head = head.with_("Connection", "close")
        body = b"" if self.exchange.method == "HEAD" else answer.body
        self.exchange.status, self.exchange.sent = answer.status, len(body)
        self.client.wfile.write(head.encode() + body)


def _final_head(source: BufferedIOBase) -> Head:
    """Read past interim responses."""
    while (head := read_head(source)) is not None:
        if not head.words[1].startswith("1"):
            return head
    raise HangUp


def _length(framing: Framing) -> int | None:
    return framing if isinstance(framing, int) else None
