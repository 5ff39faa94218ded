"""What the driver does before a task: its inputs, whether it runs, how often, and in which pod.

Source: backend/src/v2/driver: resolve.go, dag.go, container.go, k8s.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.graph import BackendError, Component, Spec, Task
from backend.kubelet import Mount, Pod
from backend.metadata import Metadata

Values = Mapping[str, Any]
_COMPARED = re.compile(r"inputs\.parameter_values\['([^']+)'\] (==|!=) (true|false|'[^']*')")
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
_PULLS = {"", "Always", "Never", "IfNotPresent"}
_KNOWN = {"secretAsVolume", "configMapAsVolume", "pvcMount", "imagePullPolicy"}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """A graph while it runs.

    Attributes:
        metadata: Source of its tasks' outputs.
        run: Placeholder, as a constant may be one, to its value in this run.
        values: The graph's own inputs.
        id: Its execution.
        done: Task's name to its execution.
        results: Graph task's name to the sources of its outputs.
    """

    metadata: Metadata
    run: Mapping[str, str]
    values: Values
    id: int
    done: dict[str, int] = field(default_factory=dict)
    results: dict[str, tuple[Component, Scope]] = field(default_factory=dict)

    def resolve(self, spec: Spec) -> Any:
        """Return a parameter's value: an input of the graph, another task's output, a constant.

        Raises:
            BackendError: There is no such value, or no such kind of value.
        """
        if "componentInputParameter" in spec:
            name = spec["componentInputParameter"]
            if name not in self.values:
                raise BackendError(f"parent DAG does not have input parameter {name}")
            return self.values[name]
        if "taskOutputParameter" in spec:
            source = spec["taskOutputParameter"]
            return self.output(source["producerTask"], source["outputParameterKey"])
        if "constant" in spec.get("runtimeValue", {}):
            constant = spec["runtimeValue"]["constant"]
            return self.run.get(constant, constant) if isinstance(constant, str) else constant
        raise BackendError(f"parameter spec {dict(spec)} not implemented yet")

    def output(self, task: str, key: str) -> Any:
        """Return what a finished task published, followed into graphs."""
        if task in self.results:
            component, scope = self.results[task]
            return scope.result(component.results[key])
        if task not in self.done:
            raise BackendError(f"producer task, {task}, not in tasks")
        return whole(self.metadata.outputs(self.done[task]).get(key))

    def result(self, spec: Spec) -> Any:
        """Return one of the graph's own outputs, which one of its tasks published."""
        if "valueFromParameter" not in spec:
            raise BackendError(f"output {dict(spec)} not implemented yet")
        source = spec["valueFromParameter"]
        return self.output(source["producerSubtask"], source["outputParameterKey"])

    def name(self, spec: Spec, what: str) -> str | None:
        """Return the name of an object that a pod mounts; None skips the mount.

        Raises:
            BackendError: It is empty, or no text.
        """
        value = self.resolve(spec)
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            problem = "Expected a non-empty string" if value == "" else "Expected a string"
            raise BackendError(f"failed to resolve {what} name: {dict(spec)}. {problem}")
        return value


def defaults(given: Values, component: Component) -> dict[str, Any]:
    """Return a run's parameters as the API server completes them: defaults, else null.

    Raises:
        BackendError: One is unknown, missing or of another type.
    """
    if unknown := sorted(given.keys() - component.inputs.keys()):
        raise BackendError(f"parameters {unknown} are not in the pipeline")
    filled = dict(given)
    for name, spec in component.inputs.items():
        if name not in filled:
            if not spec.get("isOptional") and "defaultValue" not in spec:
                raise BackendError(f"parameter {name} has neither value nor default")
            filled[name] = spec.get("defaultValue")
    return _checked(filled, component)


def inputs(scope: Scope, task: Task, component: Component) -> dict[str, Any]:
    """Return a task's parameters; defaults of containers are the launcher's business.

    Raises:
        BackendError: One is missing, null, or of another type than the component wants.
    """
    found = {}
    for name, spec in task.parameters.items():
        if "parameterExpressionSelector" in spec:
            raise BackendError(f"parameter {name}: expression selectors are not known here")
        value = scope.resolve(spec)
        if value is None and not component.inputs.get(name, {}).get("isOptional"):
            raise BackendError(f"the resolved input parameter is null: {name}")
        if value is not None or component.container is None:
            found[name] = value
    if component.container is None:
        for name, spec in component.inputs.items():
            if spec.get("isOptional"):
                found.setdefault(name, spec.get("defaultValue"))
    items = task.iterator and task.iterator["itemInput"]
    for name, spec in component.inputs.items():
        if name not in found and name != items and not spec.get("isOptional"):
            raise BackendError(f"neither value nor default provided for parameter {name!r}")
    return _checked(found, component)


def triggers(task: Task, values: Values) -> bool:
    """Return whether a task runs; conditions are as kfp's dsl.If compiles them.

    Raises:
        BackendError: A condition of another shape: it must be thought about here first.
    """
    if not task.condition:
        return True
    terms = [_COMPARED.fullmatch(term) for term in task.condition.split(" && ")]
    if not all(terms):
        raise BackendError(f"condition {task.condition!r} is not understood here")
    return all(_holds(*term.groups(), values) for term in terms if term)


def items(task: Task, values: Values) -> list[Any]:
    """Return what a loop goes over."""
    assert task.iterator is not None
    source = task.iterator["items"]
    found = values[source["inputParameter"]] if "inputParameter" in source else source["raw"]
    listed = json.loads(found) if isinstance(found, str) else found
    if not isinstance(listed, list):
        raise BackendError(f"value of type {type(found).__name__} cannot be iterated")
    return listed


def pod(scope: Scope, component: Component, name: str) -> Pod:
    """Return the pod of a container, before Kubernetes has looked at it.

    Raises:
        BackendError: A name that is empty, a policy, field or quantity that is not known.
    """
    container, platform = component.container or {}, component.platform
    if unknown := sorted(platform.keys() - _KNOWN):
        raise BackendError(f"kubernetes config {unknown} is not known here")
    if (policy := platform.get("imagePullPolicy", "")) not in _PULLS:
        raise BackendError(f"unsupported value: {policy}. ImagePullPolicy should be one of ...")
    for key, value in container.get("resources", {}).items():
        if key.startswith("resource") and not _QUANTITY.fullmatch(str(value)):
            raise BackendError(f"quantities must match the regular expression: {key}={value!r}")
    env = {each["name"]: each.get("value", "") for each in container.get("env", [])}
    return Pod(name, container["image"], env, tuple(_mounts(scope, platform)))


def _mounts(scope: Scope, platform: Spec) -> list[Mount]:
    kinds = {"pvcMount": "pvc", "secretAsVolume": "secret", "configMapAsVolume": "configMap"}
    found = []
    for field_name, kind in kinds.items():
        for spec in platform.get(field_name, []):
            if "subPath" in spec:
                raise BackendError(f"{field_name}: subPath is not known here")
            source = spec.get(f"{kind}NameParameter") or _constant(spec, f"{kind}Name")
            if (name := scope.name(source, kind)) is not None:
                found.append(Mount(kind, name, spec["mountPath"], spec.get("optional", False)))
    return found


def _constant(spec: Spec, key: str) -> Spec:
    return {"runtimeValue": {"constant": spec[key]}} if key in spec else spec


def _checked(values: dict[str, Any], component: Component) -> dict[str, Any]:
    for name, spec in component.inputs.items():
        value, kind = values.get(name), spec["parameterType"]
        if value is None:
            continue
        if kind == "STRING":
            values[name] = value if isinstance(value, str) else plain(value)
        elif not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "BOOLEAN"):
            actual = type(value).__name__
            raise BackendError(f"input parameter {name!r} mismatch: expect {kind}, got {actual}")
        else:
            values[name] = whole(value)
    return values


def _holds(name: str, operator: str, literal: str, values: Values) -> bool:
    wanted: Any = literal == "true" if literal in ("true", "false") else literal[1:-1]
    if name not in values:
        raise BackendError(f"condition: no such key: {name}")
    same = type(values[name]) is type(wanted) and values[name] == wanted
    return same == (operator == "==")


def whole(value: Any) -> Any:
    """Return a value with whole numbers as such: the backend's numbers are all doubles."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(each) for each in value]
    if isinstance(value, dict):
        return {key: whole(each) for key, each in value.items()}
    return value


def plain(value: Any) -> str:
    """Return a value as the text that the backend puts in a placeholder's place."""
    return value if isinstance(value, str) else json.dumps(whole(value))
