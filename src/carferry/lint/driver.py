"""What KFP's driver answers Argo with: executions, and the patch that makes a step's pod.

The patch holds the container (image, command, arguments, environment, resources), the whole
component spec once more and the executor's input, as JSON inside JSON. Values that only a run can
know are counted as ``UNKNOWN``. Conditions count as true and nothing as cached: the largest run.
Source: initPodSpecPatch, provisionOutputs and extendPodSpecPatch in backend/src/v2/driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from carferry.lint.gojson import marshal, unmarshal
from carferry.lint.pods import extend
from carferry.lint.targets import Backend
from carferry.lint.templates import Json, server_arguments

UNKNOWN = "x" * 64
"""Stands for a text that only a run can know: an output, or a parameter without a default."""
RUN = "00000000-0000-0000-0000-000000000000"
_LOGS = {"artifactType": {"schemaTitle": "system.Artifact"}}
"""Artifact that the driver adds to every step, unless PUBLISH_LOGS says otherwise."""
_GUESSES: Mapping[str, Any] = {
    "NUMBER_INTEGER": 1234567890,
    "NUMBER_DOUBLE": 1234.56789,
    "BOOLEAN": True,
    "LIST": [UNKNOWN],
    "STRUCT": {"one": UNKNOWN, "two": UNKNOWN, "three": UNKNOWN, "four": {"five": UNKNOWN}},
    "TASK_FINAL_STATUS": {"state": "SUCCEEDED", "pipelineTaskName": "t", "error": UNKNOWN},
}

Outputs = Mapping[str, str]


def guess(parameter: Json) -> Any:
    """Return what stands for a parameter's value: its default, or one of its type."""
    return parameter.get("defaultValue", _of_type(parameter))


def _of_type(parameter: Json) -> Any:
    return _GUESSES.get(parameter.get("parameterType", ""), UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Execution:
    """An open DAG: the values of its inputs, and how often it iterates."""

    values: Mapping[str, Any]
    iterations: int = 0


@dataclass(slots=True)
class Driver:
    """Answers as the driver would; called once per driver pod.

    Attributes:
        pipeline: The pipeline's name.
        target: The backend.
        workers: Iterations of a loop over a list that only a run can know.
        conditions: Whether the conditions of tasks are met.
    """

    pipeline: str
    target: Backend
    workers: int
    conditions: bool = True
    executions: list[_Execution] = field(default_factory=list)

    def act(self, template: str, given: Outputs) -> Outputs:
        """Return the output parameters of a driver pod by the template it runs."""
        if template == "system-dag-driver":
            return self._open(given)
        if template == "system-container-driver":
            patch = marshal(self._pod(given))
            met = self._met(_task(given))
            return {"pod-spec-patch": patch, "cached-decision": "false", "condition": met}
        return {}

    def _open(self, given: Outputs) -> Outputs:
        component, task = unmarshal(given["component"]), _task(given)
        if given.get("driver-type") == "ROOT_DAG":
            values = unmarshal(given["runtime-config"])["parameterValues"]
            execution = _Execution(values)
        else:
            execution = _Execution(self._values(component, task, given), self._count(task, given))
        self.executions.append(execution)
        return {
            "execution-id": str(len(self.executions)),
            "iteration-count": str(execution.iterations),
            "condition": self._met(task),
        }

    def _met(self, task: Json) -> str:
        conditional = bool(task.get("triggerPolicy", {}).get("condition"))
        return "false" if conditional and not self.conditions else "true"

    def _count(self, task: Json, given: Outputs) -> int:
        """Return how often a loop's driver says to iterate; 0 inside an iteration."""
        iterator = task.get("parameterIterator") or task.get("artifactIterator")
        if not iterator or given["iteration-index"] != "-1":
            return 0
        items = constant_items(task)
        return self.workers if items is None else len(items)

    def _values(self, component: Json, task: Json, given: Outputs) -> dict[str, Any]:
        inputs = task.get("inputs", {}).get("parameters", {})
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        parent = self.executions[int(given["parent-dag-id"]) - 1].values
        values = {name: guess(spec) for name, spec in declared.items()}
        values |= {
            name: _resolve(source, parent, _of_type(declared.get(name, {})))
            for name, source in inputs.items()
        }
        item = task.get("parameterIterator", {}).get("itemInput", "")
        if item and given["iteration-index"] != "-1":
            items = constant_items(task)
            index = int(given["iteration-index"])
            values[item] = guess(declared.get(item, {})) if items is None else items[index]
        return values

    def _pod(self, given: Outputs) -> Json:
        component, task = unmarshal(given["component"]), _task(given)
        container = unmarshal(given["container"])
        executed = {
            "inputs": _inputs(self._values(component, task, given), component, self.pipeline),
            "outputs": self._provide(component, task),
        }
        launcher = ["/kfp-launcher/launch", "--pipeline_name", self.pipeline, "--run_id", RUN]
        launcher += ["--execution_id", "1234", "--executor_input", marshal(executed)]
        launcher += ["--component_spec", given["component"], "--pod_name", "$(KFP_POD_NAME)"]
        launcher += ["--pod_uid", "$(KFP_POD_UID)", *server_arguments()]
        launcher += ["--publish_logs", "true", "--publish_logs", "true", "--"]  # twice, it is
        main = {
            "name": "main",
            "image": container.get("image", ""),
            "command": launcher,
            "args": [*container.get("command", ()), *container.get("args", ())],
            "env": container.get("env", []),
            "resources": _resources(container.get("resources", {})),
        }
        values = self.executions[int(given["parent-dag-id"]) - 1].values
        config = unmarshal(given["kubernetes-config"]) if given["kubernetes-config"] else {}
        return extend({"containers": [main]}, config, _named(values))

    def _provide(self, component: Json, task: Json) -> Json:
        declared = component.get("outputDefinitions", {})
        name = task.get("taskInfo", {}).get("name", "task")
        root = f"s3://pipelines/{self.pipeline}/{RUN}/{name}/{RUN}"
        made: Json = {"outputFile": f"/s3/{root[5:]}/output_metadata.json"}
        if declared.get("parameters"):
            made["parameters"] = {
                n: {"outputFile": f"/tmp/kfp/outputs/{n}"}  # noqa: S108, the launcher's own path
                for n in declared["parameters"]
            }
        artifacts = declared.get("artifacts", {}) | {"executor-logs": _LOGS}
        made["artifacts"] = {
            n: {"artifacts": [_artifact(n, spec, f"{root}/{n}")]} for n, spec in artifacts.items()
        }
        return made


def constant_items(task: Json) -> list[Any] | None:
    """Return the items of a loop over a constant list; None if only a run knows them."""
    raw = task.get("parameterIterator", {}).get("items", {}).get("raw")
    if raw is None:
        return None
    try:
        items = unmarshal(raw)
    except (ValueError, RecursionError):
        return None
    return items if isinstance(items, list) else None


def _task(given: Outputs) -> Json:
    task: Json = unmarshal(given["task"]) if given.get("task") else {}
    return task


def _resolve(source: Json, parent: Mapping[str, Any], unknown: Any) -> Any:
    """Return a value, or what stands for the one that only a run will know."""
    if "componentInputParameter" in source:
        return parent.get(source["componentInputParameter"], unknown)
    if "runtimeValue" in source:
        return source["runtimeValue"].get("constant", "")
    if "taskFinalStatus" in source:
        return _GUESSES["TASK_FINAL_STATUS"]
    return unknown


def _inputs(values: Mapping[str, Any], component: Json, pipeline: str) -> Json:
    made: Json = {"parameterValues": dict(values)} if values else {}
    artifacts = component.get("inputDefinitions", {}).get("artifacts", {})
    if artifacts:
        root = f"s3://pipelines/{pipeline}/{RUN}/task/{RUN}"
        made["artifacts"] = {
            n: {"artifacts": [_artifact(n, spec, f"{root}/{n}")]} for n, spec in artifacts.items()
        }
    return made


def _artifact(name: str, spec: Json, uri: str) -> Json:
    made = {"name": name, "type": spec.get("artifactType", {}), "uri": uri}
    return made | ({"metadata": spec["metadata"]} if "metadata" in spec else {})


def _named(values: Mapping[str, Any]) -> Callable[[Json], str]:
    """Return what resolves the name of a Secret, ConfigMap or claim given as a parameter."""

    def resolve(source: Json) -> str:
        return str(_resolve(source, values, UNKNOWN))

    return resolve


def _resources(resources: Json) -> Json:
    """Return limits and requests; the old fields are numbers, in cores and in GB."""
    made: Json = {"limits": {}, "requests": {}}
    for kind in ("limits", "requests"):
        for unit, suffix in (("Cpu", ""), ("Memory", "G")):
            name = f"{unit}{kind[:-1].capitalize()}"
            new, old = resources.get(f"resource{name}"), resources.get(name[0].lower() + name[1:])
            if new or old:
                made[kind][unit.lower()] = str(new or f"{old}{suffix}")
    accelerator = resources.get("accelerator", {})
    kind_of = accelerator.get("resourceType") or accelerator.get("type")
    count = accelerator.get("resourceCount") or accelerator.get("count")
    if kind_of and count:
        made["limits"][str(kind_of)] = str(count)
    return {kind: limits for kind, limits in made.items() if limits}
