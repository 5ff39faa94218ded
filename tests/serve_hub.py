"""Serve folders as a hub in a process of its own, as the benchmarks do.

    python tests/serve_hub.py --repo org/name=FOLDER --port 0

prints the endpoint on its first line and serves until its standard input closes or it is killed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from servers.content import Given
from servers.hub import Hub
from servers.models import synthetic
from servers.repos import read_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve what the command line names."""
    options = _parser().parse_args(arguments)
    with _hub(options) as hub:
        for given in options.repo:
            repo_id, _, what = given.partition("=")
            hub.add(repo_id, _contents(what))
        print(hub.endpoint, flush=True)
        _wait()
    return 0


def _hub(options: argparse.Namespace) -> Hub:
    redirects = not options.no_redirects
    return Hub(redirects=redirects, bytes_per_s=options.bytes_per_s, port=options.port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--repo",
        action="append",
        required=True,
        metavar="ID=WHAT",
        help="a folder, or N shards of so many MiB made up on the fly: synthetic:NxMIB",
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bytes-per-s", type=int, default=None, help="rate of one connection")
    parser.add_argument("--no-redirects", action="store_true", help="send files at once")
    return parser


def _contents(what: str) -> Mapping[str, Given]:
    if not what.startswith("synthetic:"):
        return read_folder(Path(what))
    shards, mib = (int(number) for number in what.removeprefix("synthetic:").split("x"))
    names = [f"model-{n + 1:05}-of-{shards:05}.safetensors" for n in range(shards)]
    files: dict[str, Given] = {"config.json": b'{"model_type": "llama"}'}
    return files | {name: synthetic(mib << 20, n) for n, name in enumerate(names)}


def _wait() -> None:
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    threading.Thread(target=_until_closed, args=(stop,), daemon=True).start()
    stop.wait()


def _until_closed(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
