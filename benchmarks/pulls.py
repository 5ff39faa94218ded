"""The consumer: nodes and people pull the usual image and carferry's."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from servers.registry import Registry

from benchmarks import contenders as ways
from benchmarks.data import Model
from benchmarks.lab import Lab
from benchmarks.measure import Failed

_KEPT = "pulls"
_ARTIFACT = "carferry modelpack"
# The daemon is started and stopped inside the measured command, so that its work counts.
_CONTAINERD = """\
set -e
printf 'version = 2\\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\\n' > ctd.toml
containerd --config ctd.toml --root "$PWD/ctd" --state "$PWD/state" --address "$PWD/c.sock" &
daemon=$!
until ctr --address c.sock version >/dev/null 2>&1; do sleep 0.05; done
status=0
ctr --address c.sock image pull --plain-http "$1" || status=$?
kill $daemon; wait $daemon || true
exit $status
"""


def measure(lab: Lab, model: Model) -> None:
    """Pull each image with each client, interleaved, into empty storage."""
    shutil.rmtree(lab.data / "registries" / _KEPT, ignore_errors=True)
    with lab.registry(_KEPT) as registry:
        images = _push(lab, model, registry)
        out: set[str] = set()
        for _ in range(lab.rounds):
            for client, command in _clients(lab.work).items():
                for kind, image in images.items():
                    row = f"{client}: {kind}"
                    if kind == _ARTIFACT and client != "skopeo copy":
                        continue  # not an image: podman and containerd refuse its config
                    if row not in out and not _once(lab, registry, row, command(image)):
                        out.add(row)
    shutil.rmtree(lab.data / "registries" / _KEPT, ignore_errors=True)


def _push(lab: Lab, model: Model, registry: Registry) -> dict[str, str]:
    pack = ways.carferry_build(model, registry, "--format", "modelpack", tag="pack")
    for commands in (
        ways.usual().commands(lab, model, registry),
        [ways.carferry_build(model, registry), pack],
    ):
        lab.run(commands, registry)
        lab.clear()
    return {
        "the usual image": f"{registry.host}/usual/{model.name}:1",
        "carferry modelcar": f"{registry.host}/carferry/{model.name}:1",
        _ARTIFACT: f"{registry.host}/carferry/{model.name}:pack",
    }


def _clients(work: Path) -> dict[str, Callable[[str], Sequence[str]]]:
    insecure = "--src-tls-verify=false"
    found: dict[str, Callable[[str], Sequence[str]]] = {
        "podman pull": lambda image: ["podman", "pull", "--quiet", "--tls-verify=false", image],
        "skopeo copy": lambda image: [
            "skopeo", "copy", "--quiet", insecure, f"docker://{image}", f"dir:{work}/copy",
        ],
        "containerd": lambda image: ["sh", "-c", _CONTAINERD, "sh", image],
    }  # fmt: skip
    return found if shutil.which("containerd") else dict(list(found.items())[:2])


def _once(lab: Lab, registry: Registry, row: str, command: Sequence[str]) -> bool:
    lab.clear()
    try:
        lab.note("pulls", row, lab.run([command], registry))
    except Failed as error:
        print(f"{row} does not work here: {error}")
        return False
    finally:
        _unmount(lab)
    return True


def _unmount(lab: Lab) -> None:
    """Containers' storage leaves a bind mount of its overlay folder."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if (place := line.split()[1]).startswith(str(lab.work)):
            subprocess.run(["umount", "--lazy", place], check=False)
    lab.clear()
