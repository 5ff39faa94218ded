"""From the IR to Argo's Workflow, as the backend's compiler writes it.

Component and container specs are stored once each as arguments of the Workflow; the task's JSON is
written into every template that runs it, twice for a loop. Retries get templates of their own.
Labels and annotations of pods are left out: some hundred bytes a step.
Source: backend/src/v2/compiler/argocompiler/{argo,container,dag,importer}.go and
backend/src/v2/compiler/visitor.go of Kubeflow Pipelines 2.5.0 to 2.17.0.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from carferry.lint import templates
from carferry.lint.document import CompiledPipeline
from carferry.lint.gojson import marshal
from carferry.lint.references import producers
from carferry.lint.targets import Backend
from carferry.lint.templates import Json, dag_task, dag_template, parameters

PLATFORM_IMAGES = ("argostub/createpvc", "argostub/deletepvc")
"""Images the driver acts for itself; no container runs."""
_EXIT = "ALL_UPSTREAM_TASKS_COMPLETED"
_PARENT = "{{inputs.parameters.parent-dag-id}}"
_INDEX = "{{inputs.parameters.iteration-index}}"


def compile_workflow(document: CompiledPipeline, target: Backend) -> Json:
    """Return ``spec`` of the Workflow that a backend makes of a pipeline; the document changes."""
    compiler = _Compiler(document, target)
    compiler.visit("root", document.root)
    compiler.add_entrypoint()
    return compiler.spec()


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a task: its parent's execution, and which iteration it is, if any."""

    parent: str = _PARENT
    index: str = ""
    task_name: str = ""
    exit_template: str = ""


@dataclass(slots=True)
class _Compiler:
    document: CompiledPipeline
    target: Backend
    arguments: dict[str, str] = field(default_factory=dict)
    templates: dict[str, Json] = field(default_factory=dict)
    visited: set[str] = field(default_factory=set)

    def spec(self) -> Json:
        """Return what was compiled."""
        return {
            "templates": list(self.templates.values()),
            "entrypoint": "entrypoint",
            "arguments": parameters(self.arguments),
            "serviceAccountName": "pipeline-runner-dspa",
            "podMetadata": templates.POD_METADATA,
            **templates.pod_security(self.target, non_root=True),
        }

    def visit(self, name: str, component: Json, task: Json | None = None) -> None:
        """Compile a component after those its tasks use; tasks without retries inherit them."""
        if name in self.visited:
            return
        self.visited.add(name)
        if "dag" not in component:
            self._save(name, component)
            return
        for _, inner in sorted(component["dag"]["tasks"].items()):
            if task and "retryPolicy" in task:
                inner.setdefault("retryPolicy", task["retryPolicy"])
            reference = _reference(inner)
            self.visit(reference, self.document.component(reference), inner)
        self._add_dag(name, component)

    def add_entrypoint(self) -> None:
        """Compile what starts the root: its driver holds the run's parameters."""
        values = self.document.run_values()
        driver = self._dag_driver(
            "root-driver",
            "root",
            {"runtime-config": marshal({"parameterValues": values}), "driver-type": "ROOT_DAG"},
        )
        root = dag_task("root", "root", {"parent-dag-id": _output("root-driver", "execution-id")})
        root["arguments"]["parameters"].append({"name": "condition", "value": ""})
        root["depends"] = _depends(["root-driver"])
        self.templates["entrypoint"] = dag_template("entrypoint", (), [driver, root])

    def _save(self, name: str, component: Json) -> None:
        self.arguments.setdefault(f"components-{self._hash(name)}", marshal(component))
        executor = self.document.executor(name)
        if executor:
            body = executor.get("container") or executor.get("importer") or {}
            self.arguments.setdefault(f"implementations-{self._hash(name)}", marshal(body))
        config = self.document.kubernetes(name)
        if config:
            self.arguments.setdefault(f"kubernetes-{name}", marshal(config))

    def _hash(self, name: str) -> str:
        container = self.document.executor(name).get("container")
        if name == "root" or not container:
            return name
        return hashlib.sha256(marshal(container).encode()).hexdigest()

    def _use(self, kind: str, name: str) -> str:
        return f"{{{{workflow.parameters.{kind}-{self._hash(name)}}}}}"

    def _add_dag(self, name: str, component: Json) -> None:
        _add_implicit_dependencies(component["dag"]["tasks"])
        self._save(name, component)
        tasks = sorted(component["dag"]["tasks"].items())
        exits: dict[str, str] = {}
        for key, task in tasks:
            if _is_exit(task):
                hook = f"exit-hook-{name}-{key}"
                exits |= dict.fromkeys(task.get("dependentTasks", ()), hook)
                inner = self._task(key, task, _Place())
                self.templates[hook] = dag_template(hook, ("parent-dag-id",), inner)
        compiled: list[Json] = []
        for key, task in tasks:
            if not _is_exit(task):
                compiled += self._task(key, task, _Place(exit_template=exits.get(key, "")))
        self.templates[name] = dag_template(name, ("parent-dag-id",), compiled)

    def _task(self, name: str, task: Json, place: _Place) -> list[Json]:
        if not place.index and ("parameterIterator" in task or "artifactIterator" in task):
            return [self._iterator(name, task, place)]
        component = self.document.component(_reference(task))
        if "dag" in component:
            return self._dag(name, task, place)
        executor = self.document.executor(_reference(task))
        if "importer" in executor:
            return [self._importer(name, task, place)]
        return self._container(name, task, place, executor.get("container", {}))

    def _iterator(self, name: str, task: Json, place: _Place) -> Json:
        component = _reference(task)
        item = f"{component}-iteration"
        inner = _Place(index=_INDEX, task_name=name)
        self.templates[item] = dag_template(
            item, ("parent-dag-id", "iteration-index"), self._task("iteration-item", task, inner)
        )
        driver = self._dag_driver("iteration-driver", component, self._driven(task, name, place))
        loop = dag_task(
            "iteration-iterations",
            item,
            {"parent-dag-id": _output("iteration-driver", "execution-id")},
        )
        loop["arguments"]["parameters"].append({"name": "iteration-index", "value": "{{item}}"})
        loop["withSequence"] = {"count": _output("iteration-driver", "iteration-count")}
        loop["depends"] = _depends(["iteration-driver"])
        if _condition(task):
            loop["when"] = _output("iteration-driver", "condition") + " != false"
        outer = f"{component}-{name}-iterator"
        self.templates[outer] = dag_template(outer, ("parent-dag-id",), [driver, loop])
        outside = dag_task(name, outer, {"parent-dag-id": place.parent})
        outside["depends"] = _depends(task.get("dependentTasks", ()))
        return outside

    def _driven(self, task: Json, name: str, place: _Place) -> dict[str, str]:
        """Return what every driver of a task is given beside the component."""
        given = {"iteration-index": place.index} if place.index else {}
        given |= {"parent-dag-id": place.parent, "task": marshal(task)}
        named = self.target.names_iterations or name != "iteration-item"
        if self.target.names_tasks and named:
            given["task-name"] = place.task_name or name
        return given

    def _dag_driver(self, name: str, component: str, given: dict[str, str]) -> Json:
        self.templates.setdefault("system-dag-driver", templates.dag_driver(self.target))
        return dag_task(
            name, "system-dag-driver", {"component": self._use("components", component)} | given
        )

    def _dag(self, name: str, task: Json, place: _Place) -> list[Json]:
        driver = self._dag_driver(
            f"{name}-driver", _reference(task), self._driven(task, name, place)
        )
        self._wait(driver, task, place)
        given = {
            "parent-dag-id": _output(driver["name"], "execution-id"),
            "condition": _output(driver["name"], "condition"),
        }
        inner = dag_task(name, _reference(task), given)
        inner["depends"] = _depends([driver["name"]])
        if _condition(task):
            inner["when"] = given["condition"] + " != false"
        _hook(inner, place)
        return [driver, inner]

    def _container(self, name: str, task: Json, place: _Place, container: Json) -> list[Json]:
        reference = _reference(task)
        self.templates.setdefault(
            "system-container-driver", templates.container_driver(self.target)
        )
        given = self._driven(task, place.task_name or name, place) | {
            "component": self._use("components", reference),
            "container": self._use("implementations", reference),
        }
        if f"kubernetes-{reference}" in self.arguments:
            given["kubernetes-config"] = f"{{{{workflow.parameters.kubernetes-{reference}}}}}"
        driver = dag_task(f"{name}-driver", "system-container-driver", given)
        self._wait(driver, task, place)
        if container.get("image") in PLATFORM_IMAGES:
            return [driver | {"name": name}]
        return [driver, self._executor(name, task, place)]

    def _executor(self, name: str, task: Json, place: _Place) -> Json:
        driver = f"{name}-driver"
        retry = task.get("retryPolicy")
        prefix = "retry-" if retry is not None else ""
        for template in templates.executors(self.target, prefix):
            self.templates.setdefault(template["name"], template)
        given = {
            "pod-spec-patch": _output(driver, "pod-spec-patch"),
            "cached-decision": _output(driver, "cached-decision"),
        } | templates.retry_values(retry)
        executor = dag_task(name, f"{prefix}system-container-executor", given)
        executor["arguments"]["parameters"][1]["default"] = "false"
        executor["depends"] = _depends([driver])
        if _condition(task):
            executor["when"] = _output(driver, "condition") + " != false"
        _hook(executor, place)
        return executor

    def _importer(self, name: str, task: Json, place: _Place) -> Json:
        reference = _reference(task)
        self.templates.setdefault("system-importer", templates.importer(self.target))
        given = {
            "task": marshal(task),
            "component": self._use("components", reference),
            "importer": self._use("implementations", reference),
            "parent-dag-id": place.parent,
        }
        return dag_task(name, "system-importer", given)

    def _wait(self, driver: Json, task: Json, place: _Place) -> None:
        if not place.index and not _is_exit(task):
            driver["depends"] = _depends(task.get("dependentTasks", ()))


def _reference(task: Json) -> str:
    return str(task["componentRef"]["name"])


def _condition(task: Json) -> str:
    return str(task.get("triggerPolicy", {}).get("condition", ""))


def _is_exit(task: Json) -> bool:
    return bool(task.get("triggerPolicy", {}).get("strategy") == _EXIT)


def _output(task: str, parameter: str) -> str:
    return f"{{{{tasks.{task}.outputs.parameters.{parameter}}}}}"


def _depends(names: Any) -> str:
    return " && ".join(f"{name}.Succeeded" for name in names)


def _hook(task: Json, place: _Place) -> None:
    if place.exit_template:
        arguments = parameters({"parent-dag-id": place.parent})
        task["hooks"] = {"exit": {"template": place.exit_template, "arguments": arguments}}


def _add_implicit_dependencies(tasks: Json) -> None:
    """Make a task wait for those whose outputs it takes."""
    for task in tasks.values():
        if waits := producers(task):
            task["dependentTasks"] = waits
