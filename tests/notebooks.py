"""Notebooks as a reader has them: executed in a kernel of their own, and rendered as a page."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat

with warnings.catch_warnings():  # jupyter_client announces a change of folders when imported
    warnings.simplefilter("ignore")
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

FOLDER = Path(__file__).parent.parent / "notebooks"
NAMES = ("modelcar", "compare")
Document = Any
_JUPYTER = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")


def variables(home: Path, **settings: str) -> dict[str, str]:
    """Return the variables of a kernel: what a notebook reads, and folders of its own."""
    own = {name: str(home / name.lower()) for name in _JUPYTER}
    return own | {f"CARFERRY_NOTEBOOK_{name}": value for name, value in settings.items()}


def executed(name: str, folder: Path, environ: Mapping[str, str]) -> Document:
    """Run a notebook from top to bottom in a folder and return it with its outputs."""
    return ran(nbformat.read(FOLDER / f"{name}.ipynb", as_version=4), folder, environ)


def of(*cells: str) -> Document:
    """Return a notebook of these cells."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def ran(
    document: Document, folder: Path, environ: Mapping[str, str], *, goes_on: bool = False
) -> Document:
    """Run a notebook in a folder and return it with its outputs.

    Args:
        document: Any notebook.
        folder: Where.
        environ: More variables of its kernel.
        goes_on: Whether an error ends a cell only.
    """
    where = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        document, timeout=180, kernel_name="python3", resources=where, allow_errors=goes_on
    )
    client.execute(env={**os.environ, **environ})
    return document


def rendered(document: Document) -> str:
    """Return the page that a reader sees."""
    with warnings.catch_warnings():  # pictures in Markdown may have no words: ours have no pictures
        warnings.simplefilter("ignore")
        page, _ = HTMLExporter().from_notebook_node(document)
    return str(page)


def outputs(document: Document) -> Iterator[Any]:
    """Yield what every cell put out."""
    for cell in document.cells:
        yield from cell.get("outputs", ())


def shown(document: Document, kind: str = "text/html") -> str:
    """Return everything that is shown in one way, such as HTML."""
    return "\n".join(out.get("data", {}).get(kind, "") for out in outputs(document))


def foreign(document: Document) -> list[str]:
    """Return what no reader should see: anything on stderr, an error, a warning, a log line."""
    printed = [out for out in outputs(document) if out.output_type == "stream"]
    errors = [str(out) for out in outputs(document) if out.output_type == "error"]
    noise = re.compile(r"Warning|^\s*(?:INFO|DEBUG|WARNING)\b|\[KFP|HTTP Request", re.MULTILINE)
    return [
        *errors,
        *(out.text for out in printed if out.name == "stderr"),
        *(out.text for out in printed if noise.search(out.text)),
    ]
