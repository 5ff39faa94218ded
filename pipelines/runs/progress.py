"""The progress of a run, step by step, under the pipeline's own names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from carferry.pipelines.runs.outline import Step
from carferry.pipelines.runs.workflow import Node, task_path

_WORDS = {
    "Pending": "running",
    "Running": "running",
    "Succeeded": "done",
    "Skipped": "skipped",
    "Omitted": "not run",
    "Failed": "failed",
    "Error": "failed",
}
_PHASES = {
    "PENDING": "Pending",
    "RUNNING": "Running",
    "SUCCEEDED": "Succeeded",
    "SKIPPED": "Skipped",
    "FAILED": "Failed",
    "CANCELED": "Failed",
}
_LONGEST = 200
_DIGITS = 10


def standing(steps: Sequence[Step], nodes: Sequence[Node]) -> dict[str, str]:
    """Return each step's state in the order of the pipeline; steps not reached are left out.

    Returns:
        Name to ``running``, ``done``, ``failed``, ``skipped``, ``not run``, ``3 of 8 done``, with
        what holds up a pod that does not start.
    """
    states = {step.name: _state(step, nodes) for step in steps}
    return {name: state for name, state in states.items() if state}


def pods(steps: Sequence[Step], nodes: Sequence[Node]) -> dict[str, str]:
    """Return the name of each step's latest pod, by the step's name; none before there is one."""
    return {
        step.name: node.pod
        for step in steps
        for node in nodes
        if node.pod and not node.is_driver and task_path(node)[: len(step.path)] == step.path
    }


def failed(steps: Sequence[Step], nodes: Sequence[Node]) -> str:
    """Return the name of the first step that failed; empty if none did."""
    for step in steps:
        if any(node.is_bad and task_path(node)[: len(step.path)] == step.path for node in nodes):
            return step.name
    return ""


def listed(steps: Sequence[Step], run: Any) -> tuple[Node, ...]:
    """Return nodes for what the v2beta1 form of a run lists: display names and states, flat."""
    details = run.run_details.task_details if run.run_details else None
    places = {name: step.path[: n + 1] for step in steps for n, name in enumerate(step.path)}
    return tuple(
        Node((*place[:-1], str(task.display_name)), "", _PHASES.get(str(task.state), ""))
        for task in details or []
        if (place := places.get(str(task.display_name).removesuffix("-driver")))
    )


def _state(step: Step, nodes: Sequence[Node]) -> str:
    own = [node for node in nodes if task_path(node) == step.path and not node.is_driver]
    held = next(_held_up(step, nodes), "") or next(_tried(step, nodes), "")
    if step.repeated and own:
        state = _counted(own, _turns(step, nodes))
    else:
        state = next(iter(_words(own)), "") or _before(step, nodes)
    return f"{state} ({held})" if held and state else state


def _before(step: Step, nodes: Sequence[Node]) -> str:
    """Return the state of a step without a node: its driver runs, or its group was skipped."""
    for node in nodes:
        path = task_path(node)
        if path == step.path and node.is_driver:
            return "failed" if node.is_bad else "running"
        if path == step.path[: len(path)] and node.phase in ("Skipped", "Omitted"):
            return _WORDS[node.phase]
    return ""


def _counted(own: Sequence[Node], turns: int) -> str:
    words = _words(own)
    if set(words) <= {"skipped", "not run"}:
        return words[0] if words else ""
    bad = f", {words.count('failed')} failed" if "failed" in words else ""
    return f"{words.count('done')} of {max(turns, len(own))} done{bad}"


def _words(own: Sequence[Node]) -> list[str]:
    return [_WORDS[node.phase] for node in own if node.phase in _WORDS]


def _turns(step: Step, nodes: Sequence[Node]) -> int:
    """Return how often a loop runs, which its driver knows before there is a node for each."""
    counts = [
        int(count)
        for node in nodes
        if node.is_driver and task_path(node)[:-1] == step.path[:-1]
        if (count := (node.outputs or {}).get("iteration-count", "")).isdecimal()
        and len(count) < _DIGITS
    ]
    return sum(counts)


def _held_up(step: Step, nodes: Sequence[Node]) -> Iterator[str]:
    """Yield why pods of a step wait: no node fits, an image does not come, a quota is used up."""
    for node in nodes:
        mine = task_path(node)[: len(step.path)] == step.path
        if mine and node.phase == "Pending" and node.message:
            yield f"pending: {_short(node.message)}"


def _tried(step: Step, nodes: Sequence[Node]) -> Iterator[str]:
    """Yield why tries failed that another try follows, the last one first."""
    going = {node.path for node in nodes if task_path(node) == step.path and not node.ended}
    tries = [node for node in nodes if node.is_bad and node.pod and node.path[:-1] in going]
    for node in sorted(tries, key=lambda node: node.ended, reverse=True):
        yield f"a try failed: {_short(node.message)}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
