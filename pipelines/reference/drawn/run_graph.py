"""The graph of a run, drawn from the tasks of the compiled pipeline: who waits for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kfp.dsl.graph_component import GraphComponent
from kfp.pipeline_spec.pipeline_spec_pb2 import DagSpec, PipelineSpec, PipelineTaskSpec

from carferry.pipelines.reference.drawn.drawing import box, document, words

_TASK, _GAP, _PAD, _HEAD = (126, 40), 34, 14, 26


@dataclass(frozen=True, slots=True)
class Part:
    """A task, or a group with the tasks in it.

    Attributes:
        name: As the graph calls it.
        columns: Of a group: what may run at once stands below each other.
        width: Of its box.
        height: Of its box.
    """

    name: str
    columns: tuple[tuple[Part, ...], ...] = ()
    width: float = _TASK[0]
    height: float = _TASK[1]


def drawn(made: GraphComponent) -> str:
    """Return the graph of a pipeline's run."""
    spec: PipelineSpec = made.pipeline_spec
    whole = _group("", _columns(spec, spec.root.dag))
    shapes = _inside(whole, 10, 24 - _HEAD)
    about = "Drawn from the pipeline's tasks; not a photograph."
    title = "The graph of a run"
    return document(title, about, whole.width + 20, whole.height + 34 - _HEAD, shapes)


def names(made: GraphComponent) -> list[str]:
    """Return the graph's tasks in the order in which they may start."""
    spec: PipelineSpec = made.pipeline_spec
    return [part.name for part in _flat(_columns(spec, spec.root.dag)) if not part.columns]


def _flat(columns: tuple[tuple[Part, ...], ...]) -> list[Part]:
    return [p for column in columns for part in column for p in (part, *_flat(part.columns))]


def _columns(spec: PipelineSpec, dag: DagSpec) -> tuple[tuple[Part, ...], ...]:
    depths = {name: _depth(name, dag.tasks) for name in dag.tasks}
    return tuple(
        tuple(_part(spec, dag.tasks[name]) for name in sorted(dag.tasks) if depths[name] == depth)
        for depth in sorted(set(depths.values()))
    )


def _depth(name: str, tasks: Mapping[str, PipelineTaskSpec]) -> int:
    return 1 + max((_depth(before, tasks) for before in tasks[name].dependent_tasks), default=0)


def _part(spec: PipelineSpec, task: PipelineTaskSpec) -> Part:
    inner = spec.components[task.component_ref.name]
    name = str(task.task_info.name)
    if not inner.HasField("dag"):
        return Part(name)
    return _group(name, _columns(spec, inner.dag))


def _group(name: str, columns: tuple[tuple[Part, ...], ...]) -> Part:
    width = sum(max(part.width for part in column) for column in columns)
    tall = max(sum(part.height + _PAD for part in column) - _PAD for column in columns)
    return Part(
        name,
        columns,
        width=width + _GAP * (len(columns) - 1) + 2 * _PAD,
        height=tall + _PAD + _HEAD,
    )


def _inside(group: Part, x: float, y: float) -> list[str]:
    """Return the shapes of a group's parts; the group's box begins at x, y."""
    shapes: list[str] = []
    left, middle = x + _PAD, y + _HEAD + (group.height - _HEAD - _PAD) / 2
    for number, column in enumerate(group.columns):
        wide = max(part.width for part in column)
        top = middle - (sum(part.height + _PAD for part in column) - _PAD) / 2
        for part in column:
            shapes += _shape(part, left, top)
            if number:
                shapes.append(_arrow(left - _GAP, left, middle))
            top += part.height + _PAD
        left += wide + _GAP
    return shapes


def _shape(part: Part, x: float, y: float) -> list[str]:
    if not part.columns:
        size = 13 if len(part.name) < 16 else 12
        text = words(x + 12, y + part.height / 2 + 5, part.name, size=size)
        return [box(x, y, part.width, part.height, "field", round_by=20), text]
    head = words(x + _PAD, y + 18, part.name, "pale", size=12)
    frame = box(x, y, part.width, part.height, "group", round_by=8)
    return [frame, head, *_inside(part, x, y)]


def _arrow(start: float, end: float, y: float) -> str:
    return f'<path d="M{start + 4:g} {y:g}H{end - 5:g}m-6 -4l6 4l-6 4" class="arrow"/>'
