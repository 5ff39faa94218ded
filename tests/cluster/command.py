"""The command line of carferry, run for a node from outside this process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from cluster.rig.node import Node

SMALL = ("--gpu-count", "0", "--cpu", "50m", "--memory", "64Mi", "--shm-size", "16Mi")
"""A deployment without GPUs, that many fit of on a small machine."""
ANYWHERE = ("--tolerations", '[{"key": "nvidia.com/gpu", "operator": "Exists"}]')
"""Without GPUs it would not tolerate their node."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the command line left, and how long it took."""

    code: int
    out: str
    err: str
    seconds: float


def carferry(node: Node, home: Path, *arguments: object) -> Outcome:
    """Run carferry logged in to a node, with a home of its own."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "carferry", *map(str, arguments)],
        env=os.environ | {"HOME": str(home), "KUBECONFIG": str(node.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
