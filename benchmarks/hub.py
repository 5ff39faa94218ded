"""The test hub in a process of its own, controlled by lines of JSON on its standard input.

    python -m benchmarks.hub --repo bench/shards=FOLDER

Its first line out is the endpoint; every line in is answered by one line out: the bytes of files
sent since the last line.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from servers.content import Given
from servers.hub import Hub
from servers.models import declared
from servers.repos import read_folder

HUGE = "bench/huge"
_SHARDS, _SMALL_FILES, _SHARD_BYTES = 191, 2000, 4_240_000_000


def main() -> None:
    """Serve until the standard input closes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repo", action="append", default=[], metavar="ID=FOLDER")
    options = parser.parse_args()
    with Hub() as hub:
        for given in options.repo:
            name, _, folder = given.partition("=")
            hub.add(name, _huge() if name == HUGE else read_folder(Path(folder)))
        print(hub.endpoint, flush=True)
        for line in sys.stdin:
            _obey(hub, json.loads(line))
            print(json.dumps(hub.body_bytes()), flush=True)
            hub.clear_log()


def _obey(hub: Hub, order: dict[str, Any]) -> None:
    if "bytes_per_s" in order:
        hub.bytes_per_s = order["bytes_per_s"]
    if "latency_s" in order:
        hub.latency_s = order["latency_s"]
    if "change" in order:
        config = json.dumps({"model_type": "llama", "revision": order["number"]}).encode()
        hub.repos[order["change"]].change({"config.json": config})


def _huge() -> dict[str, Given]:
    """Return a model of 405B parameters: its weights have headers and no other bytes."""
    shards = {f"model-{n + 1:05}-of-{_SHARDS:05}.safetensors": n for n in range(_SHARDS)}
    large: dict[str, Given] = {name: declared(_SHARD_BYTES, n) for name, n in shards.items()}
    small: dict[str, Given] = {
        f"extra/part-{n:04}.json": b'{"part": %d}' % n for n in range(_SMALL_FILES)
    }
    return {"config.json": b'{"model_type": "llama"}'} | large | small


if __name__ == "__main__":
    main()
