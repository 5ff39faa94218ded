"""Argo's object of a run: whose step a node is, what its pod is called, what is packed."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from carferry.pipelines.runs import outline, progress
from carferry.pipelines.runs.workflow import Node, Workflow, step_of, task_path

COMPILED = Path(__file__).parent.parent / "compiled"
RUN = "modelcar-x7k2p"


def steps(name: str) -> tuple[outline.Step, ...]:
    return outline.steps(next(yaml.safe_load_all((COMPILED / f"{name}.yaml").read_text())))


def node(name: str, **more: Any) -> dict[str, Any]:
    return {"id": f"{RUN}-12345", "name": f"{RUN}.{name}", "type": "Pod", **more}


def workflow(*nodes: dict[str, Any], **more: Any) -> Workflow:
    status = {"nodes": {str(n): each for n, each in enumerate(nodes)}}
    return Workflow.of({"metadata": {"name": RUN}, "status": status, **more})


def test_steps_come_in_the_order_of_the_pipeline() -> None:
    assert [step.name for step in steps("modelcar")] == [
        "fit-model",
        "plan-model",
        "stream-layers",
        "seal-image",
        "deploy-model",
    ]


@pytest.mark.parametrize(
    "spec",
    [{}, {"root": None}, {"root": []}, {"root": {"dag": 3}}, {"root": {"executorLabel": "x"}}],
)
def test_a_run_of_another_kind_has_no_steps(spec: dict[str, Any]) -> None:
    """Any run can be followed: of an Argo manifest, of the first version of Pipelines."""
    assert outline.steps(spec) == ()


def test_a_step_comes_after_all_that_it_waits_for() -> None:
    for name in ("modelcar", "modelcar-buildah"):
        spec = next(yaml.safe_load_all((COMPILED / f"{name}.yaml").read_text()))
        order = [step.path for step in outline.steps(spec)]
        dags = [spec["root"], *spec["components"].values()]
        for tasks in (dag["dag"]["tasks"] for dag in dags if "dag" in dag):
            for task, about in tasks.items():
                for waited in about.get("dependentTasks", []):
                    mine = [n for n, path in enumerate(order) if task in path]
                    theirs = [n for n, path in enumerate(order) if waited in path]
                    assert max(theirs) < min(mine)


@pytest.mark.parametrize(
    ("pipeline", "name", "step"),
    [
        ("modelcar", "root.fit-model", "fit-model"),
        ("modelcar", "root.fit-model-driver", "fit-model"),
        ("modelcar", "root.fit-model.executor", "fit-model"),
        ("modelcar", "root.fit-model.executor(0)", "fit-model"),
        ("modelcar", "root.condition-1.stream-shares-driver", "stream-layers"),
        ("modelcar", "root.condition-1.stream-shares.for-loop-1", "stream-layers"),
        ("modelcar", "root.condition-1.stream-shares.for-loop-1.iteration-driver", "stream-layers"),
        (
            "modelcar",
            "root.condition-1.stream-shares.for-loop-1.iteration-iterations(3:3)",
            "stream-layers",
        ),
        (
            "modelcar",
            "root.condition-1.stream-shares.for-loop-1.iteration-iterations(3:3).iteration-item-driver",
            "stream-layers",
        ),
        (
            "modelcar",
            "root.condition-1.stream-shares.for-loop-1.iteration-iterations(3:3).iteration-item"
            ".stream-layers.executor(2)",
            "stream-layers",
        ),
        ("modelcar", "root.condition-1.condition-2-driver", "deploy-model"),
        ("modelcar", "root.condition-1.condition-2.deploy-model", "deploy-model"),
        ("modelcar", "root-driver", None),
        ("modelcar", "root", None),
        ("modelcar-buildah", "root.exit-handler-1.createpvc", "createpvc"),
        ("modelcar-buildah", "root.exit-handler-1.condition-2.push-image.executor", "push-image"),
        ("modelcar-buildah", "root.exit-handler-1.onExit.deletepvc", "deletepvc"),
    ],
)
def test_every_node_of_argo_belongs_to_a_step(pipeline: str, name: str, step: str | None) -> None:
    (found,) = workflow(node(name)).nodes
    owner = step_of(found, steps(pipeline))
    assert (owner.name if owner else None) == step


@pytest.mark.parametrize(
    ("annotations", "pod"),
    [
        ({}, f"{RUN}-system-container-impl-12345"),
        ({"workflows.argoproj.io/pod-name-format": "v2"}, f"{RUN}-system-container-impl-12345"),
        ({"workflows.argoproj.io/pod-name-format": "v1"}, f"{RUN}-12345"),
    ],
)
def test_a_pod_is_not_called_as_its_node_is(annotations: dict[str, str], pod: str) -> None:
    found = workflow(
        node("root.fit-model.executor", templateName="system-container-impl"),
        metadata={"name": RUN, "annotations": annotations},
    )
    assert [each.pod for each in found.nodes] == [pod]


def test_packed_nodes_are_the_same_nodes() -> None:
    nodes = {"a": node("root.fit-model", phase="Failed", message="why")}
    packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    found = workflow(status={"compressedNodes": packed})
    assert found.nodes == workflow(nodes["a"]).nodes


def bomb() -> str:
    return base64.b64encode(gzip.compress(b" " * (1 << 27), 9)).decode()


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"metadata": None, "status": None, "spec": None},
        {"metadata": [1], "status": "a", "spec": 3},
        {"metadata": {"name": {}, "annotations": [1]}, "status": {"nodes": []}},
        {"status": {"nodes": {"a": {}}}},
        {"status": {"nodes": {"a": None, "b": [], "c": "d"}}},
        {"status": {"nodes": {"a": {"name": 5, "type": [], "phase": {}, "outputs": []}}}},
        {"status": {"nodes": {"a": {"outputs": {"parameters": [None, {}, {"name": 3}]}}}}},
        {"status": {"compressedNodes": 5}},
        {"status": {"compressedNodes": "not base64"}},
        {"status": {"compressedNodes": base64.b64encode(b"not gzip").decode()}},
        {"status": {"compressedNodes": base64.b64encode(gzip.compress(b"[]")).decode()}},
        {"status": {"compressedNodes": base64.b64encode(gzip.compress(b"{")).decode()}},
        {"status": {"compressedNodes": bomb()}},
    ],
)
def test_an_object_that_says_little_gives_little(found: dict[str, Any]) -> None:
    seen = Workflow.of(found)
    assert progress.standing(steps("modelcar"), seen.nodes) == {}


def test_a_loop_is_counted_before_all_its_turns_have_nodes() -> None:
    """Argo makes nodes for as many turns as may run at once; the driver knows how many come."""
    loop = "root.condition-1.stream-shares.for-loop-1"
    count = {"parameters": [{"name": "iteration-count", "value": "8"}]}
    turn = f"{loop}.iteration-iterations(0:0).iteration-item.stream-layers"
    found = workflow(
        node(f"{loop}.iteration-driver", phase="Succeeded", outputs=count),
        node(turn, type="DAG", phase="Running"),
    )
    states = progress.standing(steps("modelcar"), found.nodes)
    assert states == {"stream-layers": "0 of 8 done"}


def test_a_path_is_read_without_the_runs_name_whatever_dots_that_has() -> None:
    found = Workflow.of(
        {
            "metadata": {"name": "model.car-1"},
            "status": {"nodes": {"a": {"name": "model.car-1.root.fit-model"}}},
        }
    )
    assert [task_path(each) for each in found.nodes] == [("fit-model",)]
    assert task_path(Node((), "DAG", "Running")) == ()
