"""Tables of components and settings, made from their signatures and docstrings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kfp.dsl.python_component import PythonComponent

from carferry.components import (
    build_image,
    deploy_model,
    download_model,
    fit_model,
    plan_model,
    push_image,
    seal_image,
    stream_layers,
    test_endpoint,
    warm_nodes,
)
from carferry.form.parameter import Parameter
from carferry.pipelines.reference.table import table
from carferry.run.settings import AGAIN, BUILDER, FIT, PACK, SERVE

COMPONENTS: Sequence[PythonComponent] = (
    fit_model,
    plan_model,
    stream_layers,
    seal_image,
    deploy_model,
    test_endpoint,
    warm_nodes,
    download_model,
    build_image,
    push_image,
)
SECTIONS: Mapping[str, Sequence[Parameter]] = {
    "What enters the image, and how": PACK,
    "Whether there is anything to do": AGAIN,
    "Where Buildah runs": BUILDER,
    "What the GPU plan takes as given": FIT,
    "How the model is served": SERVE,
}
PAGE = Path("docs/reference/components.md")
SETTINGS_PAGE = Path("docs/reference/settings.md")
SETTINGS_HEAD = """\
# Settings

What the pipelines' parameter `settings` may hold: all that is rarely asked for. Generated from
`carferry.run.settings` by `python -m carferry.pipelines.reference`.

The pipelines' last parameter, `settings`, is one JSON object; components take it too. In a
dashboard write `{"namespace": "demo", "auth": true}`, on the command line
`settings.namespace=demo`. An unknown name stops the run in its first step. Numbers and
switches may be JSON's own; lists of texts may be lists, or text by comma or line.

"""
HEAD = """\
# Components

Every component with its inputs and outputs. Generated from the signatures and docstrings by
`python -m carferry.pipelines.reference`. Import one into a pipeline of your own with
`from carferry.components import build_image`: [compose your own](../how-to/compose-your-own.md).
What the compiled pipelines ask for is in [pipeline parameters](pipelines.md).

"""


def overview() -> str:
    """Return a table with a line for each component."""
    rows = []
    for made in COMPONENTS:
        spec = made.component_spec
        purpose = (spec.description or "").partition("\n")[0]
        outputs = ", ".join(f"`{name}`" for name in spec.outputs or {})
        rows.append((f"`{made.python_func.__name__}`", purpose, outputs))
    return table(("component", "what it does", "gives"), rows)


def page() -> str:
    """Return the reference page: every input and output of every component."""
    return f"{HEAD}{overview()}\n" + "\n".join(_section(each) for each in COMPONENTS)


def settings_page() -> str:
    """Return the page of what ``settings`` may hold."""
    parts = []
    for title, section in SECTIONS.items():
        rows = [(f"`{e.name}`", f"`{e.default}`" if e.default else "", e.help) for e in section]
        parts.append(f"## {title}\n\n{table(('name', 'default', 'meaning'), rows)}")
    return SETTINGS_HEAD + "\n".join(parts)


def _section(made: PythonComponent) -> str:
    spec = made.component_spec
    title = f"`{made.python_func.__name__}`"
    inputs = [
        (f"`{name}`", _kind(about.type), _default(about), about.description or "")
        for name, about in (spec.inputs or {}).items()
    ]
    outputs = [
        (f"`{name}`", _kind(about.type), about.description or "")
        for name, about in (spec.outputs or {}).items()
    ]
    parts = [f"## {title}\n\n{spec.description}\n"]
    parts.append(table(("input", "type", "default", "meaning"), inputs))
    if outputs:
        parts.append(table(("output", "type", "meaning"), outputs))
    return "\n".join(parts)


def _default(about: object) -> str:
    if not getattr(about, "optional", False):
        return "required"
    default = getattr(about, "default", None)
    return f"`{default}`" if default not in ("", None, {}) else ""


def _kind(name: str) -> str:
    return name.removeprefix("system.").partition("@")[0]
