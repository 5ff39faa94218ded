"""The library as a ConfigMap: whole, the same bytes everywhere, and checked before it is used."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from carferry.bundle import closure, component, functions, library, shrinking
from carferry.bundle import start as start_script
from carferry.bundle.functions import carried, ours
from carferry.components import on
from carferry.errors import InputError

ROOT = Path(__file__).parent.parent
LIMIT_OF_A_CONFIGMAP = 1024 * 1024
"""Kubernetes, core validation (MaxSecretSize): the values of data and binaryData together."""

# Imports every module of the archive and prints its file.
IMPORT_ALL = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
for name in json.loads(sys.argv[2]):
    importlib.import_module(name)
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "carferry"]))
"""


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """The ConfigMap as the kubelet lays it out: files are links through a hidden folder."""
    folder = tmp_path / "mounted"
    return mount(yaml.safe_load(carried().manifest), folder)


def mount(config_map: dict, folder: Path) -> Path:
    inside = folder / "..2026_01_01"
    inside.mkdir(parents=True)
    for name, text in config_map["data"].items():
        (inside / name).write_text(text)
    for name, data in config_map["binaryData"].items():
        (inside / name).write_bytes(base64.b64decode(data))
    (folder / "..data").symlink_to(inside.name)
    for name in (*config_map["data"], *config_map["binaryData"]):
        (folder / name).symlink_to(Path("..data") / name)
    return folder


def start(
    folder: Path, *arguments: str, home: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a component's command as a pod would; pip must find everything here already."""
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(home), "HOME": str(home)}
    environment |= {"CARFERRY_LIBRARY": str(folder), "PIP_NO_INDEX": "1", **variables}
    command = [sys.executable, *carried().command[1:], *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_manifest_holds_what_the_components_check(mounted: Path) -> None:
    made = yaml.safe_load(carried().manifest)
    assert (made["kind"], made["immutable"]) == ("ConfigMap", True)
    assert made["metadata"]["name"] == carried().name
    assert (mounted / "start.py").read_text() == carried().start
    assert (mounted / library.ARCHIVE).read_bytes() == carried().archive
    assert carried().digest[:12] in made["metadata"]["name"]


def test_the_name_can_be_a_volumes_name() -> None:
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", carried().name)


def test_the_object_is_one_that_an_api_server_keeps() -> None:
    assert library.MAX_BYTES + len(carried().start) < LIMIT_OF_A_CONFIGMAP * 0.97


def test_a_components_command_is_under_700_bytes() -> None:
    (text,) = carried().command[2:]
    assert len(text) < 700
    assert text.isascii()
    assert '"' not in text  # each would be escaped twice in the Workflow


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda folder: shutil.rmtree(folder), "not in this project"),
        (lambda folder: (folder / "start.py").unlink(), "not in this project"),
        (lambda folder: (folder / library.ARCHIVE).unlink(), "not in this project"),
        (lambda folder: (folder / "start.py").write_text("print(1)"), "wrong bytes"),
        (lambda folder: (folder / library.ARCHIVE).write_bytes(b"x"), "wrong bytes"),
    ],
    ids=["no volume", "no start", "no archive", "another start", "another archive"],
)
def test_without_the_library_one_line_says_what_to_apply(
    mounted: Path, tmp_path: Path, change: object, reason: str
) -> None:
    change(mounted)  # type: ignore[operator]
    done = start(mounted, "--function_to_execute", "plan_model", home=tmp_path)
    said = f"carferry: error: mount ConfigMap {carried().name}: {reason}; "
    assert done.stderr == f"{said}oc apply --server-side -f carferry-library.yaml\n"
    assert (done.returncode, done.stdout) == (1, "")


def test_every_module_imports_from_the_archive_alone(tmp_path: Path) -> None:
    """Though carferry is installed too, each comes from the zip, which therefore is whole."""
    import bz2

    (tmp_path / "carferry.zip").write_bytes(bz2.decompress(carried().archive))
    names = json.dumps([*closure.everything()])
    command = [sys.executable, "-W", "error", "-c", IMPORT_ALL, str(tmp_path / "carferry.zip")]
    done = subprocess.run([*command, names], capture_output=True, text=True, check=True)
    files = json.loads(done.stdout)
    assert len(files) == len(closure.everything())
    assert [file for file in files if not file.startswith(str(tmp_path))] == []


def test_rooms_that_no_pod_needs_stay_here() -> None:
    rooms = {name.split(".")[1] for name in closure.everything() if "." in name}
    assert (
        rooms & {"bundle", "cli", "components", "lint", "pipelines", "runtime", "__main__"} == set()
    )
    assert {"steps", "assembly", "serve", "cluster"} <= rooms


@pytest.mark.parametrize("name", sorted(ours()))
def test_a_component_runs_from_the_mounted_library(
    mounted: Path, tmp_path: Path, name: str
) -> None:
    """It gets as far as asking for its first argument, through packages, sources and executor."""
    given = json.dumps({"inputs": {}, "outputs": {"outputFile": str(tmp_path / "out.json")}})
    arguments = ("--executor_input", given, "--function_to_execute", name)
    done = start(mounted, *arguments, home=tmp_path)
    last = done.stderr.strip().splitlines()[-1]
    assert re.search(rf"{name}\(\) missing \d+ required positional argument", last), done.stderr
    assert not [*tmp_path.glob("carferry-*")]  # removed when the step ended


def test_a_component_of_your_own_brings_its_source_along(mounted: Path, tmp_path: Path) -> None:
    container = on(component.CARRIED, greet).component_spec.implementation.container
    assert container.command == carried().command
    out = {"outputFile": str(tmp_path / "out.json")}
    out["parameters"] = {"Output": {"outputFile": str(tmp_path / "Output")}}
    given = {"inputs": {"parameterValues": {"model": "org/name@main"}}, "outputs": out}
    filled = {"{{$}}": json.dumps(given)}
    done = start(mounted, *(filled.get(text, text) for text in container.args), home=tmp_path)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["parameterValues"]["Output"] == "org/name at main"


def test_a_package_that_cannot_be_had_ends_the_step_with_one_line(
    mounted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = library.StepSource("", ("carferry-does-not-exist==1.0",))
    arguments = ("--step", json.dumps(step.json), "--function_to_execute", "x")
    done = start(mounted, *arguments, home=tmp_path, KFP_POD_NAME="a-pod")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = "pip install carferry-does-not-exist==1.0: failed; see above; or compile with --image"
    assert done.stderr.splitlines()[-1] == f"carferry: error: {last}"


def greet(model: str) -> str:
    """Say what the library makes of a reference."""
    from carferry.refs import ModelRef

    parsed = ModelRef.parse(model)
    return f"{parsed.repo} at {parsed.revision}"


def test_a_package_without_a_pin_fails_the_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "PACKAGES", {})
    with pytest.raises(InputError, match=r"greet_the_hub: no version known for \["):
        functions.step_of(greet_the_hub)


def greet_the_hub(model: str) -> None:
    """Need a package."""
    from carferry.source.hub.source import HubSource

    print(HubSource, model)


def stay_at_home() -> None:
    """Need a module that does not travel."""
    from carferry.cli import main

    main([])


def test_a_module_that_stays_here_fails_the_compilation() -> None:
    with pytest.raises(InputError, match=r"stay_at_home: these stay here: \['carferry.cli"):
        functions.step_of(stay_at_home)


def test_a_library_too_large_for_a_config_map_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="at most 1000; compile with --image"):
        library.pack(closure.everything(), ours())


def test_every_package_is_pinned_to_what_the_tests_run_with() -> None:
    locked = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").split("\n")
    pins = [pin.lower().replace("_", "-") for pin in functions.PACKAGES.values()]
    assert [pin for pin in (*pins, "kfp==2.17.0") if pin not in locked] == []


# Packs without kfp, which another Python at hand need not have.
PACK = """
import sys
sys.path.insert(0, "src")
from carferry.bundle.functions import carried
print(carried().digest, end="")
"""


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_every_python_packs_the_library_into_the_same_bytes(version: str) -> None:
    command = [interpreter(version), "-S", "-c", PACK]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == carried().digest


def interpreter(version: str) -> str:
    """Return a Python of that version, from PATH or pyenv, or skip."""
    installed = (Path.home() / ".pyenv" / "versions").glob(f"{version}*/bin/python{version}")
    for found in filter(None, [*map(str, installed), shutil.which(f"python{version}")]):
        if not subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
            return found
    pytest.skip(f"no python{version} at hand")


def test_compacting_keeps_what_is_inside_texts() -> None:
    source = 'def f():\n    """Doc."""\n\n    # why\n    return """a\n\n# b\n"""\n'
    scope: dict[str, object] = {}
    exec(shrinking.compact(source), scope)
    assert scope["f"]() == "a\n\n# b\n"  # type: ignore[operator]
    assert "\n\n    return" not in shrinking.compact(source)


@pytest.mark.parametrize(
    ("inputs", "wanted"),
    [
        ({"model": "s3://bucket/m"}, True),
        ({"build": {"model": "s3://bucket/m", "settings": {}}}, True),
        ({"model": "org/name", "image": "docker://s3.example/m:1"}, False),
        ({}, False),
    ],
)
def test_the_client_of_s3_is_installed_only_for_a_model_in_a_bucket(
    inputs: dict, wanted: bool
) -> None:
    """The outputs of a step are often in a bucket; its model seldom is."""
    outputs = {"artifacts": {"report": {"artifacts": [{"uri": "s3://mlpipeline/report"}]}}}
    given = json.dumps({"inputs": {"parameterValues": inputs}, "outputs": outputs})
    for name in ("fit_model", "plan_model", "stream_layers", "seal_image", "download_model"):
        step = ours()[name].json
        assert not any("botocore" in each for each in step["requirements"])
        found = start_script.optional(step, ["--executor_input", given])
        assert found == ([functions.PACKAGES["botocore"]] if wanted else [])
    assert "optional" not in ours()["push_image"].json
