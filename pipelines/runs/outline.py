"""The steps of a compiled pipeline, in the order of the pipeline: what a person calls it.

Source: pipeline_spec.proto of Kubeflow Pipelines 2; a task whose component holds a ``dag`` is a
group (a condition, a loop), one with an executor is a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from carferry.pipelines.server.answers import mapping

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipeline.

    Attributes:
        name: As the user interface shows it.
        path: Task names from the pipeline's own graph down to the step's.
        repeated: Whether a loop runs it more than once.
    """

    name: str
    path: Path
    repeated: bool = False


def steps(spec: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the steps of an IR document, each after those it waits for; none of another kind."""
    return tuple(_steps(_tasks(spec.get("root")), mapping(spec.get("components")), (), False))


def _steps(
    tasks: Mapping[str, Any], components: Mapping[str, Any], above: Path, repeated: bool
) -> Iterator[Step]:
    for name in _ordered(tasks):
        task, path = mapping(tasks[name]), (*above, name)
        reference = str(mapping(task.get("componentRef")).get("name"))
        component = mapping(components.get(reference))
        many = repeated or "parameterIterator" in task or "artifactIterator" in task
        if "dag" in component:
            # A component within itself, which Pipelines refuses, would have no end.
            others = {key: each for key, each in components.items() if key != reference}
            yield from _steps(_tasks(component), others, path, many)
        else:
            yield Step(name, path, many)


def _ordered(tasks: Mapping[str, Any]) -> Iterator[str]:
    """Yield task names, each after what it waits for, else by name; exit tasks come last."""
    graph = TopologicalSorter({name: _waited_for(task) for name, task in tasks.items()})
    try:
        graph.prepare()
    except CycleError:  # no order is right
        yield from sorted(tasks)
        return
    while graph.is_active():
        ready = sorted(graph.get_ready())
        yield from (name for name in ready if name in tasks)
        graph.done(*ready)


def _tasks(component: object) -> Mapping[str, Any]:
    return mapping(mapping(mapping(component).get("dag")).get("tasks"))


def _waited_for(task: object) -> list[str]:
    names = mapping(task).get("dependentTasks")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
