"""Bounds of what is simulated: a pipeline beyond them runs nowhere, and would take hours here.

Argo keeps a Workflow in 1 MiB, and packs none of its spec. There every task stands with its driver
in some 1,160 bytes, and every text of a component or executor at least once.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import TopologicalSorter

from carferry.errors import InputError
from carferry.lint.gojson import size
from carferry.lint.templates import Json

_MOST_PARTS = 1000
"""Tasks, components or executors."""
_MOST_DEPENDENCIES = 20_000
_DEEPEST = 50
"""Components in components: each is a DAG that every name below it repeats."""
_LONGEST_NAME = 1000
"""Characters; every node of a run repeats the names above it."""
_MOST_BYTES = 4 * 1024 * 1024
_SPLIT = "split it into several pipelines, or carry less"


def check_bounds(name: str, pipeline: Json) -> None:
    """Raise InputError for the first bound that a pipeline exceeds.

    Args:
        name: What to call the file.
        pipeline: The IR, cleaned, whose parts all exist.
    """
    for reason in _beyond(pipeline):
        raise InputError("read", name, f"{reason}, more than any Workflow holds", _SPLIT)


def _beyond(pipeline: Json) -> Iterator[str]:
    components: dict[str, Json] = {**pipeline.get("components", {}), "root": pipeline["root"]}
    tasks = [t for c in components.values() for t in c.get("dag", {}).get("tasks", {}).values()]
    executors = pipeline.get("deploymentSpec", {}).get("executors", {})
    for kind, parts in (("tasks", tasks), ("components", components), ("executors", executors)):
        if len(parts) > _MOST_PARTS:
            yield f"{len(parts):,} {kind}"
    if (longest := _longest_name(pipeline, components, executors)) > _LONGEST_NAME:
        yield f"a name of {longest:,} characters"
    waits = sum(len(task.get("dependentTasks", ())) for task in tasks)
    if waits > _MOST_DEPENDENCIES:
        yield f"{waits:,} dependencies"
    if (depth := _depth(components)) > _DEEPEST:
        yield f"components nested {depth} deep"
    carried = size({key: part for key, part in pipeline.items() if key != "pipelineInfo"})
    if carried > _MOST_BYTES:
        yield f"{carried:,} bytes of components and executors"


def _longest_name(pipeline: Json, components: dict[str, Json], executors: dict[str, Json]) -> int:
    tasks = (name for one in components.values() for name in one.get("dag", {}).get("tasks", {}))
    names = (pipeline["pipelineInfo"]["name"], *components, *executors, *tasks)
    return max(map(len, names))


def _depth(components: dict[str, Json]) -> int:
    """Return how many components the deepest one is inside of, none containing itself."""
    inside = {
        name: [t["componentRef"]["name"] for t in one.get("dag", {}).get("tasks", {}).values()]
        for name, one in components.items()
    }
    depths: dict[str, int] = {}
    for name in TopologicalSorter(inside).static_order():
        depths[name] = 1 + max((depths[inner] for inner in inside[name]), default=-1)
    return depths["root"]
