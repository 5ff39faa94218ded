"""A package index: a folder of wheels as a page of links, for clients that log in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.headers.get("Authorization"):
            super().do_GET()
        else:
            self.send_error(401)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def wheelhouse(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port and give its address, with a login in it, for pip."""
    handler = partial(_Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.02,), name="wheelhouse")
        serving.start()
        try:
            yield f"http://robot:hunter2@127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            serving.join()
