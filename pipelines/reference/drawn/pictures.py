"""Pictures of what the dashboard shows: drawn from the pipeline itself, so never out of date.

The fields are those of the compiled pipeline: names, order, types, defaults and texts. What stands
around them is OpenShift AI's: sections, labels and kinds of field as in odh-dashboard (Apache-2.0),
frontend/src/concepts/pipelines/content, createRun and import; read on 2026-11-26.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from kfp.dsl.graph_component import GraphComponent
from kfp.dsl.structures import InputSpec

from carferry.pipelines.pods import HERE, Site
from carferry.pipelines.reference.drawn import run_graph
from carferry.pipelines.reference.drawn.drawing import Drawn, box, document, paragraph, rule, words
from carferry.pipelines.streamed import stream

FOLDER = Path("docs/tutorials/images")
GIVEN = {
    "image": "quay.io/team/smollm2-135m:1",
    "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "serve_gpu": "L4 x1",
    "settings": '{"pull_secret": "carferry-registry"}',
}
"""What the tutorial fills in."""
PROJECT, NAME = "models", "smollm2-135m"
_SECTIONS = ("Run type", "Project and experiment", "Run details", "Pipeline", "Parameters")
_LEFT, _WIDE = 220, 500

_Part = Callable[[float], Drawn]
"""Draws itself from a height on."""


def pictures() -> dict[Path, str]:
    """Return each picture's file and SVG."""
    made = stream(Site(HERE, folder="."))
    return {
        FOLDER / "import-pipeline.svg": import_dialog(made),
        FOLDER / "create-run.svg": create_run(made),
        FOLDER / "run-graph.svg": run_graph.drawn(made),
    }


def create_run(made: GraphComponent, given: Mapping[str, str] = GIVEN) -> str:
    """Return the form of a run, filled in as the tutorial does it."""
    inputs = made.component_spec.inputs or {}
    top = words(24, 40, "Create run", "ink b", size=22)
    place = {"Project": PROJECT, "Experiment *": "Default"}
    parts: list[_Part] = [
        partial(_heading, title=_SECTIONS[0], about="Run once immediately after creation"),
        partial(_section, title=_SECTIONS[1], fields=place),
        partial(_section, title=_SECTIONS[2], fields={"Name *": NAME, "Description": ""}),
        partial(_section, title=_SECTIONS[3], fields={"Pipeline *": str(made.name)}),
        partial(_heading, title=_SECTIONS[4], about="Specify parameters required by pipelines."),
    ]
    for name, field in sorted(inputs.items()):
        parts.append(partial(_parameter, name=name, field=field, given=given.get(name)))
    form = Drawn((), 62)
    for part in parts:
        form = form.then(part(form.bottom))
    form = form.then(_buttons(_LEFT, form.bottom + 6, "Create run"))
    shapes = (top, rule(24, 58, 712), *_jumps(), *form.shapes)
    about = "Drawn from the pipeline's parameters; not a photograph."
    return document("The form of a run", about, 760, form.bottom + 24, shapes)


def import_dialog(made: GraphComponent) -> str:
    """Return the dialog that takes the pipeline's YAML."""
    name = str(made.name)
    fields = Drawn((words(24, 42, "Import pipeline", "ink b", size=22),), 66)
    values = {"Project": PROJECT, "Pipeline name *": name, "Pipeline description": ""}
    for label, value in values.items():
        fields = fields.then(_field(24, fields.bottom, label, value, width=552))
    y = fields.bottom
    choice = (*_radio(24, y + 10, "Upload a file", on=True), *_radio(180, y + 10, "Import by url"))
    file = _field(24, y + 26, "", f"{name}.yaml", width=552)
    end = _buttons(24, file.bottom, "Import pipeline")
    shapes = (*fields.shapes, *choice, *file.shapes, *end.shapes)
    about = "Drawn from the pipeline's name; not a photograph."
    return document("Importing the pipeline", about, 600, end.bottom + 24, shapes)


def _section(y: float, title: str, fields: Mapping[str, str]) -> Drawn:
    drawn = Drawn((words(_LEFT, y + 26, title, "ink b", size=18),), y + 44)
    for label, value in fields.items():
        drawn = drawn.then(_field(_LEFT, drawn.bottom, label, value))
    return drawn


def _heading(y: float, title: str, about: str) -> Drawn:
    head = Drawn((words(_LEFT, y + 26, title, "ink b", size=18),), y + 40)
    return head.then(paragraph(_LEFT, y + 36, about, _WIDE)).then(Drawn((), y + 68))


def _parameter(y: float, name: str, field: InputSpec, given: str | None) -> Drawn:
    label = name if field.optional else f"{name} *"
    value = _shown(field.default) if given is None else given
    drawn = _field(_LEFT, y, label, value, _WIDE, number=field.type == "Integer")
    text = paragraph(_LEFT, drawn.bottom - 12, field.description or "", _WIDE)
    return drawn.then(Drawn(text.shapes, text.bottom + 14))


def _shown(default: object) -> str:
    """Return a default as the form shows it."""
    return default if isinstance(default, str) else json.dumps(default)


def _field(
    x: float, y: float, label: str, value: str, width: float = _WIDE, *, number: bool = False
) -> Drawn:
    """Return a label above a box with a value; a number has its two buttons."""
    name, star, _ = label.partition(" *")
    shapes = [words(x, y + 15, name, "ink b", starred=bool(star))] if name else []
    if label == "Project":  # which is said, not asked
        return Drawn((*shapes, words(x, y + 38, value)), y + 54)
    top, beside = y + 22, 36 if number else 0
    shapes.append(box(x + beside, top, 90 if number else width, 34, "field"))
    shapes.append(words(x + beside + 12, top + 22, value))
    for at, sign in ((x, "-"), (x + 126, "+")) if number else ():
        shapes += [box(at, top, 36, 34, "group"), words(at + 14, top + 22, sign, "ink b")]
    return Drawn(tuple(shapes), top + 52)


def _radio(x: float, y: float, label: str, *, on: bool = False) -> tuple[str, ...]:
    dot = (f'<circle cx="{x + 8:g}" cy="{y:g}" r="4" class="link"/>',) if on else ()
    ring = f'<circle cx="{x + 8:g}" cy="{y:g}" r="8" class="ring"/>'
    return (ring, *dot, words(x + 24, y + 5, label))


def _jumps() -> list[str]:
    """Return the list of sections at the form's left."""
    shapes = [words(24, 92, "Jump to section", "pale", size=13)]
    return shapes + [words(24, 122 + 28 * n, title, "link") for n, title in enumerate(_SECTIONS)]


def _buttons(x: float, y: float, label: str) -> Drawn:
    width = 32 + 7.6 * len(label)
    return Drawn(
        (
            box(x, y, width, 36, "link", round_by=18),
            words(x + 16, y + 23, label, "on b"),
            words(x + width + 20, y + 23, "Cancel", "link"),
        ),
        y + 36,
    )
