"""Names of the internet that lead to servers of this machine: one port that speaks TLS for all.

A client says whom it wants (SNI); what it sends is passed on, decrypted, to the server that stands
behind that name for this page. Names of ``example.com`` have certificates of the company's own
authority, all others of the public one.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from select import select
from types import TracebackType
from typing import Self

import trustme

COMPANY = ".example.com"
PUBLIC = (
    "huggingface.co", "cdn-lfs.hf.co", "quay.io", "registry.access.redhat.com", "docker.io",
    "registry-1.docker.io", "auth.docker.io", "ghcr.io", "github.com", "registry.redhat.io",
)  # fmt: skip
OWN = (
    "registry.example.com", "hub.example.com", "git.example.com",
    "ds-pipeline-dspa-models.apps.example.com",
    "artifactory.example.com", "nexus.example.com", "harbor.example.com", "s3.example.com",
)  # fmt: skip
_PIECE = 1 << 16


class Doors:
    """A context manager; while it is open, clients come in.

    Attributes:
        port: Of 127.0.0.1.
        public: The authority of the public names, PEM.
        company: The authority of the names under example.com, PEM.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.public, self.company = folder / "public.pem", folder / "company.pem"
        self._open = _context(self.public, [*PUBLIC, "localhost"])
        self._inner = _context(self.company, [*OWN, f"*{COMPANY}", f"*.apps{COMPANY}"])
        self._open.sni_callback = self._greet
        self._behind: dict[str, Callable[[], str]] = {}
        self.asked: list[str] = []
        self._guard = threading.RLock()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)

    def lead(self, name: str, server: Callable[[], str]) -> None:
        """Have a name lead to a server: ``host:port``, asked for when the first client comes."""
        self._behind[name] = server

    def close_all(self) -> None:
        """Forget what stands behind the names."""
        self._behind.clear()
        self.asked.clear()

    def _greet(self, client: ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:
        client.session_name = name or ""  # type: ignore[attr-defined]
        if name and name.endswith(COMPANY):
            client.context = self._inner

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            plain.settimeout(60)
            with self._open.wrap_socket(plain, server_side=True) as client:
                name = getattr(client, "session_name", "")
                with self._guard:
                    self.asked.append(name)
                    server = self._behind.get(name)
                    where = server() if server else ""
                if not where:
                    return
                host, _, port = where.rpartition(":")
                with socket.create_connection((host, int(port))) as behind:
                    _pass_on(client, behind)


def _context(authority: Path, names: Sequence[str]) -> ssl.SSLContext:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert(*names).configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _pass_on(client: ssl.SSLSocket, behind: socket.socket) -> None:
    """Pass on both ways until one side ends; in one thread, for a TLS connection bears no two."""
    client.settimeout(None)
    while True:
        ready = [client] if client.pending() else select([client, behind], [], [])[0]
        for source, sink in ((client, behind), (behind, client)):
            if source in ready:
                data = source.recv(_PIECE)
                if not data:
                    return
                sink.sendall(data)
