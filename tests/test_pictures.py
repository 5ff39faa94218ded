"""The docs' pictures of the dashboard: drawn from what is imported there, and legible anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from carferry.pipelines.pods import HERE, Site
from carferry.pipelines.reference.drawn import pictures, run_graph
from carferry.pipelines.streamed import stream

ROOT = Path(__file__).parent.parent
CARD = re.compile(r'viewBox="0 0 (\d+) (\d+)"')


@cache
def compiled() -> dict[str, Any]:
    documents = yaml.safe_load_all((ROOT / "compiled/modelcar.yaml").read_text())
    return dict(next(documents))


@cache
def drawn() -> dict[str, str]:
    return {path.name: svg for path, svg in pictures.pictures().items()}


def said(svg: str) -> list[str]:
    """Return a picture's lines of text, from the top."""
    lines = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(line.itertext()) for line in lines]


def tasks(dag: dict[str, Any]) -> Iterator[str]:
    for task in dag["tasks"].values():
        inner = compiled()["components"][task["componentRef"]["name"]]
        if "dag" in inner:
            yield from tasks(inner["dag"])
        else:
            yield task["taskInfo"]["name"]


def test_the_form_has_the_fields_of_the_committed_pipeline_in_the_dashboards_order() -> None:
    fields = compiled()["root"]["inputDefinitions"]["parameters"]
    labels = [line.removesuffix(" *") for line in said(drawn()["create-run.svg"])]
    shown = [line for line in labels if line in fields]
    assert shown == sorted(fields)


def test_a_star_marks_what_must_be_given_and_nothing_else() -> None:
    fields = compiled()["root"]["inputDefinitions"]["parameters"]
    lines = said(drawn()["create-run.svg"])
    for name, about in fields.items():
        assert (f"{name} *" in lines) == (not about.get("isOptional")), name


def test_each_field_shows_its_value_and_its_whole_description() -> None:
    lines = said(drawn()["create-run.svg"])
    text = " ".join(lines)
    for name, about in compiled()["root"]["inputDefinitions"]["parameters"].items():
        assert about["description"] in text, name
        after = lines[next(n for n, line in enumerate(lines) if line.split(" *")[0] == name) + 1]
        default = pictures.GIVEN.get(name, about.get("defaultValue"))
        assert after == (f"{default:g}" if isinstance(default, float) else default)


def test_the_tutorial_names_what_the_form_is_filled_in_with() -> None:
    page = (ROOT / "docs/tutorials/cluster.md").read_text()
    for name, value in pictures.GIVEN.items():
        assert f"| `{name}` | `{value}` |" in page


def test_the_graph_has_every_task_of_the_committed_pipeline() -> None:
    made = stream(Site(HERE, folder="."))
    assert sorted(run_graph.names(made)) == sorted(tasks(compiled()["root"]["dag"]))
    assert run_graph.names(made)[0] == "fit-model"
    assert set(run_graph.names(made)) <= set(said(drawn()["run-graph.svg"]))


@pytest.mark.parametrize("name", ["create-run.svg", "import-pipeline.svg", "run-graph.svg"])
def test_a_picture_is_complete_in_itself(name: str) -> None:
    """ASCII, no font, script or address from elsewhere; a card of its own, light and dark."""
    svg = drawn()[name]
    assert svg.isascii()
    assert svg.count("http") == 1
    assert not re.search(r"@font-face|@import|<script|<image|url\(", svg)
    assert "prefers-color-scheme: dark" in svg
    assert "not a photograph" in svg


@pytest.mark.parametrize("name", ["create-run.svg", "import-pipeline.svg", "run-graph.svg"])
def test_nothing_leaves_the_card(name: str) -> None:
    svg = drawn()[name]
    width, height = map(int, CARD.findall(svg)[0])
    for shape in ElementTree.fromstring(svg):
        at = shape.attrib
        if shape.tag.endswith("}text"):
            reach = float(at["x"]) + 0.52 * float(at["font-size"]) * len("".join(shape.itertext()))
            assert (reach < width, float(at["y"]) < height) == (True, True), at
        elif shape.tag.endswith("}rect"):
            assert float(at["x"]) + float(at["width"]) <= width
            assert float(at["y"]) + float(at["height"]) <= height
