"""Argo's Workflow object of a run: its nodes, whose steps they are, and what they say.

The pipelines API keeps the object and hands it out in its v1beta1 form of a run, on all releases
from 2.16 to 3.5, nodes and messages included; the v2beta1 form drops every message.

Source: argo-workflows 3.5 to 3.7, ``status.nodes``, workflow/packer and workflow/util/pod_name.go;
kubeflow/pipelines 2.5 to 2.16, backend/src/v2/compiler/argocompiler, for how nodes are named.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from carferry.pipelines.runs.outline import Path, Step
from carferry.pipelines.server.answers import mapping, objects

_UNPACKED_LIMIT = 1 << 26
_TURN = re.compile(r"\(\d+(?::[^)]*)?\)$")
_BAD = {"Failed", "Error"}
_BETWEEN = {"root", "iteration-iterations", "iteration-item"}


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a Workflow.

    Attributes:
        path: Task names and Argo's own, from the outside in, without the run's.
        kind: Argo's type: Pod, DAG, Retry, Skipped, TaskGroup.
        phase: Pending, Running, Succeeded, Skipped, Failed, Error or Omitted.
        message: What Argo, the scheduler or the container said.
        pod: Name of the pod; empty for other kinds.
        ended: When, as text that sorts; empty while it is going.
        outputs: Values it handed on.
    """

    path: Path
    kind: str
    phase: str
    message: str = ""
    pod: str = ""
    ended: str = ""
    outputs: Mapping[str, str] | None = None

    @property
    def is_bad(self) -> bool:
        """Whether it failed."""
        return self.phase in _BAD

    @property
    def is_driver(self) -> bool:
        """Whether it is the pipeline server's own pod that prepares a step."""
        return bool(self.path) and self.path[-1].endswith("-driver")


@dataclass(frozen=True, slots=True)
class Workflow:
    """A run as Argo sees it.

    Attributes:
        name: Of the object; empty if there is none.
        phase: Of the whole.
        message: Of the whole.
        nodes: Every node that Argo knows.
        cancelled: Whether a user stopped it.
    """

    name: str = ""
    phase: str = ""
    message: str = ""
    nodes: tuple[Node, ...] = ()
    cancelled: bool = False

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Workflow:
        """Return the run that a Workflow object describes; packed nodes are unpacked."""
        metadata, status, spec = (
            mapping(found.get(part)) for part in ("metadata", "status", "spec")
        )
        name = str(metadata.get("name") or "")
        short = mapping(metadata.get("annotations")).get("workflows.argoproj.io/pod-name-format")
        nodes = mapping(status.get("nodes")) or _unpacked(str(status.get("compressedNodes") or ""))
        return cls(
            name,
            str(status.get("phase") or ""),
            str(status.get("message") or ""),
            tuple(_node(name, node, short == "v1") for node in objects([*nodes.values()])),
            # The API server stops a run by a deadline of no seconds; Argo's own way is shutdown.
            spec.get("activeDeadlineSeconds") == 0 or bool(spec.get("shutdown")),
        )


def task_path(node: Node) -> Path:
    """Return a node's path without what Kubeflow and Argo put between the tasks' names."""
    names = [_TURN.sub("", name) for name in node.path]
    if "onExit" in names:  # an exit task hangs on the group that it follows, and is its sibling
        hook = names.index("onExit")
        names[max(0, hook - 1) : hook + 1] = []
    kept = [name for name in names if name not in _BETWEEN]
    if kept and node.is_driver:
        kept[-1] = kept[-1].removesuffix("-driver")
    return tuple(kept)


def step_of(node: Node, steps: Iterable[Step]) -> Step | None:
    """Return the step that a node is about: its own, or the first of its group."""
    path = task_path(node)
    below = [step for step in steps if _common(step.path, path)]
    return max(below, key=lambda step: _common(step.path, path), default=None)


def _common(left: Path, right: Path) -> int:
    """Return how many names two paths have in common from the outside in."""
    pairs = zip(left, right, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


def _node(workflow: str, node: Mapping[str, Any], short: bool) -> Node:
    name = str(node.get("name") or "")
    kind, phase = str(node.get("type") or ""), str(node.get("phase") or "")
    parameters = objects(mapping(node.get("outputs")).get("parameters"))
    return Node(
        tuple(name.removeprefix(workflow).strip(".").split(".")) if name != workflow else (),
        kind,
        phase,
        str(node.get("message") or ""),
        _pod(workflow, node, short) if kind == "Pod" else "",
        str(node.get("finishedAt") or ""),
        {str(each.get("name")): str(each.get("value", "")) for each in parameters},
    )


def _pod(workflow: str, node: Mapping[str, Any], short: bool) -> str:
    """Return the name of a node's pod: the template's name stands before the id's number."""
    identity = str(node.get("id") or "")
    if short or identity == workflow:
        return identity
    return f"{workflow}-{node.get('templateName')}-{identity.rpartition('-')[2]}"


def _unpacked(packed: str) -> Mapping[str, Any]:
    """Return the nodes that Argo packed, being over 1 MiB; none if they cannot be read."""
    try:
        unpack = zlib.decompressobj(wbits=31)
        text = unpack.decompress(base64.b64decode(packed), _UNPACKED_LIMIT)
        return mapping(json.loads(text)) if text else {}
    except (binascii.Error, zlib.error, ValueError, RecursionError):
        return {}
