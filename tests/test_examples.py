"""What lies under examples/ runs: the catalog, and the recipe of a workbench image."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from servers import models
from servers.hub import Hub
from servers.python_base import python_base
from servers.registry import Registry

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
    import json

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
        digest = registry.tags(name)["1"]
        assert (
            line
            == f"team/{name}: oci://{registry.host}/{name}@{digest}; team/{name} fits on 1 x L4"
        )
    hub.clear_log()
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


@pytest.fixture
def base_with_pip(tools: Callable[..., str], tmp_path: Path) -> str:
    """A workbench's image as far as the recipe is concerned: Python with a pip."""
    name = "localhost/carferry-test-workbench:base"
    pip = Path(__import__("pip").__file__).parent
    shutil.copytree(pip, tmp_path / "context" / "pip")
    recipe = f"FROM {python_base(tmp_path / 'python')}\nUSER 0\n"
    recipe += "COPY pip /opt/pip/pip\nENV PYTHONPATH=/opt/pip:/opt/packages\nENV PIP_TARGET=/opt/packages\n"
    recipe += "RUN mkdir -p /tmp && chmod 1777 /tmp\n"
    (tmp_path / "base.txt").write_text(recipe)
    build(tools("buildah"), tmp_path / "base.txt", tmp_path / "context", name)
    return name


def build(buildah: str, recipe: Path, context: Path, name: str, *flags: str) -> str:
    done = subprocess.run(
        [buildah, "build", "--isolation", "chroot", *flags, "--file", str(recipe), "--tag", name, context],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_workbench_recipe_builds_an_image_with_carferry(
    tools: Callable[..., str], base_with_pip: str, own_wheel: Path, tmp_path: Path
) -> None:
    clone, wheels = tmp_path / "clone", tmp_path / "wheels"
    (clone / "dist").mkdir(parents=True)
    shutil.copy(own_wheel, clone / "dist")
    shutil.copy(EXAMPLES.parent / "constraints.txt", clone)
    shutil.copytree(EXAMPLES.parent / "notebooks", clone / "notebooks")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels)]
    constraints = ["--constraint", str(clone / "constraints.txt"), "modelcar-base-image==0.1.0"]
    subprocess.run([*command, *constraints, str(own_wheel)], check=True)
    flags = ["--build-arg", f"BASE={base_with_pip}", "--volume", f"{wheels}:/wheels:ro"]
    flags += ["--env", "PIP_NO_INDEX=1", "--env", "PIP_FIND_LINKS=/wheels"]
    name = "localhost/carferry-test-workbench:made"
    recipe = EXAMPLES / "workbench" / "Containerfile"
    try:
        said = build(tools("buildah"), recipe, clone, name, *flags)
    finally:
        subprocess.run(["buildah", "rmi", "--force", name, base_with_pip], capture_output=True)
    assert "carferry 0.1.0" in said
