"""The Python API: what ``import carferry`` offers, what it loads, and what its examples print."""

from __future__ import annotations

import doctest
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from ferrying import point_to
from gpu.api import node, serving
from gpu.samples import LLAMA, llama_file
from serve_samples import ready_pod, rollout, service
from servers.hub import Hub
from servers.kube import KubeServer
from servers.models import write
from servers.registry import Registry
from test_cluster_connect import kubeconfig

import carferry
from carferry.cluster.api import connect
from carferry.errors import CarferryError
from carferry.serve.form import PARAMETERS, DeploymentForm
from carferry.steps.fit_settings import FitKeywords, FitSettings
from carferry.steps.settings import BuildKeywords, BuildSettings

ROOT = Path(__file__).parent.parent
IMAGE = "quay.io/me/granite@sha256:" + "0" * 64
URL = "http://granite-31-2b-predictor.demo.svc.cluster.local:8080"
FUNCTIONS = sorted(name for name in carferry.__all__ if inspect.isfunction(getattr(carferry, name)))
CLASSES = sorted({*carferry.__all__} - {*FUNCTIONS})
WANTED = [
    "build",
    "compare",
    "delete",
    "deploy",
    "download",
    "fit",
    "inspect",
    "look",
    "plan",
    "push",
    "render",
    "seal",
    "stream",
    "test_endpoint",
    "warm",
]


def test_the_steps_are_the_functions() -> None:
    assert FUNCTIONS == WANTED


@pytest.mark.parametrize("name", WANTED)
def test_the_types_of_every_step_can_be_asked_for(name: str) -> None:
    """As documentation tools and form makers do."""
    assert "return" in get_type_hints(getattr(carferry, name))


def test_every_error_of_the_library_is_exported() -> None:
    from carferry import errors

    found = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, CarferryError)
    }
    assert found == {name for name in CLASSES if hasattr(errors, name)}


def test_public_names_are_sorted_and_shown_before_they_are_loaded() -> None:
    assert carferry.__all__ == sorted(carferry.__all__)
    assert {*carferry.__all__} <= {*dir(carferry)}
    with pytest.raises(AttributeError, match="no attribute 'bild'"):
        _ = carferry.bild  # type: ignore[attr-defined]


def test_importing_loads_nothing_but_the_standard_library() -> None:
    code = "import sys, carferry; print(*sorted(n for n in sys.modules if 'carferry' in n))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["carferry"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loading_a_function_loads_no_client_it_may_not_need(name: str) -> None:
    code = f"import sys, carferry; carferry.{name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"huggingface_hub", "kfp", "kubernetes"} & {*done.stdout.split()} == set()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_takes_gives_and_raises(name: str) -> None:
    function = getattr(carferry, name)
    text = inspect.getdoc(function) or ""
    for part in ("Args:", "Returns:", "Raises:", "Example:"):
        assert f"\n{part}\n" in text, part
    written = inspect.signature(inspect.unwrap(function)).parameters.values()
    own = [each.name for each in written if each.kind is not each.VAR_KEYWORD]
    assert [name for name in own if f"\n    {name}: " not in text] == []


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_says_what_it_is(name: str) -> None:
    made = getattr(carferry, name)
    text = inspect.getdoc(made) or ""
    assert text
    assert not text.startswith(f"{name}(")  # what dataclass would write
    for field in getattr(made, "__dataclass_fields__", {}):
        assert f"\n    {field}: " in text, field


@pytest.fixture
def beside_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeServer]:
    """A folder with a model, and a cluster that a kubeconfig leads to."""
    files = {"config.json": json.dumps(LLAMA).encode(), "model.safetensors": llama_file(LLAMA)}
    write(files, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    with KubeServer() as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", server.url)))
        yield server


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_every_function_runs(
    beside_a_model: KubeServer, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    function = getattr(carferry, name)
    (example,) = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    assert example.examples
    said: list[str] = []
    result = doctest.DocTestRunner().run(example, out=said.append)
    assert (result.failed, "".join(said)) == (0, "")
    assert capfd.readouterr() == ("", "")


def test_progress_is_shown_where_it_is_asked_for(
    beside_a_model: KubeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    carferry.build("./model", "oci:out:1", base="scratch", progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "config.json" in err


@pytest.mark.parametrize(
    ("keywords", "settings"), [(BuildKeywords, BuildSettings), (FitKeywords, FitSettings)]
)
def test_keywords_are_the_fields_of_their_settings(keywords: type, settings: type) -> None:
    fields = {each.name: each.type for each in settings.__dataclass_fields__.values()}  # type: ignore[attr-defined]
    written = {
        name: getattr(kind, "__forward_arg__", kind)
        for name, kind in keywords.__annotations__.items()
    }
    assert written == fields


def test_keywords_of_a_deployment_are_its_parameters() -> None:
    names = {each.name for each in PARAMETERS} - {"image"}
    assert {*DeploymentForm.__annotations__} == names


def test_results_show_themselves_in_a_notebook(beside_a_model: KubeServer) -> None:
    planned = carferry.plan("./model", "oci:out:1", base="scratch")
    built = carferry.build("./model", "oci:out:1", base="scratch")
    found = carferry.inspect(built.reference)
    fitted = carferry.fit("./model", gpus="L40S x2, T4", max_model_len=512)
    made = carferry.render("quay.io/me/granite@sha256:" + "0" * 64)
    assert "| Layer | Size | How | Worker |" in planned._repr_markdown_()
    assert built.digest in built._repr_markdown_()
    assert "| config.json |" in found._repr_markdown_()
    assert "<svg" in fitted._repr_html_()
    assert "fits on 1 x" in fitted._repr_markdown_()
    assert "kind: InferenceService" in made._repr_markdown_()


@pytest.mark.parametrize("gpus", [1, 2])
def test_what_fits_is_what_is_deployed(beside_a_model: KubeServer, gpus: int) -> None:
    fitted = carferry.fit("./model", gpus="L40S x2", gpu_count=gpus, max_model_len=512)
    made = carferry.render(IMAGE, **fitted.deployment)
    model = list(yaml.safe_load_all(made.manifest))[2]["spec"]["predictor"]["model"]
    assert model["resources"]["limits"]["nvidia.com/gpu"] == str(gpus)
    assert {*model["args"]} == {*fitted.vllm_args} - {"--tensor-parallel-size=1"}


def test_what_takes_several_nodes_is_deployed_over_them(beside_a_model: KubeServer) -> None:
    """Two nodes of two, and four asked for: a pod on each, and a stage of the pipeline in each."""
    held = {"/api/v1/nodes": [node("a", count=2), node("b", count=2)], "/api/v1/pods": []}
    asked = {"gpu_count": 2, "nodes": 2, "max_model_len": 512}
    with serving(held) as url:
        fitted = carferry.fit("./model", connect=lambda: connect(host=url, token="t"), **asked)
    wanted = fitted.deployment
    assert (wanted["gpus"], wanted["nodes"]) == (2, 2)
    made = carferry.render("quay.io/me/m@sha256:" + "0" * 64, namespace="demo", **wanted)
    for each in ("--tensor-parallel-size=2", "--pipeline-parallel-size=2", "--nnodes=2"):
        assert each in made.manifest


HOSTILE: list[tuple[str, dict[str, Any]]] = [
    *(
        (name, {field: value})
        for name in ("build", "plan")
        for field, value in (
            ("parallel", "four"), ("parallel", 0), ("parallel", True), ("parallel", 2.5),
            ("include", [1]), ("include", {"a": 1}), ("platforms", 5), ("platforms", ["amd64"]),
            ("mount_from", ["x"]), ("plain_http", 5), ("base", Path("x")), ("base", ["x"]),
            ("format", []), ("format", "zip"), ("engine", None), ("workdir", 5), ("ca_file", 5),
            ("ca_file", "/nowhere"), ("buildah_job", "job"), ("model", None),
            ("model", 5), ("model", b"x"), ("image", None), ("image", Path("x")), ("image", ["x"]),
        )
    ),
    *(("build", {"progress": value}) for value in ("yes", 5)),
    *(("build", {field: "a,b"}) for field in ("include", "exclude", "platforms")),
    *(("plan", {"workers": value}) for value in ("two", 0, -1, 1.5, True, None)),
    *(("stream", {"share": value}) for value in (1, "1", None, "0/1", "2/1")),
    *(("download", {"folder": value}) for value in (None, "", 5)),
    *((name, {"parallel": 0}) for name in ("download", "push")),
    *(("inspect", {"image": value}) for value in (None, 5, Path("x"))),
    *(
        ("fit", {field: value})
        for field in ("max_model_len", "max_num_seqs", "gpu_count", "nodes")
        for value in ("two", -1, 1.5, True)
    ),
    *(
        ("look", {field: value})
        for field in ("max_model_len", "max_num_seqs")
        for value in ("two", -1, 1.5, True)
    ),
    *(("fit", {"gpus": value}) for value in (["L40S"], 2, "Imaginary")),
    *(
        ("render", {field: value})
        for field, value in (
            ("gpus", "two"), ("gpus", -1), ("gpus", 1.5), ("gpus", True), ("cpu", b"4"),
            ("cpu", "many"), ("memory", []), ("name", Path("x")), ("env", {1: "a"}),
            ("env", {"A": 1}), ("env", ["A"]), ("env", {"HF_TOKEN": "hf_abcdefgh"}),
            ("tolerations", 5), ("tolerations", [{"colour": "red"}]), ("max_model_len", "8k"),
            ("vllm_args", [1]), ("vllm_args", "'x"), ("auth", "yes"), ("image", None),
            ("image", "quay.io/me/m:1"), ("output", 5), ("runtime_image", "vllm:latest"),
        )
    ),
    *(
        ("render", {"vllm_args": value})
        for value in (["--hf-token", "x"], ["--a=hf_abcdefgh"], ["--b=https://u:hf_abcdefgh@h/x"])
    ),
    *(
        ("render", {"env": {name: "hf_abcdefgh"}})
        for name in ("AWS_SECRET_ACCESS_KEY", "MY_CREDENTIALS", "DB_PASS", "X ")
    ),
    *(("deploy", {"wait": value}) for value in ("soon", -1, 1.5, float("nan"), float("inf"))),
    *(("deploy", {"kubeconfig": value}) for value in (5, "/nowhere")),
]  # fmt: skip
GOOD: dict[str, dict[str, Any]] = {
    "build": {"model": "./model", "image": "oci:out:1", "base": "scratch"},
    "plan": {"model": "./model", "image": "oci:out:1", "base": "scratch"},
    "stream": {"model": "./model", "image": "oci:out:1", "base": "scratch", "share": "1/1"},
    "download": {"model": "./model", "folder": "copy"},
    "push": {"origin": "oci:out:1", "image": "oci:copy:1"},
    "inspect": {"image": "oci:out:1"},
    "fit": {"model": "./model", "gpus": "L40S x2"},
    "look": {"model": "./model"},
    "render": {"image": IMAGE, "namespace": "demo"},
    "delete": {"name": "granite", "namespace": "demo"},
    "deploy": {"image": IMAGE, "namespace": "demo", "output": "objects.yaml"},
    "test_endpoint": {"name": "granite", "namespace": "demo"},
    "warm": {"image": IMAGE, "namespace": "demo"},
}


@pytest.mark.parametrize(("name", "wrong"), HOSTILE, ids=lambda each: str(each)[:50])
def test_whatever_a_caller_gives_it_is_one_line_of_ours(
    beside_a_model: KubeServer, name: str, wrong: dict[str, Any]
) -> None:
    before = sorted(Path().rglob("*"))
    with pytest.raises(carferry.CarferryError) as caught:
        getattr(carferry, name)(**{**GOOD[name], **wrong})
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert "hf_abcdefgh" not in str(caught.value)
    assert sorted(Path().rglob("*")) == before
    assert beside_a_model.store.objects == {}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_unknown_keyword_is_named_with_its_function(name: str) -> None:
    with pytest.raises(TypeError, match=rf"{name}\(\) got an unexpected keyword argument.*bace"):
        getattr(carferry, name)(**{**GOOD.get(name, GOOD["build"]), "bace": 1})


def test_a_model_may_be_a_path(beside_a_model: KubeServer) -> None:
    text = carferry.plan("./model", "oci:out:1", base="scratch")
    assert carferry.plan(Path("model"), "oci:out:1", base="scratch") == text


def test_a_lone_text_is_one_pattern(beside_a_model: KubeServer) -> None:
    """Python would take a text apart into its letters."""
    planned = carferry.plan(
        "./model", "oci:out:1", base="scratch", include="*.safetensors", allow_no_weights=True
    )
    assert [layer.name for layer in planned.layers] == ["model.safetensors"]


def test_type_checkers_see_the_signatures(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    lines = [f"reveal_type(carferry.{name})" for name in carferry.__all__]
    lines += ['carferry.build("./m", "oci:o:1", bace="embedded")']
    program.write_text("\n".join(["import carferry", *lines, ""]))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-incremental", str(program)],
        cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.count("Revealed type is") == len(carferry.__all__)
    assert '"Any"' not in done.stdout
    assert '"object"' not in done.stdout
    assert 'Unexpected keyword argument "bace"' in done.stdout
    assert "Found 1 error" in done.stdout


def test_the_readme_runs(
    beside_a_model: KubeServer,
    hub: Hub,
    registry_tls: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Word for word, but for the registry and the project; against a hub, TLS and a cluster."""
    files = {"config.json": json.dumps(LLAMA).encode(), "model.safetensors": llama_file(LLAMA)}
    hub.add("ibm-granite/granite-3.1-2b-instruct", files)
    point_to(hub, monkeypatch)
    assert registry_tls.certificates is not None
    monkeypatch.setenv("SSL_CERT_FILE", str(registry_tls.certificates.ca))
    readme = (ROOT / "README.md").read_text()
    program = readme.partition("```python\n")[2].partition("```")[0]
    here = program.replace("quay.io", registry_tls.host).replace('"models"', '"demo"')
    before, deploy, after = here.partition("live =")
    names: dict[str, Any] = {}
    exec(before, names)
    beside_a_model.store.script_once_applied(
        [service("True", url=URL), rollout(1), up(names["built"])]
    )
    exec(deploy + after, names)
    assert (names["live"].ready, names["live"].url) == (True, URL)


def up(image: carferry.Built) -> dict[str, Any]:
    """Return a pod that has come up with an image."""
    made = ready_pod()
    made["spec"]["containers"][0]["image"] = image.reference
    return made
