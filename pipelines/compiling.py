"""Pipelines to the YAML that a dashboard imports, checked before it is written."""

from __future__ import annotations

import tempfile
from pathlib import Path

from kfp import compiler
from kfp.dsl.graph_component import GraphComponent

from carferry.errors import InputError

MAX_YAML = 1_000_000
"""Bytes the OpenShift AI dashboard accepts (odh-dashboard, MAX_SIZE_AS_MB = 1)."""


def compiled(pipeline: GraphComponent) -> str:
    """Return a pipeline's YAML: the IR document and, where it has one, the platform document.

    Raises:
        InputError: Too large for the dashboard, or not ASCII (its database stores utf8mb3).
    """
    with tempfile.TemporaryDirectory(prefix="carferry-") as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        text = path.read_text(encoding="utf-8")
    if len(text.encode()) > MAX_YAML:
        raise InputError("compile", pipeline.name, f"{len(text)} bytes, at most {MAX_YAML}")
    if not text.isascii():
        raise InputError("compile", pipeline.name, "holds characters outside ASCII")
    return text


def write(pipeline: GraphComponent, folder: Path) -> Path:
    """Compile a pipeline into a folder, under its own name, and return the file."""
    text = compiled(pipeline)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pipeline.name}.yaml"
    path.write_text(text, encoding="ascii")
    return path
