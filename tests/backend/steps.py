"""A task that is a container: its pod, started as often as its retry policy says.

Nothing waits between two tries: how long Argo would is in the pipeline, and linted there.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend import driver
from backend.cluster import Cluster
from backend.driver import Scope
from backend.graph import Component, Task
from backend.kubelet import Pod, Refused
from backend.launcher import Failed, Launcher, clear, executor_input
from backend.metadata import CONTAINER, DAG, Metadata, number, struct, text
from backend.objects import Objects

CREATE, DELETE = "argostub/createpvc", "argostub/deletepvc"
"""What the driver does itself, there is no container."""


@dataclass(frozen=True, slots=True)
class Step:
    """What became of a task.

    Attributes:
        path: Place in the graph: ``stream-shares/for-loop-1/0/stream-layers``.
        state: COMPLETE, FAILED, or CANCELED if a condition did not hold.
        tries: How often its container ran.
        message: What Argo shows for a failure; empty otherwise.
        said: What the last container said.
    """

    path: str
    state: str
    tries: int = 0
    message: str = ""
    said: str = ""

    @property
    def name(self) -> str:
        """The task's name."""
        return self.path.rpartition("/")[2]


@dataclass(slots=True)
class Run:
    """One run.

    Attributes:
        id: Its name in ML Metadata.
        name: The Workflow's, which volumes are named after.
        steps: All that was tried, in order of their ends.
        outputs: The pipeline's own outputs, if it succeeded.
        failed: Whether it did not.
    """

    id: str
    name: str
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    failed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, step: Step) -> bool:
        """Keep a step and return whether its graph goes on."""
        with self._lock:
            self.steps.append(step)
        return step.state != "FAILED"

    def named(self, name: str) -> list[Step]:
        """Return the steps of a task's name: several of one in a loop."""
        return [step for step in self.steps if step.name == name]

    def problems(self) -> str:
        """Return what failed and what it said, for whoever reads a failed test."""
        bad = [step for step in self.steps if step.state == "FAILED"]
        return "\n".join(f"{step.path}: {step.message}\n{step.said}" for step in bad)


@dataclass(frozen=True, slots=True)
class Place:
    """A task and its place in the graph.

    Attributes:
        task: The task.
        component: What it runs.
        scope: The graph around it.
        path: Names from the root to it.
    """

    task: Task
    component: Component
    scope: Scope
    path: str


@dataclass(frozen=True, slots=True)
class Steps:
    """Runs the containers of one run.

    Attributes:
        cluster: The cluster.
        metadata: Store of executions.
        objects: Store of artifacts.
        instead: Task's name to output parameters to publish in place of its own.
        run: The run.
        contexts: The run's, in ML Metadata.
        root: The run's artifacts, ``s3://...``.
    """

    cluster: Cluster
    metadata: Metadata
    objects: Objects
    instead: Mapping[str, Mapping[str, Any]]
    run: Run
    contexts: list[dict[str, Any]]
    root: str

    def run_container(self, place: Place, values: dict[str, Any]) -> bool:
        """Run a container to its end and return whether the graph goes on.

        Raises:
            BackendError: The driver refuses; no launcher is there to end the execution.
        """
        made = self.open(place, values, "RUNNING")
        if (place.component.container or {})["image"] in (CREATE, DELETE):
            self._drive(place.component, values, made)
            return self.run.note(Step(place.path, "COMPLETE"))
        self._pod(place)  # the driver looks at it before anything starts
        asked = executor_input(place.component, values, self.root, place.task.name)
        instead = self.instead.get(place.task.name, {})
        parts = self.metadata, self.objects, place.component
        return self.run.note(self._try(place, Launcher(*parts, made, asked, instead)))

    def open(self, place: Place, values: Mapping[str, Any], state: str) -> int:
        """Record a task's execution and return its id."""
        kind = DAG if place.component.container is None else CONTAINER
        made = self.create(kind, place.task.name, place.scope.id, values, state)
        place.scope.done[place.task.name] = made
        return made

    def create(
        self,
        kind: str,
        name: str,
        parent: int | None,
        values: Mapping[str, Any],
        state: str = "RUNNING",
        *,
        index: int | None = None,
    ) -> int:
        """Record an execution and return its id."""
        properties = {"task_name": text(name), "inputs": struct(values)}
        if parent is not None:
            properties["parent_dag_id"] = number(parent)
        if index is not None:
            properties["iteration_index"] = number(index)
        return self.metadata.create(kind, self.contexts, properties, state)

    def close(self, made: int, done: bool) -> bool:
        """Record how a graph ended."""
        self.metadata.update(made, "COMPLETE" if done else "FAILED")
        return done

    def _try(self, place: Place, launcher: Launcher) -> Step:
        step = Step(place.path, "FAILED")
        for count in range(1, place.task.retries + 2):
            pod = self._pod(place)
            folder = self.cluster.folder / "scratch" / pod.name
            try:
                start = self.cluster.starter(pod, place.component.container or {})
                ended = launcher.attempt(pod.name, folder, start)
                return Step(place.path, "COMPLETE", count, said=ended.said)
            except Refused as refused:
                return Step(place.path, "FAILED", count - 1, str(refused))
            except Failed as failed:
                message = self._message(pod, failed)
                step = Step(place.path, "FAILED", count, message, failed.ended.said)
            finally:
                clear(folder)
        return step

    def _pod(self, place: Place) -> Pod:
        return driver.pod(place.scope, place.component, f"{self.run.name}-{uuid.uuid4().hex[:10]}")

    def _message(self, pod: Pod, failed: Failed) -> str:
        """Return what Argo shows on the node: the code, and the container's termination message."""
        if not failed.ended.code:
            return str(failed)
        last = self.cluster.ended.get(pod.name, "")
        return f"Error (exit code {failed.ended.code})" + (f": {last}" if last else "")

    def _drive(self, component: Component, values: dict[str, Any], made: int) -> None:
        """Do what the driver does itself: make or remove a claim."""
        defaults = {
            n: s["defaultValue"] for n, s in component.inputs.items() if "defaultValue" in s
        }
        properties = {}
        if (component.container or {})["image"] == CREATE:
            name = self.cluster.create_claim(defaults | values)
            properties = {"outputs": struct({"name": name})}
        else:
            self.cluster.delete_claim(defaults | values)
        self.metadata.update(made, "COMPLETE", properties)
