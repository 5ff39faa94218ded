"""The notebook: runs from top to bottom in local mode, and is committed without outputs."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import nbformat
import pytest
from servers import models
from servers.hub import Hub
from servers.registry import Registry

from carferry.errors import InputError
from carferry.pipelines.runs import workbench

with warnings.catch_warnings():  # jupyter_client announces a change of folders when imported
    warnings.simplefilter("ignore")
    from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "modelcar.ipynb"


def test_it_takes_a_model_from_the_hub_to_an_inspected_image(
    hub: Hub, registry: Registry, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("team/tiny", models.tiny())
    image = f"docker://{registry.host}/models/tiny:1"
    settings = {"LOCAL": "1", "MODEL": "team/tiny", "IMAGE": image, "BASE": "scratch"}
    for name, value in {**settings, "PLAIN_HTTP": registry.host}.items():
        monkeypatch.setenv(f"CARFERRY_{name}", value)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(own_home / name.lower()))
    document = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(document, timeout=120, kernel_name="python3", resources=where).execute()
    said = printed(document)
    assert f"{registry.host}/models/tiny@{registry.tags('models/tiny')['1']}" in said
    assert "seal-image: done" in said
    assert f"{len(models.tiny())} files" in said


def printed(document: nbformat.NotebookNode) -> str:
    """Return what a reader sees: lines that were printed, results as Markdown."""
    outputs = [out for cell in document.cells if cell.cell_type == "code" for out in cell.outputs]
    shown = [out.get("text") or out.get("data", {}).get("text/markdown", "") for out in outputs]
    return "".join(shown)


def test_it_is_committed_without_outputs_counts_or_machine_metadata() -> None:
    document = json.loads(NOTEBOOK.read_text(encoding="ascii"))
    cells = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in cells] == [[]] * len(cells)
    assert {cell["execution_count"] for cell in cells} == {None}
    assert {key for cell in document["cells"] for key in cell["metadata"]} == set()


def test_a_workbench_finds_the_server_of_its_project(tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("models")
    (tmp_path / "service-ca.crt").write_text("certificates")
    found = workbench.endpoint(account=tmp_path)
    assert found.url == "https://ds-pipeline-dspa.models.svc:8443"
    assert found.token_file == tmp_path / "token"
    assert found.ca == tmp_path / "service-ca.crt"


def test_outside_a_pod_there_is_no_such_server(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not in a pod"):
        workbench.endpoint(account=tmp_path)


def test_outside_a_pod_the_cluster_is_asked_only_with_a_kubeconfig(tmp_path: Path) -> None:
    assert workbench.cluster(environ={}) is None
    assert workbench.cluster(tmp_path / "none", environ={}) is None
