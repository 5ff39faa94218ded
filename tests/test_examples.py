"""What lies under examples/ runs: the catalog, and the recipe of a workbench image."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pip
import pytest
import yaml
from servers import models
from servers.hub import Hub
from servers.python_base import python_base
from servers.registry import Registry
from servers.tools import lacking

import carferry
from carferry.gpu.inventory.wanted import parse_gpus
from carferry.refs import ImageRef, ModelRef

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CATALOG = EXAMPLES / "catalog.yaml"


def package(catalog: Path, hub: Hub, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / "catalog.py"), str(catalog), "--base", "embedded", *flags],
        env={**os.environ, "HF_ENDPOINT": hub.endpoint},
        capture_output=True,
        text=True,
        check=False,
    )


def served() -> dict[str, bytes]:
    """Return a tiny model that a plan takes for one that vLLM serves."""
    return models.tiny() | {
        "config.json": json.dumps(models.CONFIG | {"vocab_size": 32000}).encode()
    }


def written(folder: Path, *entries: dict[str, object]) -> Path:
    path = folder / "catalog.yaml"
    path.write_text(yaml.safe_dump({"models": entries}))
    return path


def test_every_entry_of_the_example_can_be_read() -> None:
    for entry in yaml.safe_load(CATALOG.read_text(encoding="ascii"))["models"]:
        assert entry.keys() <= {"model", "image", "gpus", "max_model_len"}
        ModelRef.parse(entry["model"])
        ImageRef.parse(entry["image"].removeprefix("docker://"))
        parse_gpus(entry["gpus"])


def test_a_catalog_is_packaged_and_once_more_costs_nothing(
    hub: Hub, registry: Registry, tmp_path: Path
) -> None:
    hub.add("team/one", served())
    hub.add("team/two", served() | {"README.md": b"two"})
    entries = [
        {"model": f"team/{name}", "image": f"docker://{registry.host}/{name}:1", "gpus": "L4"}
        for name in ("one", "two")
    ]
    catalog = written(tmp_path, *entries)
    first = package(catalog, hub)
    assert first.returncode == 0, first.stderr
    for name, line in zip(("one", "two"), first.stdout.splitlines(), strict=True):
        place = f"{registry.host}/{name}@{registry.tags(name)['1']}"
        assert line == f"team/{name}: {place}; team/{name} fits on 1 x L4"
    again = package(catalog, hub)
    assert again.stdout == first.stdout


def test_a_model_that_fails_keeps_no_other_back(
    hub: Hub, registry: Registry, tmp_path: Path
) -> None:
    hub.add("team/one", served())
    image = f"docker://{registry.host}/one:1"
    catalog = written(
        tmp_path,
        {"model": "team/absent", "image": f"docker://{registry.host}/absent:1", "gpus": "L4"},
        {"model": "team/one", "image": image, "gpus": "L4"},
    )
    done = package(catalog, hub)
    assert done.returncode == 1
    assert done.stdout.startswith("team/one: ")
    (line,) = done.stderr.splitlines()
    assert line.startswith("team/absent: ")


ENTRY = {"model": "team/one", "image": "docker://registry.example.com/one:1", "gpus": "L4"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it has no list of models"),
        ("models: team/one", "it has no list of models"),
        ("- models", "it has no list of models"),
        ("models: [", "while parsing"),
        ("models: [team/one]", "entry 1 lacks gpus, image, model"),
        (json.dumps({"models": [ENTRY, ENTRY | {"gpus": ""}]}), "entry 2 lacks gpus"),
        (json.dumps({"models": [ENTRY | {"gpu": "L4"}]}), "entry 1 has an unknown gpu"),
    ],
)
def test_a_catalog_that_cannot_be_read_is_refused_in_one_line(
    text: str, said: str, hub: Hub, tmp_path: Path
) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(text)
    done = package(path, hub)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line and str(path) in line


def test_a_catalog_that_is_not_there_is_refused_in_one_line(hub: Hub, tmp_path: Path) -> None:
    done = package(tmp_path / "none.yaml", hub)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.fixture
def base_with_pip(tools: Callable[..., str], tmp_path: Path) -> str:
    """A workbench's image as far as the recipe is concerned: Python with a pip."""
    name = "localhost/carferry-test-workbench:base"
    shutil.copytree(Path(pip.__file__).parent, tmp_path / "context" / "pip")
    recipe = f"""
FROM {python_base(tmp_path / "python")}
USER 0
COPY pip /opt/pip/pip
ENV PYTHONPATH=/opt/pip:/opt/packages PIP_TARGET=/opt/packages
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
RUN mkdir -p /tmp && chmod 1777 /tmp
"""
    (tmp_path / "base.txt").write_text(recipe)
    # The Python layout has no history, and Buildah counts layers by it: one layer, one entry.
    build(tools("buildah"), tmp_path / "base.txt", tmp_path / "context", name, "--squash")
    return name


def build(buildah: str, recipe: Path, context: Path, name: str, *flags: str) -> str:
    command = [buildah, "build", "--isolation", "chroot", *flags]
    command += ["--file", str(recipe), "--tag", name, str(context)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_workbench_recipe_builds_an_image_with_carferry(
    tools: Callable[..., str], base_with_pip: str, own_wheel: Path, tmp_path: Path
) -> None:
    clone, wheels = tmp_path / "clone", tmp_path / "wheels"
    (clone / "dist").mkdir(parents=True)
    shutil.copy(own_wheel, clone / "dist")
    shutil.copy(EXAMPLES.parent / "constraints.txt", clone)
    for name in ("docs", "notebooks"):
        shutil.copytree(EXAMPLES.parent / name, clone / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(wheels)]
    constraints = ["--constraint", str(clone / "constraints.txt"), "modelcar-base-image==0.1.0"]
    if subprocess.run([*command, *constraints, str(own_wheel)], check=False).returncode:
        lacking("no package index is reached")
    flags = ["--build-arg", f"BASE={base_with_pip}", "--volume", f"{wheels}:/wheels:ro"]
    name = "localhost/carferry-test-workbench:made"
    recipe = EXAMPLES / "workbench" / "Containerfile"
    try:
        said = build(tools("buildah"), recipe, clone, name, *flags)
    finally:
        subprocess.run(["buildah", "rmi", "--force", name, base_with_pip], capture_output=True)
    assert f"carferry {carferry.__version__}" in said


def test_what_the_recipe_says_to_copy_is_where_it_put_it() -> None:
    recipe = (EXAMPLES / "workbench" / "Containerfile").read_text(encoding="ascii")
    (said,) = re.findall(r"^#   cp -r (.+) ~$", recipe, re.M)
    copied = dict(re.findall(r"^COPY (\w+) (\S+)$", recipe, re.M))
    assert copied == {"notebooks": "/opt/carferry/notebooks", "docs": "/opt/carferry/docs"}
    assert said.split() == [*copied.values()]
