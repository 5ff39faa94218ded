"""The Workflow object that Kubeflow's compiler and Argo make of a compiled pipeline.

A test says how far the run is; what comes out are all the nodes that the real ones make: drivers,
executors, tries, loop scaffolding, each with the name, id, template and message of the real one.

Source: kubeflow/pipelines backend/src/v2/compiler/argocompiler (dag.go, container.go), 2.5 to
2.16; argo-workflows 3.5 to 3.7, workflow/controller and workflow/packer.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

Object = dict[str, Any]
NAME = "modelcar-x7k2p"


@dataclass(frozen=True)
class Look:
    """What one look at a run finds: everything before a step is done, nothing after it is.

    Attributes:
        state: Of the run, as the v2beta1 API calls it.
        at: Name of the step that the run is at; empty: all are done.
        phase: Argo's, of that step.
        message: Of its pod's node.
        tries: Pods that a retried step has had; all but the last failed.
        turns: How often a loop runs.
        done: Turns that are done when a step inside it is reached.
        in_driver: It is the step's driver, not the step.
        without_node: Argo has made no node for the step, or for anything.
        whole: Message of the Workflow itself.
        packed: Argo has packed the nodes.
        cancelled: The run was stopped by the API.
        skip: Group whose condition is false.
    """

    state: str
    at: str = ""
    phase: str = "Running"
    message: str = ""
    tries: int = 1
    turns: int = 1
    done: int = 0
    in_driver: bool = False
    whole: str = ""
    packed: bool = False
    cancelled: bool = False
    skip: str = ""


def workflow(spec: Object, run_id: str, look: Look) -> Object:
    """Return the Workflow of a run of an IR document at one look."""
    nodes = {node["id"]: node for node in _Walk(spec, look).nodes()}
    phase = {"SUCCEEDED": "Succeeded", "FAILED": "Failed"}.get(look.state, "Running")
    status: Object = {"phase": phase, "message": look.whole}
    if look.packed:
        packed = gzip.compress(json.dumps(nodes).encode(), mtime=0)
        status["compressedNodes"] = base64.b64encode(packed).decode()
    else:
        status["nodes"] = nodes
    labels = {"pipeline/runid": run_id}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": NAME, "namespace": "models", "uid": run_id, "labels": labels},
        "spec": {"activeDeadlineSeconds": 0} if look.cancelled else {},
        "status": status,
    }


def pod_name(node: Object) -> str:
    """Return the name of a node's pod, which is not its id."""
    return f"{NAME}-{node['templateName']}-{node['id'].rpartition('-')[2]}"


def fnv32a(text: str) -> int:
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


class _Walk:
    """One walk over a pipeline's graph, up to the step that a look is at."""

    def __init__(self, spec: Object, look: Look) -> None:
        self.look = look
        self.components = spec.get("components", {})
        self.retried = {
            task["componentRef"]["name"]
            for dag in (spec["root"], *self.components.values())
            for task in dag.get("dag", {}).get("tasks", {}).values()
            if "retryPolicy" in task
        }
        self.root = spec["root"]["dag"]
        self.ended = 0
        self.over = False

    def nodes(self) -> Iterator[Object]:
        yield self._node("", "DAG", "entrypoint", self._whole())
        yield self._pod("root-driver", "system-dag-driver", "Succeeded")
        yield self._node("root", "DAG", "root", self._whole())
        yield from self._dag(self.root, "root")

    def _whole(self) -> str:
        return {"SUCCEEDED": "Succeeded", "FAILED": "Failed"}.get(self.look.state, "Running")

    def _dag(self, dag: Object, above: str) -> Iterator[Object]:
        tasks = dag["tasks"]
        order = TopologicalSorter({n: t.get("dependentTasks", []) for n, t in tasks.items()})
        for name in order.static_order():
            yield from self._task(name, tasks[name], f"{above}.{name}")

    def _task(self, name: str, task: Object, path: str) -> Iterator[Object]:
        if self.over:
            if self.look.state == "FAILED":
                yield self._node(path, "Skipped", "", "Omitted")
            return
        component = self.components[task["componentRef"]["name"]]
        if name == self.look.skip:
            yield self._pod(f"{path}-driver", "system-dag-driver", "Succeeded")
            yield self._node(path, "Skipped", "", "Skipped")
        elif "parameterIterator" in task:
            yield from self._loop(component, path)
        elif "dag" in component:
            yield self._pod(f"{path}-driver", "system-dag-driver", "Succeeded")
            inside = list(self._dag(component["dag"], path))
            yield self._node(path, "DAG", component["dag"].get("name", "dag"), self._above())
            yield from inside
        else:
            yield from self._step(name, path, task["componentRef"]["name"] in self.retried)

    def _loop(self, component: Object, path: str) -> Iterator[Object]:
        count = {"name": "iteration-count", "value": str(self.look.turns)}
        driver = self._pod(f"{path}.iteration-driver", "system-dag-driver", "Succeeded")
        yield driver | {"outputs": {"parameters": [count]}}
        inside: list[Object] = []
        for turn in range(self.look.turns):
            self.over = False
            at = f"{path}.iteration-iterations({turn}:{turn})"
            look, done = self.look, turn < self.look.done
            self.look = Look(look.state, turns=look.turns) if done else look
            inside.append(
                self._pod(f"{at}.iteration-item-driver", "system-dag-driver", "Succeeded")
            )
            inside += self._dag(component["dag"], f"{at}.iteration-item")
            self.look = look
            phase = "Succeeded" if done else self._above()
            inside.append(self._node(at, "DAG", "iteration", phase))
            inside.append(self._node(f"{at}.iteration-item", "DAG", "item", phase))
        yield self._node(path, "DAG", "iterator", self._above())
        yield self._node(f"{path}.iteration-iterations", "TaskGroup", "", self._above())
        yield from inside

    def _step(self, name: str, path: str, retried: bool) -> Iterator[Object]:
        here = name == self.look.at
        self.over = here
        phase = self.look.phase if here else "Succeeded"
        if here and self.look.in_driver:
            yield self._pod(f"{path}-driver", "system-container-driver", phase, self.look.message)
            return
        yield self._pod(f"{path}-driver", "system-container-driver", "Succeeded")
        prefix = "retry-" if retried else ""
        inner = "Running" if phase == "Pending" else phase
        yield self._node(path, "DAG", f"{prefix}system-container-executor", inner)
        template = f"{prefix}system-container-impl"
        message = self.look.message if here else ""
        if not retried:
            yield self._pod(f"{path}.executor", template, phase, message)
            return
        last = "No more retries left" if phase == "Failed" else ""
        yield self._node(f"{path}.executor", "Retry", template, inner, last)
        tries = self.look.tries if here else 1
        for n in range(tries - 1):
            yield self._pod(f"{path}.executor({n})", template, "Failed", f"try {n} failed")
        yield self._pod(f"{path}.executor({tries - 1})", template, phase, message)

    def _above(self) -> str:
        if not self.over:
            return "Succeeded"
        return {"FAILED": "Failed"}.get(self.look.state, "Running")

    def _pod(self, path: str, template: str, phase: str, message: str = "") -> Object:
        return self._node(path, "Pod", template, phase, message)

    def _node(self, path: str, kind: str, template: str, phase: str, message: str = "") -> Object:
        name = f"{NAME}.{path}" if path else NAME
        self.ended += 1
        ended = (
            f"2026-11-25T{self.ended // 3600:02}:{self.ended // 60 % 60:02}:{self.ended % 60:02}Z"
        )
        return {
            "id": f"{NAME}-{fnv32a(name)}" if path else NAME,
            "name": name,
            "displayName": path.rpartition(".")[2] or NAME,
            "type": kind,
            "templateName": template,
            "phase": phase,
            "message": message,
            "startedAt": "2026-11-25T00:00:00Z",
            "finishedAt": None if phase in ("Running", "Pending") else ended,
        }
