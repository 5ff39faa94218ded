"""Start, enter and end a node by hand.

PYTHONPATH=tests python -m cluster.rig up FOLDER [--api PORT] [--registry PORT]
PYTHONPATH=tests python -m cluster.rig run FOLDER COMMAND...
PYTHONPATH=tests python -m cluster.rig kubectl FOLDER WORD...
PYTHONPATH=tests python -m cluster.rig down FOLDER
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from cluster.rig import built, furniture, keep, node


def main() -> None:
    """Do what the command line says."""
    given = _parser().parse_args()
    if given.what == "keep":
        keep.main(given.folder, given.programs, given.api, given.registry, watch=given.watch)
    if given.what == "up":
        _up(given)
    if given.what == "down":
        node.stop(given.folder)
    if given.what == "run":
        sys.stdout.write(node.attach(given.folder).run(*given.words))
    if given.what == "kubectl":
        sys.stdout.write(node.attach(given.folder).kubectl(*given.words))


def _up(given: argparse.Namespace) -> None:
    began = time.monotonic()
    programs = given.programs or built.programs()
    keeper = node.start(given.folder, programs, api=given.api, registry=given.registry)
    made = node.wait(given.folder, keeper.poll)
    print(f"ready after {time.monotonic() - began:.1f} s: {made.kubeconfig}")
    furniture.furnish(made, programs)
    print(f"furnished after {time.monotonic() - began:.1f} s: images, KServe, GPUs")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cluster.rig", description=__doc__)
    whats = parser.add_subparsers(dest="what", required=True)
    for name in ("keep", "up"):
        starts = whats.add_parser(name)
        starts.add_argument("folder", type=Path)
        starts.add_argument("--programs", type=Path)
        starts.add_argument("--api", type=int, default=0)
        starts.add_argument("--registry", type=int, default=0)
        starts.add_argument("--watch", action="store_true")
    whats.add_parser("down").add_argument("folder", type=Path)
    for name in ("run", "kubectl"):
        asks = whats.add_parser(name)
        asks.add_argument("folder", type=Path)
        asks.add_argument("words", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    main()
