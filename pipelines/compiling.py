"""Write pipelines as the YAML that a dashboard imports, and the library beside them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from kfp import compiler
from kfp.dsl.graph_component import GraphComponent

from carferry.bundle.functions import carried
from carferry.errors import InputError
from carferry.io import named

MAX_YAML = 1_000_000
"""Bytes the OpenShift AI dashboard accepts (odh-dashboard, MAX_SIZE_AS_MB = 1)."""
LIBRARY = "carferry-library.yaml"
_KUSTOMIZATION = f"""\
# The library that the pipelines of this folder mount: oc apply --server-side -k . -n PROJECT
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - {LIBRARY}
"""


def compiled(pipeline: GraphComponent) -> str:
    """Return a pipeline's YAML: the IR document and, if it has one, the platform document.

    Raises:
        InputError: Too large for the dashboard, or not ASCII (its database stores utf8mb3).
    """
    _bare(pipeline)
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
    return _write(folder / f"{pipeline.name}.yaml", compiled(pipeline))


def write_library(folder: Path) -> Path:
    """Write the ConfigMap that carried steps mount, and a kustomization that applies it."""
    _write(folder / "kustomization.yaml", _KUSTOMIZATION)
    return _write(folder / LIBRARY, carried().manifest)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    named.save(path, text.encode("ascii"), action="compile to")
    return path


def _bare(pipeline: GraphComponent) -> None:
    """Drop the descriptions of components' inputs and outputs; those of the form stay.

    A run does not use them, and Argo keeps a copy for every node of the graph.
    """
    for part in pipeline.pipeline_spec.components.values():
        for side in (part.input_definitions, part.output_definitions):
            for about in (*side.parameters.values(), *side.artifacts.values()):
                about.ClearField("description")
