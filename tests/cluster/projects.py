"""What an administrator may lay on a project: Pod Security, a quota, limits; and profiles."""

from __future__ import annotations

from typing import Any

from cluster.rig.node import Node

Object = dict[str, Any]


def restrict(node: Node, namespace: str) -> None:
    """Enforce the Pod Security level ``restricted`` in a namespace."""
    label = "pod-security.kubernetes.io/enforce=restricted"
    node.kubectl("label", "--overwrite", "namespace", namespace, label)


def tolerate(node: Node, namespace: str) -> None:
    """Let a namespace's pods run beside the GPUs, as they would on nodes that have none."""
    toleration = '[{"key": "nvidia.com/gpu", "operator": "Exists"}]'
    words = f"scheduler.alpha.kubernetes.io/defaultTolerations={toleration}"
    node.kubectl("annotate", "--overwrite", "namespace", namespace, words)


def set_quota(node: Node, namespace: str, **hard: str) -> None:
    """Limit what a namespace may have: ``requests_cpu="1"`` is ``requests.cpu``."""
    spec = {"hard": {name.replace("_", "."): amount for name, amount in hard.items()}}
    node.apply(_object("ResourceQuota", namespace, spec))


def set_limits(node: Node, namespace: str, **rule: Object) -> None:
    """Set what a container of a namespace gets and may have: ``max={"memory": "32Mi"}``."""
    node.apply(_object("LimitRange", namespace, {"limits": [{"type": "Container", **rule}]}))


def _object(kind: str, namespace: str, spec: Object) -> Object:
    about = {"name": "of-the-tests", "namespace": namespace}
    return {"apiVersion": "v1", "kind": kind, "metadata": about, "spec": spec}
