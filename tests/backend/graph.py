"""A compiled pipeline as the backend reads it: tasks, their order, and their components."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

Spec = Mapping[str, Any]
EXIT = "ALL_UPSTREAM_TASKS_COMPLETED"


class BackendError(Exception):
    """What the backend says of a pipeline that it will not run, or of a step that it cannot."""


@dataclass(frozen=True, slots=True)
class Task:
    """One task of one graph.

    Attributes:
        name: Within its graph.
        spec: As compiled (PipelineTaskSpec).
    """

    name: str
    spec: Spec

    @property
    def component(self) -> str:
        return str(self.spec["componentRef"]["name"])

    @property
    def parameters(self) -> Mapping[str, Spec]:
        return dict(self.spec.get("inputs", {}).get("parameters", {}))

    @property
    def artifacts(self) -> Mapping[str, Spec]:
        return dict(self.spec.get("inputs", {}).get("artifacts", {}))

    @property
    def after(self) -> set[str]:
        """Names of the tasks that come before, said outright or by using their outputs."""
        used = [*self.parameters.values(), *self.artifacts.values()]
        sources = [each.get(kind) for each in used for kind in _OUTPUTS]
        return {*self.spec.get("dependentTasks", ()), *(s["producerTask"] for s in sources if s)}

    @property
    def condition(self) -> str:
        return str(self.spec.get("triggerPolicy", {}).get("condition", ""))

    @property
    def is_exit(self) -> bool:
        """Whether it runs whatever became of the task before it."""
        return bool(self.spec.get("triggerPolicy", {}).get("strategy") == EXIT)

    @property
    def iterator(self) -> Spec | None:
        if "artifactIterator" in self.spec:
            raise BackendError("artifact iterator not implemented yet")
        return self.spec.get("parameterIterator")

    @property
    def retries(self) -> int:
        """Times that Argo starts its pod again after a failure."""
        return int(self.spec.get("retryPolicy", {}).get("maxRetryCount", 0))


_OUTPUTS = ("taskOutputParameter", "taskOutputArtifact")


@dataclass(frozen=True, slots=True)
class Component:
    """What a task refers to: a container or a graph.

    Attributes:
        spec: As compiled (ComponentSpec).
        container: Image, command, arguments; None of a graph.
        platform: What kfp-kubernetes adds to the container's pod.
    """

    spec: Spec
    container: Spec | None
    platform: Spec

    @property
    def inputs(self) -> Mapping[str, Spec]:
        return dict(self.spec.get("inputDefinitions", {}).get("parameters", {}))

    @property
    def outputs(self) -> Mapping[str, Spec]:
        return dict(self.spec.get("outputDefinitions", {}).get("parameters", {}))

    @property
    def artifacts(self) -> Mapping[str, Spec]:
        return dict(self.spec.get("outputDefinitions", {}).get("artifacts", {}))

    @property
    def results(self) -> Mapping[str, Spec]:
        """Sources of a graph's own outputs."""
        return dict(self.spec.get("dag", {}).get("outputs", {}).get("parameters", {}))

    def tasks(self) -> Iterator[Task]:
        """Yield a graph's tasks, each after those that it needs, exit tasks right after theirs.

        Raises:
            BackendError: A task waits for one that is not there, or for itself.
        """
        left = {name: Task(name, spec) for name, spec in self.spec["dag"]["tasks"].items()}
        done: set[str] = set()
        while left:
            ready = [task for task in left.values() if task.after <= done]
            if not ready:
                raise BackendError(f"tasks {sorted(left)} wait for tasks that are not there")
            task = min(ready, key=lambda each: (not each.is_exit, each.name))
            yield left.pop(task.name)
            done.add(task.name)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A compiled YAML.

    Attributes:
        spec: The first document (PipelineSpec).
        platform: Executor's label to what kfp-kubernetes adds to it.
    """

    spec: Spec
    platform: Mapping[str, Spec]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the pipeline and, if there is one, the platform document."""
        return cls.parse(path.read_text())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the documents of a YAML."""
        spec, *more = yaml.safe_load_all(text)
        found = (each["platforms"]["kubernetes"]["deploymentSpec"]["executors"] for each in more)
        return cls(spec, next(found, {}))

    @property
    def name(self) -> str:
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def root(self) -> Component:
        return Component(self.spec["root"], None, {})

    def component(self, name: str) -> Component:
        """Return the component of this name."""
        spec = self.spec["components"][name]
        if "dag" in spec:
            return Component(spec, None, {})
        label = spec["executorLabel"]
        executor = self.spec["deploymentSpec"]["executors"][label]
        if "container" not in executor:
            raise BackendError(f"executor {label}: only containers run here, not {set(executor)}")
        return Component(spec, executor["container"], self.platform.get(label, {}))
