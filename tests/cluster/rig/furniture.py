"""What every node has besides Kubernetes: images, KServe, eight claimed GPUs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster.rig import gpus, images, kserve
from cluster.rig.node import Node

GPUS = 8


def furnish(node: Node, programs: Path) -> None:
    """Give a node that has just started what the tests count on.

    Args:
        node: Ready, but empty.
        programs: What was built.
    """
    with ThreadPoolExecutor() as pool:
        pushed = pool.submit(images.push_all, node.registry, programs)
        kserve.define(node, programs)
        pushed.result()
    kserve.install(node, programs)
    gpus.claim(node, GPUS)
