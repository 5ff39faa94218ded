"""What a pipeline's parts refer to exists; the backend would refuse it, or fail, otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import chain

from carferry.errors import InputError
from carferry.lint.templates import Json

COMPILE = "give the YAML that `kfp dsl compile` or Compiler().compile writes"
_KINDS = {"container", "importer", "resolver", "customJob"}
_ANY = {"image": "any"}


def check_references(name: str, pipeline: Json) -> None:
    """Raise InputError for the first part that is missing.

    Args:
        name: What to call the file.
        pipeline: The IR, cleaned.
    """
    for reason in chain(_headless(pipeline), _broken(pipeline)):
        raise InputError("read", name, reason, COMPILE)


def _headless(pipeline: Json) -> Iterator[str]:
    if pipeline.get("schemaVersion") != "2.1.0":
        yield f"schemaVersion {pipeline.get('schemaVersion', '')!r}, not 2.1.0"
    if not pipeline.get("pipelineInfo", {}).get("name") or "root" not in pipeline:
        yield "no pipelineInfo.name or no root"


def _broken(pipeline: Json) -> Iterator[str]:
    executors = pipeline.get("deploymentSpec", {}).get("executors", {})
    for label, executor in executors.items():
        if not _KINDS & set(executor) or not executor.get("container", _ANY).get("image"):
            yield f"executor {label} runs no image and imports nothing"
    components = {**pipeline.get("components", {}), "root": pipeline["root"]}
    for name, component in components.items():
        if not _tasks(component) and component.get("executorLabel", "") not in executors:
            yield f"component {name} has neither tasks nor an executor of deploymentSpec"
        for key, task in _tasks(component).items():
            if task.get("componentRef", {}).get("name", "") not in components:
                yield f"task {key} of {name} refers to no component"
        yield from _misordered(name, {k: producers(t) for k, t in _tasks(component).items()})
    inside = {
        name: [task["componentRef"]["name"] for task in _tasks(component).values()]
        for name, component in components.items()
    }
    if ring := _ring(inside):
        yield f"component {ring} contains itself"


def _tasks(component: Json) -> dict[str, Json]:
    tasks: dict[str, Json] = component.get("dag", {}).get("tasks", {})
    return tasks


def _misordered(name: str, waits: dict[str, list[str]]) -> Iterator[str]:
    missing = {need for needs in waits.values() for need in needs} - set(waits)
    if missing:
        yield f"a task of {name} waits for {sorted(missing)[0]}, which is not there"
    if clashing := sorted(key for key in waits if f"{key}-driver" in waits):
        yield f"task {clashing[0]}-driver of {name} is named as the driver of {clashing[0]}"
    if ring := _ring(waits):
        yield f"task {ring} of {name} waits for itself"


def _ring(needs: dict[str, list[str]]) -> str:
    """Return a name that needs itself, in however many steps; none: an empty text."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return str(min(error.args[1]))
    return ""


def producers(task: Json) -> list[str]:
    """Return the tasks that a task waits for: those it names, and those whose outputs it takes."""
    names = list(task.get("dependentTasks", ()))
    inputs = task.get("inputs", {})
    for given in (*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values()):
        kinds = ("taskOutputParameter", "taskOutputArtifact")
        names += [given[kind].get("producerTask", "") for kind in kinds if kind in given]
    return list(dict.fromkeys(names))
