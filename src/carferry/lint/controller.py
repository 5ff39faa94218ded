"""Argo's controller, simulated: the nodes that ``status.nodes`` holds when a run has ended.

Every template's run becomes a node that keeps a copy of its inputs with the values filled in, so
a step's pod-spec-patch stands in the driver's outputs, in the DAG around the step, in the retry
node and in the pod, and its container once more in the driver's inputs: five copies.
Source: workflow/controller/{operator,dag}.go of Argo Workflows 3.5.14, 3.6.12 and 3.7.11. Each
step runs once: Argo's copy for another attempt is not counted.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

from carferry.lint.driver import Driver
from carferry.lint.gojson import byte_length, size, unmarshal
from carferry.lint.targets import Backend
from carferry.lint.templates import Json

MOST_BYTES = 8 * 1024 * 1024
"""Size at which the simulation ends: eight times what Argo could keep."""
HOST = "ip-10-0-100-100.eu-central-1.compute.internal"
_WHOLE = re.compile(r"\{\{([^{}]+)\}\}")
_DEPENDS = re.compile(r"([\w-]+)\.Succeeded")
_STARTED, _FINISHED = "2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z"
_UNLESS = " != false"
_MODULUS = 2**32


@dataclass(slots=True)
class Controller:
    """Runs a Workflow's templates and keeps the nodes.

    Attributes:
        spec: The Workflow's spec.
        name: The Workflow's name.
        driver: Answers for the driver pods.
        target: The backend.
        nodes: What became of each template's run, by id.
        environment: Bytes of the largest environment string so far, and the node it belongs to.
        argument: The same of the largest argument.
        complete: False if the run was too large to go on.
    """

    spec: Json
    name: str
    driver: Driver
    target: Backend
    nodes: dict[str, Json] = field(default_factory=dict)
    environment: tuple[int, str] = (0, "")
    argument: tuple[int, str] = (0, "")
    complete: bool = True
    _templates: dict[str, Json] = field(default_factory=dict)
    _arguments: dict[str, str] = field(default_factory=dict)
    _bytes: int = 0

    def run(self) -> None:
        """Run the entrypoint to its end."""
        self._templates = {template["name"]: template for template in self.spec["templates"]}
        given = self.spec["arguments"]["parameters"]
        self._arguments = {f"workflow.parameters.{p['name']}": p["value"] for p in given}
        self._execute("entrypoint", self.name, {}, "")

    def _execute(self, template: str, name: str, given: Mapping[str, str], boundary: str) -> Json:
        """Run one template; return its node."""
        made = self._templates[template]
        inputs = [_filled(p, given) for p in made["inputs"].get("parameters", ())]
        if "dag" in made:
            node = self._node("DAG", name, template, boundary, inputs)
            self._dag(node, made["dag"]["tasks"], {p["name"]: p["value"] for p in inputs})
        elif "retryStrategy" in made:
            node = self._node("Retry", name, template, boundary, inputs)
            pod = self._pod(f"{name}(0)", made, boundary, inputs)
            pod["nodeFlag"] = {"retried": True}
            node |= {"children": [pod["id"]], "outputs": pod["outputs"]}
        else:
            return self._pod(name, made, boundary, inputs)
        self._count(node)
        return node

    def _count(self, node: Json) -> None:
        self._bytes += size(node)
        self.complete = self.complete and self._bytes < MOST_BYTES

    def _pod(self, name: str, made: Json, boundary: str, inputs: list[Json]) -> Json:
        node = self._node("Pod", name, made["name"], boundary, inputs)
        answers = self.driver.act(made["name"], {p["name"]: p["value"] for p in inputs})
        outputs: Json = {"exitCode": "0"}
        if answers:
            declared = made["outputs"]["parameters"]
            outputs["parameters"] = [p | {"value": answers[p["name"]]} for p in declared]
        node |= {"outputs": outputs, "hostNodeName": HOST}
        if self.target.simplifies_template:  # Argo 3.6 on
            node["taskResultSynced"] = True
        self._weigh(name, made, inputs)
        self._count(node)
        return node

    def _weigh(self, name: str, made: Json, inputs: list[Json]) -> None:
        """Keep the largest strings: ARGO_TEMPLATE, which is the template with values filled in."""
        values = {p["name"]: p["value"] for p in inputs}
        scope = {f"inputs.parameters.{key}": value for key, value in values.items()}
        filled = _substitute({k: v for k, v in made.items() if k != "inputs"}, scope)
        kept = {} if self.target.simplifies_template else {"parameters": inputs}
        template = size(filled | {"inputs": kept}) + len("ARGO_TEMPLATE=")
        environment, arguments = [template], [byte_length(value) for value in values.values()]
        if "pod-spec-patch" in values:
            main = unmarshal(values["pod-spec-patch"])["containers"][0]
            arguments = [byte_length(a) for a in (*main["command"], *main.get("args", ()))]
            pairs = [f"{e.get('name')}={e.get('value', '')}" for e in main.get("env", ())]
            environment += [byte_length(pair) for pair in pairs]
        self.environment = max(self.environment, (max(environment), name))
        self.argument = max(self.argument, (max(arguments, default=0), name))

    def _dag(self, node: Json, tasks: list[Json], inputs: Mapping[str, str]) -> None:
        given_here = {f"inputs.parameters.{k}": v for k, v in inputs.items()}
        scope = ChainMap(given_here, self._arguments)
        done: dict[str, Json] = {}
        for task in _ordered(tasks):
            if not self.complete:
                break
            waits = _DEPENDS.findall(task.get("depends", ""))
            above = [self.nodes[n] for w in waits if w in done for n in self._outbound(done[w])]
            ran = self._task(node, task, scope, above or [node])
            done[task["name"]] = ran
            given = ran.get("outputs", {}).get("parameters", ())
            scope.update(
                (f"tasks.{task['name']}.outputs.parameters.{p['name']}", p["value"]) for p in given
            )
        waited = {w for task in tasks for w in _DEPENDS.findall(task.get("depends", ""))}
        leaves = [ran for key, ran in done.items() if key not in waited]
        node["outboundNodes"] = [n for leaf in leaves for n in self._outbound(leaf)]

    def _task(self, dag: Json, task: Json, scope: ChainMap[str, str], above: list[Json]) -> Json:
        name = f"{dag['name']}.{task['name']}"
        given = {p["name"]: p["value"] for p in task["arguments"]["parameters"]}
        if _lookup(task.get("when", "").removesuffix(_UNLESS), scope) == "false":
            ran = self._node("Skipped", name, task["template"], dag["id"], [])
            _connect(above, ran)
        elif "withSequence" not in task:
            ran = self._run(task["template"], name, given, scope, dag)
            _connect(above, ran)
        else:
            ran = self._node("TaskGroup", name, task["template"], dag["id"], [])
            _connect(above, ran)
            for index in range(int(_lookup(task["withSequence"]["count"], scope))):
                items = scope.new_child({"item": str(index)})
                inner = self._run(task["template"], f"{name}({index}:{index})", given, items, dag)
                _connect([ran], inner)
                if not self.complete:
                    break
        if "hooks" in task:
            hook = task["hooks"]["exit"]
            values = {p["name"]: p["value"] for p in hook["arguments"]["parameters"]}
            _connect([ran], self._run(hook["template"], f"{name}.onExit", values, scope, dag))
        return ran

    def _run(
        self,
        template: str,
        name: str,
        given: Mapping[str, str],
        scope: Mapping[str, str],
        dag: Json,
    ) -> Json:
        values = {key: _lookup(value, scope) for key, value in given.items()}
        return self._execute(template, name, values, dag["id"])

    def _outbound(self, node: Json) -> list[str]:
        """Return the ids of the nodes that a node ends in."""
        if node["type"] == "DAG":
            return list(node.get("outboundNodes", ()))
        if node["type"] in ("TaskGroup", "Retry") and node.get("children"):
            return [n for child in node["children"] for n in self._outbound(self.nodes[child])]
        return [node["id"]]

    def _node(self, kind: str, name: str, template: str, boundary: str, inputs: list[Json]) -> Json:
        parent = self.nodes[boundary]["name"] if boundary else ""
        node: Json = {
            "id": self.name if name == self.name else f"{self.name}-{_fnv(name)}",
            "name": name,
            "displayName": name.removeprefix(f"{parent}."),
            "type": kind,
            "templateName": template,
            "templateScope": f"local/{self.name}",
            "phase": "Succeeded",
            **({"boundaryID": boundary} if boundary else {}),
            **{"startedAt": _STARTED, "finishedAt": _FINISHED, "progress": "1/1"},
            "resourcesDuration": {"cpu": 1, "memory": 10},
            **({"inputs": {"parameters": inputs}} if inputs else {}),
        }
        self.nodes[node["id"]] = node
        return node


def _filled(parameter: Json, given: Mapping[str, str]) -> Json:
    value = given.get(parameter["name"], parameter.get("default", ""))
    return parameter | {"value": value}


def _lookup(value: str, scope: Mapping[str, str]) -> str:
    """Return a value with its variable replaced; every one we compile is a whole string."""
    found = _WHOLE.fullmatch(value)
    return scope.get(found[1], "") if found else value


def _substitute(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _substitute(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_substitute(item, values) for item in value]
    if isinstance(value, str) and (found := _WHOLE.fullmatch(value)):
        return values.get(found[1], value)
    return value


def _connect(above: list[Json], node: Json) -> None:
    for parent in above:
        parent.setdefault("children", []).append(node["id"])


def _ordered(tasks: list[Json]) -> Iterator[Json]:
    """Yield tasks after those they wait for, else as they stand; there is no ring by now."""
    known = {task["name"]: task for task in tasks}
    place = {name: number for number, name in enumerate(known)}
    waits = {
        name: [w for w in _DEPENDS.findall(task.get("depends", "")) if w in known]
        for name, task in known.items()
    }
    sorter = TopologicalSorter(waits)
    sorter.prepare()
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=place.__getitem__)
        yield from (known[name] for name in ready)
        sorter.done(*ready)


def _fnv(text: str) -> int:
    """Return FNV-1a of 32 bits, as Argo names nodes."""
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 % _MODULUS
    return value
