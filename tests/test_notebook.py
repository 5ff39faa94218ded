"""The notebooks: they run from top to bottom, show what they promise, and hold no outputs."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import browser
import notebooks
import pytest
from cluster.standin import Standin, running
from docs import models as real
from gpu.samples import LLAMA, llama_file
from servers import models
from servers.argo import Look
from servers.dsp import PipelineServer
from servers.hub import Hub
from servers.registry import Registry

import carferry
from carferry.errors import InputError
from carferry.gpu.report import chart
from carferry.pipelines.runs import workbench

MODEL = "team/small"
CONFIG = {**LLAMA, "max_position_embeddings": 1024}
FILES = models.tiny() | {
    "config.json": json.dumps(CONFIG).encode(),
    "model.safetensors": llama_file(CONFIG),
}
RUN = (
    Look("RUNNING", at="fit-model"),
    Look("RUNNING", at="stream-layers", turns=2, done=1),
    Look("SUCCEEDED", turns=2, done=2),
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Standin]:
    """A stand-in for vLLM that serves the model."""
    folder = models.write(FILES, tmp_path / "served")
    words = ("--served-model-name", "small", "--max-model-len", "1024")
    with running(f"--model={folder}", *words) as server:
        yield server


@pytest.fixture
def environ(hub: Hub, registry: Registry, served: Standin, own_home: Path) -> dict[str, str]:
    """What a notebook is told: a model of a hub, a place in a registry, an endpoint."""
    hub.add(MODEL, FILES)
    told = {"MODEL": MODEL, "IMAGE": f"docker://{registry.host}/models/small:1", "GPUS": "L4"}
    more = {"BASE": "embedded", "PLAIN_HTTP": registry.host, "ENDPOINT": served.address}
    return notebooks.variables(own_home, **told, **more) | {"HF_ENDPOINT": hub.endpoint}


def test_on_this_machine_a_model_becomes_an_image_that_is_followed_asked_and_drawn(
    environ: dict[str, str], registry: Registry, tmp_path: Path
) -> None:
    document = notebooks.executed("modelcar", tmp_path, environ | {"CARFERRY_NOTEBOOK_LOCAL": "1"})
    assert notebooks.foreign(document) == []
    html, page = notebooks.shown(document), notebooks.rendered(document)
    assert has_the_charts(page)
    digest = registry.tags("models/small")["1"]
    tables = notebooks.shown(document, "text/markdown")
    assert f"models/small@<wbr>{digest}" in tables
    assert "by 1 worker, about" in tables
    assert not re.search(r"\| +\|.*\n\| -", tables), "a column without a heading"
    assert re.search(r"moved in \d+ s", html)
    assert html.count('class="carferry-progress"') == 1
    assert states(html) == dict.fromkeys(STEPS, "done")
    assert "log, " in html
    assert f"{registry.host}/models/small@{digest}" in committed(tmp_path)
    assert "imagePullSecrets" not in committed(tmp_path)
    assert is_drawn(page, tmp_path)


def test_on_a_cluster_it_submits_the_run_and_links_to_it_and_to_its_logs(
    environ: dict[str, str], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", environ["HF_ENDPOINT"])
    how = {"base": "embedded", "plain_http": [registry.host]}
    carferry.build(MODEL, environ["CARFERRY_NOTEBOOK_IMAGE"], **how)
    (tmp_path / "token").write_text("no-secret\n")
    route = "https://ds-pipeline-dspa-models.apps.example.com"
    with PipelineServer(RUN, token="no-secret") as server:
        told = {"CARFERRY_NOTEBOOK_HOST": server.url, "CARFERRY_NOTEBOOK_PAGES": route}
        document = notebooks.executed("modelcar", tmp_path, environ | told)
        ((run, started),) = server.store.runs.items()
    settings = started.request["runtime_config"]["parameters"]["settings"]
    assert settings == {**how, "pull_secret": "carferry-registry"}
    assert "imagePullSecrets:\n      - name: carferry-registry" in committed(tmp_path)
    assert notebooks.foreign(document) == []
    html = notebooks.shown(document)
    assert has_the_charts(notebooks.rendered(document))
    done = states(html)
    assert done.pop("stream-layers") == "2 of 2 done"
    assert {*done.values()} == {"done"}
    assert f'href="{route}/#/runs/details/{run}"' in html
    pods = "https://console-openshift-console.apps.example.com/k8s/ns/models/pods/"
    assert len(re.findall(rf'href="{pods}[a-z0-9-]+/logs"', html)) == len(done) + 1


STEPS = ("fit-model", "plan-model", "stream-layers", "seal-image", "deploy-model")


def has_the_charts(page: str) -> bool:
    """Return whether a page shows how memory is spent and how many tokens come in a second."""
    drawn = re.findall(r'<svg [^>]*aria-label="([^"]*)"', page)
    return any("GiB weights" in words for words in drawn) and "tokens/s in all" in drawn


def is_drawn(page: str, folder: Path) -> bool:
    """Return whether a browser shows a page with its charts in their colours."""
    path = folder / "page.html"
    path.write_text(page)
    seen = browser.colours(browser.picture(path.as_uri(), folder, height=9000))
    areas = {part: seen[browser.colour(word)] for part, word in chart.COLOURS.items()}
    return areas["weights"] > 10 and sum(areas.values()) > 1_500


def states(html: str) -> dict[str, str]:
    """Return the state that the table of a run shows for each step."""
    table = html.partition('class="carferry-run"')[2].partition("</table>")[0]
    cells = [re.findall(r"<td[^>]*>([^<]*)", row) for row in table.split("<tr>")]
    return {row[1]: row[2] for row in cells if len(row) > 3}


def committed(folder: Path) -> str:
    return (folder / "deploy" / "small.yaml").read_text()


def test_three_models_are_compared_and_the_first_that_fits_is_chosen(
    hub: Hub, own_home: Path, tmp_path: Path
) -> None:
    real.fill(hub)
    environ = notebooks.variables(own_home) | {"HF_ENDPOINT": hub.endpoint}
    document = notebooks.executed("compare", tmp_path, environ)
    assert notebooks.foreign(document) == []
    html = notebooks.shown(document)
    assert "3 of 3 models can be served" in html
    assert html.count('class="carferry-compare"') == 2
    page = notebooks.rendered(document)
    assert page.count("GiB weights") >= 7
    assert is_drawn(page, tmp_path)
    said = notebooks.shown(document, "text/plain")
    assert "'serve_gpu': 'L4 x2'" in said
    assert "'model': 'Qwen/Qwen2.5-7B-Instruct'" in said


def test_an_error_is_a_line_that_says_what_to_do_without_frames(
    own_home: Path, tmp_path: Path
) -> None:
    cell = "import carferry\ncarferry.fit('./none', gpus='L4')"
    environ = notebooks.variables(own_home)
    document = notebooks.ran(notebooks.of(cell), tmp_path, environ, goes_on=True)
    (error,) = notebooks.outputs(document)
    assert (error.output_type, error.ename) == ("error", "SourceNotFound")
    (line,) = error.traceback
    assert line.startswith("SourceNotFound: ")
    assert "none" in line


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_it_is_committed_without_outputs_counts_or_machine_metadata(name: str) -> None:
    document = json.loads((notebooks.FOLDER / f"{name}.ipynb").read_text(encoding="ascii"))
    cells = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in cells] == [[]] * len(cells)
    assert {cell["execution_count"] for cell in cells} == {None}
    assert {key for cell in document["cells"] for key in cell["metadata"]} == set()


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_each_cell_is_preceded_by_what_it_teaches_and_what_to_do_if_it_fails(name: str) -> None:
    document = json.loads((notebooks.FOLDER / f"{name}.ipynb").read_text(encoding="ascii"))
    cells = document["cells"]
    for before, cell in itertools.pairwise(cells):
        if cell["cell_type"] == "code":
            text = "".join(before["source"])
            assert "**You learn**" in text, text
            assert "**You should see**" in text, text
            assert re.search(r"\*\*If ", text), text


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_the_errors_that_it_names_are_ours(name: str) -> None:
    text = (notebooks.FOLDER / f"{name}.ipynb").read_text(encoding="ascii")
    named = {*re.findall(r"`([A-Z][a-z]+[A-Za-z]+)`", text)}
    assert named
    assert named <= {*carferry.__all__}


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_its_links_lead_to_files(name: str) -> None:
    text = (notebooks.FOLDER / f"{name}.ipynb").read_text(encoding="ascii")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links
    assert [link for link in links if not (notebooks.FOLDER / link).exists()] == []


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
