"""How long a model is away while its image is replaced, with and without warming its node.

    PYTHONPATH=tests python -m cluster.measure_warm --node FOLDER [--mib 1024] [--rounds 3]

Every round pushes two new images of random weights and deploys each over the last, by Recreate, as
on a node with one GPU. A model is away from the first look without a ready pod to the first one
with a ready pod of the new image. Prints medians; each look is a fifth of a second.

What it pushes stays in the node's registry and on the node: six times MIB times rounds of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from servers import models
from servers.busybox import busybox_base

from cluster.accounts import small
from cluster.rig import images, node

_LOOK_S = 0.2
_MIB = 1 << 20


class Watch:
    """Looks at the pods of a model until its new image is ready."""

    def __init__(self, where: node.Node, namespace: str, image: str) -> None:
        self._where, self._namespace, self._image = where, namespace, image
        self._thread = threading.Thread(target=self._run)
        self._over = threading.Event()
        self.gone_s = self.back_s = 0.0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def away_s(self) -> float:
        """Seconds without a ready pod."""
        return self.back_s - self.gone_s

    def _run(self) -> None:
        while not self._over.is_set():
            served, is_new = self._served()
            now = time.monotonic()
            if not served and not self.gone_s:
                self.gone_s = now
            if served and is_new and self.gone_s and not self.back_s:
                self.back_s = now
            self._over.wait(_LOOK_S)

    def _served(self) -> tuple[bool, bool]:
        label = "serving.kserve.io/inferenceservice=big"
        text = self._where.kubectl("get", "pods", "-n", self._namespace, "-l", label, "-o", "json")
        for pod in json.loads(text)["items"]:
            conditions = pod["status"].get("conditions", [])
            leaves = "deletionTimestamp" in pod["metadata"]
            if not leaves and any(
                c["type"] == "Ready" and c["status"] == "True" for c in conditions
            ):
                used = [c["image"] for c in pod["spec"]["containers"]]
                return True, self._image in used
        return False, False


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--node", type=Path, required=True, help="folder of a node that runs")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    where = node.attach(options.node)
    namespace = f"measure-{os.getpid()}"
    where.kubectl("create", "namespace", namespace)
    folder = Path(tempfile.mkdtemp())
    try:
        measure(where, namespace, folder, options.mib, options.rounds)
    finally:
        where.kubectl("delete", "namespace", namespace, "--wait=false")
        shutil.rmtree(folder)


def measure(where: node.Node, namespace: str, folder: Path, mib: int, rounds: int) -> None:
    """Deploy two images a round, the second one warmed."""
    base = busybox_base(folder / "base")
    away: dict[str, list[float]] = {"cold": [], "warm": []}
    pulls: list[float] = []
    deploy(where, namespace, pushed(where, folder, base, 1))
    for number in range(rounds):
        for how in ("cold", "warm"):
            image = pushed(where, folder, base, mib)
            if how == "warm":
                began = time.monotonic()
                carferry(where, "warm", image, "--namespace", namespace)
                pulls.append(time.monotonic() - began)
            with Watch(where, namespace, image) as watch:
                deploy(where, namespace, image)
                time.sleep(2 * _LOOK_S)
            away[how].append(watch.away_s)
            print(f"round {number + 1}, {how}: away {watch.away_s:.1f} s", flush=True)
    print(f"image of {mib} MiB, medians of {rounds}")
    print(f"without warming: away {statistics.median(away['cold']):.1f} s")
    print(f"with warming:    away {statistics.median(away['warm']):.1f} s, "
          f"after {statistics.median(pulls):.1f} s of warming")  # fmt: skip


def pushed(where: node.Node, folder: Path, base: str, mib: int) -> str:
    """Push a model of so many MiB of random weights, and return it by digest."""
    model, name = folder / "model", f"{time.time_ns():x}"
    shutil.rmtree(model, ignore_errors=True)
    models.write(models.tiny() | {"README.md": name.encode()}, model)
    size = mib * _MIB
    tensor = {"w": {"dtype": "F16", "shape": [size // 2], "data_offsets": [0, size]}}
    head = json.dumps(tensor).encode()
    with (model / "model.safetensors").open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for _ in range(mib):
            file.write(os.urandom(_MIB))
    target = f"docker://{where.registry}/measure/big:{name}"
    words = ("build", str(model), target, "--base", base, "--plain-http", where.registry, "--json")
    return str(json.loads(carferry(where, *words))["reference"])


def deploy(where: node.Node, namespace: str, image: str) -> None:
    """Deploy an image over the last one, and wait."""
    vllm = f"{where.registry}/rig/{images.VLLM}"
    words = small(image, vllm, namespace, "big", "--wait-s", "300", "--cpu", "250m")
    carferry(where, *words)


def carferry(where: node.Node, *words: str) -> str:
    """Run the command line."""
    done = subprocess.run(
        [sys.executable, "-m", "carferry", *words],
        env=os.environ | {"KUBECONFIG": str(where.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    main()
