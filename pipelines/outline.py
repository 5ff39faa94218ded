"""The steps of a compiled pipeline, in the order of the pipeline: what a person calls it.

Source: pipeline_spec.proto of Kubeflow Pipelines 2; a task whose component holds a ``dag`` is a
group (a condition, a loop), one with an executor is a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

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
    components = spec.get("components") or {}
    graph = (spec.get("root") or {}).get("dag") or {}
    return tuple(_steps(graph.get("tasks") or {}, components, (), repeated=False))


def _steps(
    tasks: Mapping[str, Any], components: Mapping[str, Any], above: Path, *, repeated: bool
) -> Iterator[Step]:
    for name in _ordered(tasks):
        task, path = tasks[name], (*above, name)
        component = components.get(task["componentRef"]["name"]) or {}
        many = repeated or "parameterIterator" in task or "artifactIterator" in task
        if "dag" in component:
            yield from _steps(component["dag"]["tasks"], components, path, repeated=many)
        else:
            yield Step(name, path, many)


def _ordered(tasks: Mapping[str, Any]) -> Iterator[str]:
    """Yield task names, each after what it waits for, else by name; exit tasks come last."""
    graph = TopologicalSorter(
        {name: task.get("dependentTasks") or () for name, task in tasks.items()}
    )
    graph.prepare()
    while graph.is_active():
        ready = sorted(graph.get_ready())
        yield from (name for name in ready if name in tasks)
        graph.done(*ready)
