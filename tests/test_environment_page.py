"""The page of environment variables names every one that the source reads, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from carferry.pipelines.reference import given
from carferry.pipelines.reference.environment import PAGE, READ

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for folder in ("src/carferry", "pipelines", "components")
    for path in (ROOT / folder).rglob("*.py")
    if not {"reference"} & {*path.relative_to(ROOT).parts}
]
OTHERS = {
    "PYTHON_VERSION",  # read of an image's config
    # No variables: parts of names, methods, words.
    "COMMAND", "CREDENTIALS", "DEBUG", "HTTPS", "JSON", "POST", "PROGRESS", "REST", "TRUE",
    "_FILE", "_PATH", "GET", "TCP", "YES",
}  # fmt: skip
BY_LIBRARIES = {
    "HF_HUB_DISABLE_IMPLICIT_TOKEN", "AWS_PROFILE", "COLUMNS", "LINES",
}  # fmt: skip
"""Read by huggingface_hub, botocore and Python on carferry's behalf."""
GIVEN = {name for names, *_ in given.rows() for name in names.split(", ")}
KNOWN = {name for names in READ.values() for name in names}


def read_in(path: Path) -> Iterator[str]:
    """Yield what looks like a variable in a module that touches an environment."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [*ast.walk(tree)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    if names & {"environ", "env", "getenv", "expandvars"}:
        texts = (node.value for node in nodes if isinstance(node, ast.Constant))
        for text in texts:
            if isinstance(text, str) and re.fullmatch(r"_?[A-Z][A-Z0-9]{2,}(_[A-Z0-9]+)*", text):
                yield text


NOTEBOOKS = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("notebooks/*.ipynb"))
FOUND = {name: path for path in SOURCES for name in read_in(path)}


def test_every_variable_that_is_read_is_on_the_page() -> None:
    assert {n: str(p) for n, p in FOUND.items() if n not in KNOWN | GIVEN | OTHERS} == {}


def test_the_notebooks_read_their_group_and_nothing_else() -> None:
    read = set(re.findall(r"\b(CARFERRY_\w+)\b", NOTEBOOKS))
    assert read == set(READ["Notebooks"])


def test_every_variable_of_the_page_is_read() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    unread = {
        n for n in KNOWN - {*READ["Notebooks"]} if f'"{n}"' not in text and f"'{n}'" not in text
    }
    assert unread == BY_LIBRARIES


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_variable_stands_on_the_page_once(name: str) -> None:
    page = (ROOT / PAGE).read_text(encoding="ascii")
    assert page.partition("## Set for others")[0].count(f"\n| `{name}` |") == 1


def test_every_variable_that_is_set_for_others_stands_on_the_page_and_is_set() -> None:
    page = (ROOT / PAGE).read_text(encoding="ascii").partition("## Set for others")[2]
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    assert [name for name in GIVEN if f"`{name}`" not in page.partition("## Options")[0]] == []
    assert [name for name in GIVEN if f'"{name}"' not in text] == []
