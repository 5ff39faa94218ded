"""The runtime image: made with real wheels, pushed to a real registry, run as a pod would run it.

The base is the Python of these tests; the wheels come from the package index once and from a
folder after that, by pip's own configuration.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ferrying import access, carferry, to_layout
from servers.denying import denying
from servers.images import tar_of, write_layout
from servers.pods import confined, podman
from servers.python_base import VERSION
from servers.registry import Registry
from servers.runtimes import from_folder, needing_an_index
from servers.wheelhouse import wheelhouse

from carferry.bundle.component import Runtime, on
from carferry.components import push_image
from carferry.errors import PushDenied
from carferry.io.net.retry import Retry
from carferry.io.show.progress import Silent
from carferry.oci.documents import INDEX, Document, Platform, canonical
from carferry.refs import ImageRef, LayoutRef, parse_image
from carferry.registry.copy import copy_image
from carferry.registry.read import read_config, read_image, read_manifests
from carferry.runtime.pins import pins
from carferry.steps.runtime import RuntimeImage, RuntimeSettings, runtime

SITES = sysconfig.get_paths()["purelib"]
ROOT = Path(__file__).parent.parent
OTHER_PYTHONS = [name for name in ("3.11", "3.12", "3.13") if name != VERSION]


@pytest.fixture(scope="module")
def dock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry; every test uses a repository of its own."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def base(python_layout: str) -> str:
    """A base with Python, in a layout."""
    return python_layout


@pytest.fixture(autouse=True)
def offline(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point pip at the folder, the way a private index is named: by its environment."""
    from_folder(wheels, monkeypatch)


@pytest.fixture(scope="module")
def made(dock: Registry, base: str, wheels: Path) -> RuntimeImage:
    """The image, made by the first run for it."""
    with pytest.MonkeyPatch.context() as patch:
        from_folder(wheels, patch)
        return make(dock.host, "made", base)


def make(host: str, repository: str, base: str, **changes: Any) -> RuntimeImage:
    settings = RuntimeSettings(base=base, plain_http=host, **changes)
    return runtime(f"docker://{host}/{repository}:1", settings, progress=Silent())


def test_the_image_is_tagged_and_the_next_command_is_shown(
    dock: Registry, base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--base", base, "--plain-http", dock.host, "--progress", "lines")
    done = carferry(capsys, "runtime", f"docker://{dock.host}/first:1", *arguments)
    assert done.code == 0, done.err
    digest = dock.tags("first")["1"]
    reference, *_, following = done.out.splitlines()
    assert reference == f"{dock.host}/first@{digest}"
    assert following.split(maxsplit=1)[1] == (
        f"python pipelines/modelcar.py --compile --image {dock.host}/first@{digest}"
    )
    assert f"runs    Python {VERSION} on linux/amd64" in done.out
    assert f"taking {len(pins())} wheels for Python {VERSION} on linux/amd64" in done.err


def test_a_second_run_moves_nothing(dock: Registry, base: str, made: RuntimeImage) -> None:
    before = len(dock.log)
    second = make(dock.host, "made", base)
    written = [e for e in dock.log[before:] if e.method in {"PATCH", "PUT"} and "/blobs/" in e.path]
    assert (second.digest, second.moved_bytes, written) == (made.digest, 0, [])
    assert made.moved_bytes == made.size_bytes == second.reused_bytes


def test_a_base_in_the_same_registry_is_mounted(dock: Registry, base: str) -> None:
    origin = access().open(parse_image(base))
    near = access(dock.host).open(ImageRef(dock.host, "bases/python", "1"), write=True)
    copy_image(origin, near, parallel=2, retry=Retry(), progress=Silent())
    made = make(dock.host, "beside", f"{dock.host}/bases/python:1")
    manifest = read_image(access(dock.host).open(ImageRef.parse(made.reference)))
    own = manifest.layers[-1].size_bytes + manifest.config.size_bytes
    assert (made.moved_bytes, made.reused_bytes) == (own, manifest.layers[0].size_bytes)
    assert {e.status for e in dock.log if e.method == "POST" and "mount=" in e.path} == {201}


def test_nothing_is_tagged_if_a_wheel_is_missing(
    dock: Registry,
    base: str,
    wheels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(wheels, tmp_path / "some")
    next((tmp_path / "some").glob("kubernetes-*.whl")).unlink()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "some"))
    arguments = ("--base", base, "--plain-http", dock.host, "--progress", "none")
    done = carferry(capsys, "runtime", f"docker://{dock.host}/half:1", *arguments)
    (line,) = done.err.splitlines()
    assert (done.code, dock.tags("half")) == (1, {})
    assert line.startswith("carferry: download wheels kubernetes==")


def test_the_right_to_push_is_proved_before_a_wheel_is_asked_for(
    dock: Registry, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    with denying(dock.url) as front, pytest.raises(PushDenied):
        make(front.host, "denied", base)


@pytest.mark.parametrize("python", [sys.executable, *OTHER_PYTHONS])
def test_the_same_base_gives_the_same_digest_on_every_machine(
    base: str, made: RuntimeImage, python: str, tmp_path: Path
) -> None:
    """Another Python, umask, home, folder for temporary files, and place of the base."""
    command = [sys.executable] if python == sys.executable else other_python(python)
    shutil.copytree(LayoutRef.parse(base).path, tmp_path / "base")
    env = os.environ | {"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "TZ": "Asia/Tokyo"}
    env |= {"PYTHONPATH": f"{ROOT / 'src'}:{SITES}", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    arguments = [
        "runtime",
        f"oci:{tmp_path / 'out'}:x",
        "--base",
        f"oci:{tmp_path / 'base'}:latest",
    ]
    done = subprocess.run(
        [*command, "-m", "carferry", *arguments, "--json"],
        env=env, umask=0o077, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["digest"], found["reference"]) == (made.digest, f"oci:{tmp_path / 'out'}:x")


def test_a_private_index_leaves_no_trace_in_the_image(
    base: str, made: RuntimeImage, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wheelhouse(wheels) as address:
        monkeypatch.setenv("PIP_FIND_LINKS", address)
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        dest = f"oci:{tmp_path / 'out'}:1"
        assert runtime(dest, RuntimeSettings(base=base), progress=Silent()).digest == made.digest


def test_a_first_image_in_a_layout_is_all_new_and_a_second_none_of_it(
    base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("runtime", f"oci:{tmp_path / 'out'}:1", "--base", base)
    first, again = (carferry(capsys, *arguments).out.splitlines() for _ in range(2))
    (size,) = (line.split(maxsplit=1)[1] for line in first if line.startswith("size"))
    whole = size.partition(" in ")[0]
    assert f"moved   {whole}, " in "\n".join(first)
    assert f"moved   nothing, {whole} reused, " in "\n".join(again)


def other_python(version: str) -> list[str]:
    """Find another interpreter; it borrows this environment's packages."""
    found = shutil.which(f"python{version}")
    works = found and subprocess.run([found, "-c", ""], capture_output=True, check=False)
    if not found or not works or works.returncode:
        pytest.skip(f"no python{version} on this machine")
    return [found]


def test_two_platforms_make_an_index_with_wheels_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platforms = Platform("amd64"), Platform("arm64")
    settings = RuntimeSettings(
        base=two_platforms(tmp_path), platforms=["linux/amd64", "linux/arm64"], python="3.12"
    )
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    with needing_an_index():
        made = runtime(f"oci:{tmp_path / 'both'}:v1", settings, progress=Silent())
    image = to_layout(tmp_path / "both")
    manifests = read_manifests(image, read_image(image))
    assert made.runs == ("Python 3.12 on linux/amd64", "Python 3.12 on linux/arm64")
    assert [d.platform for d in read_image(image).manifests] == list(platforms)
    assert [read_config(image, m)["architecture"] for m in manifests] == ["amd64", "arm64"]
    for manifest, machine in zip(manifests, ("x86_64", "aarch64"), strict=True):
        layer = b"".join(image.open_blob(manifest.layers[-1].digest))
        assert {m for m in (b"x86_64", b"aarch64") if b"_yaml.cpython-312-" + m in layer} == {
            machine.encode()
        }


def two_platforms(folder: Path) -> str:
    """Write an index of two bases of no more than a C library's banner and a Python's name."""
    banner = b"GNU C Library (GNU libc) stable release version 2.34.\n"
    home = to_layout(folder / "base", "latest")
    entries = []
    for name in ("amd64", "arm64"):
        files = {"lib64/libc.so.6": banner, "bin/python3.12": b"", "etc/arch": name.encode()}
        layer = tar_of(files)
        write_layout(folder / name, [layer], architecture=name)
        origin = access().open(LayoutRef(folder / name))
        copied = copy_image(origin, home, parallel=1, retry=Retry(), progress=Silent())
        entries.append(copied.document.descriptor(Platform(name)).to_json())
    index = Document(INDEX, canonical({"schemaVersion": 2, "manifests": entries}))
    home.put_manifest(index, "latest")
    return f"oci:{folder / 'base'}:latest"


# In a pod


@pytest.fixture(scope="module")
def image(made: RuntimeImage) -> Iterator[str]:
    """The image, pulled by podman."""
    pulled = podman("pull", "--quiet", "--tls-verify=false", made.reference)
    assert pulled.returncode == 0, pulled.stderr
    yield made.reference
    podman("rmi", "--force", made.reference)


def in_a_pod(image: str, *command: str, volume: Path | None = None) -> Any:
    """Run a command as OpenShift would, and with a read-only root and no network besides."""
    mounts = ["-v", f"{volume}:/out"] if volume else []
    return podman("run", "--rm", *confined(1_000_650_000), *mounts, image, *command)


STEP_IMPORTS = (
    "import carferry.steps.stream, kubernetes, huggingface_hub, kfp.dsl, httpx2, hf_xet;"
    "import cryptography.hazmat.bindings._rust, _cffi_backend, yaml._yaml, modelcar_base_image"
)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("python3", "-c", f"{STEP_IMPORTS}; print(carferry.__file__)"), "/opt/carferry/carferry/"),
        (("python3", "-m", "kfp.dsl.executor_main", "--help"), "--function_to_execute"),
        (("python3", "-m", "carferry", "--version"), "carferry 0."),
        (("python3", "-c", "import pathlib; print(pathlib.Path.home())"), "/tmp"),
        (
            ("python3", "-c", "import importlib.metadata as m; print(m.version('kfp'))"),
            "2.17.0",
        ),
        (("sh", "-c", "touch /opt/carferry/x || id -u"), "1000650000"),
    ],
)
def test_steps_find_what_they_need_as_any_user(
    image: str, command: tuple[str, ...], says: str
) -> None:
    done = in_a_pod(image, *command)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    assert "Warning" not in done.stderr


def test_a_component_runs_through_kfps_executor(image: str, tmp_path: Path) -> None:
    """The committed component, its command as compiled, on a volume instead of a registry."""
    made = on(Runtime(image, installed=True), push_image).component_spec
    write_layout(tmp_path / "in", [tar_of({"models/config.json": b"{}"})])
    tmp_path.chmod(0o777)
    asked = {"layout": "oci:/out/in:latest", "image": "oci:/out/copy:1"}
    given = {name: spec.default for name, spec in made.inputs.items() if spec.optional}
    container = made.implementation.container
    arguments = [
        executor_input(made, given | asked) if each == "{{$}}" else each for each in container.args
    ]
    done = in_a_pod(image, *container.command, *arguments, volume=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (entry,) = json.loads((tmp_path / "copy" / "index.json").read_text())["manifests"]
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["parameterValues"]["digest"] == entry["digest"]


def executor_input(spec: Any, values: dict[str, Any]) -> str:
    """Return what the launcher passes: values in, and where results go."""
    names = {name: out.type for name, out in spec.outputs.items()}
    artifacts = {
        name: {"artifacts": [{"name": name, "uri": f"/out/{name}", "metadata": {},
                              "type": {"schemaTitle": kind.partition("@")[0]}}]}
        for name, kind in names.items() if kind.startswith("system.")
    }  # fmt: skip
    parameters = {n: {"outputFile": f"/out/{n}"} for n in names if n not in artifacts}
    outputs = {"parameters": parameters, "artifacts": artifacts, "outputFile": "/out/result.json"}
    return json.dumps({"inputs": {"parameterValues": values}, "outputs": outputs})
