"""A whole run: the tasks of each graph in order, as Argo would schedule them.

One task of a graph at a time, a loop's rounds side by side. After a failure nothing else is
started but the exit tasks of what was (Argo's failFast, and KFP's exit hooks).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from backend import driver
from backend.cluster import Cluster
from backend.driver import Scope
from backend.graph import BackendError, Component, Pipeline
from backend.metadata import DAG, Metadata
from backend.objects import Objects
from backend.steps import Place, Run, Step, Steps

_SIDE_BY_SIDE = 2


@dataclass(slots=True)
class Backend:
    """Runs pipelines in one project.

    Attributes:
        cluster: The project.
        metadata: ML Metadata.
        objects: The artifact store.
        instead: Task's name to output parameters to publish in place of its own, for what only
            a large model would give.
    """

    cluster: Cluster
    metadata: Metadata
    objects: Objects
    instead: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self, pipeline: Pipeline, **values: Any) -> Run:
        """Run a pipeline with these parameters to its end, whatever that is.

        Raises:
            BackendError: The API server would refuse the parameters.
        """
        given = driver.defaults(values, pipeline.root)
        run = Run(str(uuid.uuid4()), f"{pipeline.name}-{uuid.uuid4().hex[:5]}")
        root = f"{self.objects.root}/{pipeline.name}/{run.id}"
        contexts = self.metadata.open_run(pipeline.name, run.id, root)
        parts = self.cluster, self.metadata, self.objects, self.instead
        _Walk(pipeline, run, Steps(*parts, run, contexts, root)).root(given)
        return run


@dataclass(frozen=True, slots=True)
class _Walk:
    pipeline: Pipeline
    run: Run
    steps: Steps

    def root(self, values: Mapping[str, Any]) -> None:
        scope = self._open(self.steps.create(DAG, "", None, values), values)
        self.run.failed = not self._graph(self.pipeline.root, scope, "")
        if not self.run.failed:
            for name, source in self.pipeline.root.results.items():
                self.run.outputs[name] = scope.result(source)

    def _graph(self, component: Component, scope: Scope, path: str) -> bool:
        succeeded, started = True, set()
        for task in component.tasks():
            place = Place(task, self.pipeline.component(task.component), scope, path + task.name)
            if task.is_exit:
                if task.after <= started:
                    succeeded &= self._task(place)
            elif succeeded:
                started.add(task.name)
                succeeded = self._task(place)
        return succeeded

    def _task(self, place: Place) -> bool:
        try:
            values = driver.inputs(place.scope, place.task, place.component)
            triggered = driver.triggers(place.task, values)
            if triggered and place.component.container is not None:
                return self.steps.run_container(place, values)
            rounds = driver.items(place.task, values) if triggered and place.task.iterator else []
        except BackendError as error:
            return self.run.note(Step(place.path, "FAILED", message=str(error)))
        made = self.steps.open(place, values, "RUNNING" if triggered else "CANCELED")
        if not triggered:
            return self.run.note(Step(place.path, "CANCELED"))
        if place.task.iterator:
            return self.steps.close(made, self._loop(place, made, values, rounds))
        inner = self._open(made, values)
        place.scope.results[place.task.name] = place.component, inner
        return self.steps.close(made, self._graph(place.component, inner, f"{place.path}/"))

    def _loop(self, place: Place, made: int, values: Mapping[str, Any], rounds: list[Any]) -> bool:
        iterator = place.task.iterator or {}
        source = iterator["items"].get("inputParameter")
        shared = {name: value for name, value in values.items() if name != source}

        def once(index: int) -> bool:
            mine = shared | {iterator["itemInput"]: rounds[index]}
            round_id = self.steps.create(DAG, place.task.name, made, mine, index=index)
            path = f"{place.path}/{index}/"
            done = self._graph(place.component, self._open(round_id, mine), path)
            return self.steps.close(round_id, done)

        limit = place.task.spec.get("iteratorPolicy", {}).get("parallelismLimit", _SIDE_BY_SIDE)
        with ThreadPoolExecutor(min(limit, _SIDE_BY_SIDE)) as pool:
            return all(list(pool.map(once, range(len(rounds)))))

    def _open(self, made: int, values: Mapping[str, Any]) -> Scope:
        known = {
            "{{$.pipeline_job_resource_name}}": self.run.name,
            "{{$.pipeline_job_name}}": self.pipeline.name,
            "{{$.pipeline_job_uuid}}": self.run.id,
        }
        return Scope(self.steps.metadata, known, values, made)
