"""The account that a project's pipelines run as, with the rights that `manifests/` gives it."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.rig.node import Node

RUNNER = "pipeline-runner-dspa"
_ROOT = Path(__file__).resolve().parents[2]


def grant(node: Node, namespace: str, *files: str) -> None:
    """Apply files of ``manifests/`` in a namespace, and make the runner's account."""
    about = {"name": RUNNER, "namespace": namespace}
    node.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about})
    for file in files:
        node.kubectl("apply", "-n", namespace, "-f", str(_ROOT / "manifests" / file))


def login(node: Node, namespace: str, file: Path, name: str = RUNNER) -> Path:
    """Write the kubeconfig of an account that is there, and return it."""
    token = node.kubectl("create", "token", name, "-n", namespace).strip()
    config = json.loads(node.kubeconfig.read_text())
    config["users"] = [{"name": name, "user": {"token": token}}]
    context = config["contexts"][0]["context"]
    context |= {"user": name, "namespace": namespace}
    file.write_text(json.dumps(config))
    return file


def claim_folder(node: Node, namespace: str, name: str, folder: Path) -> None:
    """Make a claim whose volume is a folder of this machine."""
    wanted = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume = f"{namespace}-{name}"
    node.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": wanted
            | {
                "capacity": {"storage": "1Gi"},
                "hostPath": {"path": str(folder)},
                "claimRef": {"name": name, "namespace": namespace},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": wanted | {"volumeName": volume, "resources": {"requests": {"storage": "1Gi"}}},
        },
    )
