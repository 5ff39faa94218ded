"""How large the object of a run becomes, and what takes the room.

Argo writes the Workflow as JSON; above 1 MiB it packs ``status.nodes`` (gzip, base64), and the
pipelines API, which does not unpack them, shows no steps from then on; above 1 MiB packed it
refuses. Source: workflow/packer/packer.go and util/file/fileutil.go of Argo Workflows.
"""

from __future__ import annotations

import base64
import copy
import gzip
from collections import Counter
from dataclasses import dataclass, replace

from carferry.lint.compiler import compile_workflow
from carferry.lint.controller import Controller
from carferry.lint.document import CompiledPipeline
from carferry.lint.driver import RUN, Driver
from carferry.lint.gojson import byte_length, marshal, size
from carferry.lint.targets import WORKERS, Backend
from carferry.lint.templates import Json


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of text in the object, and what all its copies take.

    Attributes:
        place: ``spec`` or ``status``.
        node: Type of the nodes that hold it (``Pod``, ``DAG``, ``Retry``), or the part of the spec.
        task: The task or template it belongs to.
        part: The parameter, ``inputs.`` or ``outputs.`` before it; ``rest`` for the node itself.
        copies: How many there are.
        size_bytes: Bytes of all of them, as they stand in the object.
    """

    place: str
    node: str
    task: str
    part: str
    copies: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a run of a pipeline weighs when it has ended.

    Attributes:
        workers: Iterations counted for loops over lists that only a run can know.
        unpacked_bytes: The Workflow as JSON.
        packed_bytes: The same with its nodes packed.
        spec_bytes: The part that does not grow with the run.
        node_count: How many nodes there are.
        environment_bytes: The largest environment string of any pod, name and all.
        environment_at: Whose it is.
        argument_bytes: The largest argument of any pod, the drivers' included.
        argument_at: Whose it is.
        complete: False if the run was too large to simulate to its end; sizes are a lower bound.
        rows: What takes the room, largest first.
    """

    workers: int
    unpacked_bytes: int
    packed_bytes: int
    spec_bytes: int
    node_count: int
    environment_bytes: int
    environment_at: str
    argument_bytes: int
    argument_at: str
    complete: bool
    rows: tuple[Row, ...]


def measure(
    document: CompiledPipeline, target: Backend, workers: int = WORKERS, *, conditions: bool = True
) -> Sizes:
    """Return the sizes of a finished run.

    Args:
        document: The compiled pipeline.
        target: The backend that would run it.
        workers: Iterations of a loop over a list that only a run can know, at least 1. A constant
            list counts as long as it is. Every step counts as run once, none as cached.
        conditions: Whether the conditions of tasks count as met, which is the largest run.
    """
    spec = compile_workflow(copy_of(document), target)
    name = f"{document.pipeline_name}-x7k2p"
    controller = Controller(
        spec, name, Driver(document.pipeline_name, target, workers, conditions), target
    )
    controller.run()
    workflow = _workflow(name, spec, controller.nodes)
    bare = size(workflow | {"status": workflow["status"] | {"nodes": {}}})
    nodes = marshal(dict(sorted(controller.nodes.items())))
    packed = len(base64.b64encode(gzip.compress(nodes.encode("utf-8", "surrogatepass"), 6)))
    return Sizes(
        workers=workers,
        unpacked_bytes=bare + byte_length(nodes) - len("{}"),
        packed_bytes=bare + packed + len("compressedNodes") - len("nodes"),
        spec_bytes=size(spec),
        node_count=len(controller.nodes),
        environment_bytes=controller.environment[0],
        environment_at=controller.environment[1].removeprefix(f"{name}."),
        argument_bytes=controller.argument[0],
        argument_at=controller.argument[1].removeprefix(f"{name}."),
        complete=controller.complete,
        rows=_rows(spec, controller.nodes),
    )


def copy_of(document: CompiledPipeline) -> CompiledPipeline:
    """Return a document whose tasks may be written to, as the compiler writes to its copy."""
    return replace(document, pipeline=copy.deepcopy(document.pipeline))


def _workflow(name: str, spec: Json, nodes: dict[str, Json]) -> Json:
    """Return the whole object, with the metadata that API server and Argo add."""
    pods = [node["id"] for node in nodes.values() if node["type"] == "Pod"]
    return {
        "kind": "Workflow",
        "apiVersion": "argoproj.io/v1alpha1",
        "metadata": _metadata(name),
        "spec": spec,
        "status": {
            "phase": "Succeeded",
            "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:05:00Z",
            "progress": f"{len(pods)}/{len(pods)}",
            "nodes": nodes,
            "conditions": [
                {"type": "PodRunning", "status": "False"},
                {"type": "Completed", "status": "True"},
            ],
            "resourcesDuration": {"cpu": 100, "memory": 1000},
            "artifactRepositoryRef": {"artifactRepository": {"s3": _STORE}, "default": True},
            "taskResultsCompletionStatus": dict.fromkeys(pods, True),
        },
    }


_STORE = {
    "endpoint": "minio-dspa.data-science-project.svc.cluster.local:9000",
    "bucket": "pipelines",
    "insecure": True,
    "accessKeySecret": {"name": "ds-pipeline-s3-dspa", "key": "accesskey"},
    "secretKeySecret": {"name": "ds-pipeline-s3-dspa", "key": "secretkey"},
}


def _metadata(name: str) -> Json:
    labels = ("pipeline/runid", "workflows.argoproj.io/phase", "workflows.argoproj.io/completed")
    notes = ("pipelines.kubeflow.org/run_name", "workflows.argoproj.io/pod-name-format")
    return {
        "name": name,
        "generateName": f"{name[:-5]}",
        "namespace": "data-science-project",
        "uid": RUN,
        "resourceVersion": "123456789",
        "generation": 50,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": dict.fromkeys(labels, RUN),
        "annotations": dict.fromkeys(notes, name),
        "managedFields": [_MANAGED] * 3,  # the API server, the controller, the persistence agent
    }


_MANAGED = {
    "manager": "workflow-controller",
    "operation": "Update",
    "apiVersion": "argoproj.io/v1alpha1",
    "time": "2026-01-01T00:00:00Z",
    "fieldsType": "FieldsV1",
    "fieldsV1": {"f:metadata": {"f:annotations": {}, "f:labels": {}}, "f:spec": {}, "f:status": {}},
}


def _rows(spec: Json, nodes: dict[str, Json]) -> tuple[Row, ...]:
    copies: Counter[tuple[str, str, str, str]] = Counter()
    weights: Counter[tuple[str, str, str, str]] = Counter()

    def add(key: tuple[str, str, str, str], weight: int) -> None:
        copies[key] += 1
        weights[key] += weight

    for given in spec["arguments"]["parameters"]:
        add(("spec", "arguments", given["name"].split("-")[0], "value"), size(given))
    for template in spec["templates"]:
        add(("spec", "template", template["name"], "template"), size(template))
    for node in nodes.values():
        rest = size(node)
        for side in ("inputs", "outputs"):
            for given in node.get(side, {}).get("parameters", ()):
                weight = size(given)
                rest -= weight
                add(("status", node["type"], _title(node), f"{side}.{given['name']}"), weight)
        add(("status", node["type"], _title(node), "rest"), rest)
    rows = [Row(*key, copies[key], weight) for key, weight in weights.items()]
    return tuple(sorted(rows, key=lambda row: (-row.size_bytes, row.node, row.task, row.part)))


def _title(node: Json) -> str:
    """Return a task's name without loop numbers; what runs a step is named for the step."""
    parts = [part.split("(")[0] for part in node["name"].split(".")[1:]]
    named = [part for part in parts if part != "executor"]
    return named[-1] if named else "entrypoint"
