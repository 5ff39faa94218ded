"""Several nodes that serve one model: the first waits for all others, who stay as long as it does.

Source: vLLM 0.24 ``config/parallel.py`` (nnodes, node_rank, master_addr, master_port) and
``entrypoints/cli/serve.py`` (run_headless). Here they exchange nothing but their ranks.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from vllm.standin import log

_PATIENCE_S = 60.0
_held: list[socket.socket] = []  # closed when the process ends, which the others notice


def gather(options: Any) -> None:
    """Wait until every other node has come, each with a rank of its own."""
    count = options.nnodes or 1
    if count < 2:
        return
    missing = set(range(1, count))
    door = socket.create_server((options.master_addr, options.master_port or 29501))
    door.settimeout(_PATIENCE_S)
    while missing:
        other, _ = door.accept()
        rank = int(other.makefile().readline())
        log.api("node %d of %d is there", rank, count)
        missing.remove(rank)
        _held.append(other)


def join(options: Any) -> None:
    """Tell the first node this one's rank, and end when it does."""
    if not Path(options.model_tag, "config.json").exists():
        raise SystemExit(f"no model in {options.model_tag}")
    head = _reached(options.master_addr, options.master_port or 29501)
    log.engine("node %d joins %s", options.node_rank, options.master_addr)
    head.sendall(f"{options.node_rank}\n".encode())
    head.recv(1)
    raise SystemExit("the head is gone")


def _reached(host: str, port: int) -> socket.socket:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return socket.create_connection((host, port))
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
