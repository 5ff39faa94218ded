"""What a runtime image holds: exact packages, and carferry as this installation has it."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import carferry
from carferry.errors import (
    InputError,
)
from carferry.runtime.library import library
from carferry.runtime.pins import pins

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.11", "3.12", "3.13")


def test_every_pin_is_the_committed_constraint() -> None:
    committed = (ROOT / "constraints.txt").read_text().split()
    assert [pin for pin in committed if pin in pins()] == list(pins())


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_pins_hold_all_that_carferry_needs_in_a_step_and_nothing_else(
    python: str, machine: str
) -> None:
    """Markers are evaluated for the image's Python, as pip would not: hence the complete list."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["embedded"], *extras["s3"]]
    names = {canonicalize_name(Requirement(each).name) for each in asked}
    wanted = needed(names - {"kfp", "kfp-kubernetes", "kfp-server-api"}, python, machine)
    assert versions(pins()).keys() == wanted | {"kfp"}


def test_constraints_core_is_the_list_less_kfp() -> None:
    """The list is complete and a subset of constraints.txt, so this one is; ``make compile``."""
    core = (ROOT / "constraints-core.txt").read_text().split()
    assert core == [pin for pin in pins() if not pin.startswith("kfp==")]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_core_needs_no_package_of_kfp(python: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {canonicalize_name(Requirement(each).name) for each in project["dependencies"]}
    core = versions((ROOT / "constraints-core.txt").read_text().split())
    kfp = {name for name in asked if name.startswith("kfp")}
    assert kfp == {"kfp", "kfp-kubernetes", "kfp-server-api"}
    assert asked - kfp <= core.keys()
    assert needed({*core}, python, "x86_64") == core.keys()


def versions(requirements: Iterable[str]) -> dict[str, str]:
    """Return each package's version by its one name."""
    parsed = map(Requirement, requirements)
    return {canonicalize_name(each.name): str(each.specifier) for each in parsed}


def needed(names: set[str], python: str, machine: str) -> set[str]:
    """Follow requirements as they are for another Python."""
    env = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    env |= {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine}
    found: set[str] = set()
    while waiting := names - found:
        found |= waiting
        requires = [r for name in waiting for r in importlib.metadata.requires(name) or ()]
        parsed = [r for r in map(Requirement, requires) if not r.marker or r.marker.evaluate(env)]
        names = names | {canonicalize_name(requirement.name) for requirement in parsed}
    return found


def test_all_that_the_library_imports_is_pinned() -> None:
    owners = importlib.metadata.packages_distributions()
    imported = {top for path in library_sources() for top in imports(path)}
    foreign = imported - {"carferry"} - sys.stdlib_module_names
    pinned = versions(pins()).keys()
    assert {top for top in foreign if not {*map(canonicalize_name, owners[top])} & pinned} == set()


def library_sources() -> list[Path]:
    """Return what a step may import: kfp's compiler and what asks for it stay out."""
    return [ROOT / "src" / path for path in library() if path.endswith(".py")]


def imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    plain |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in plain}


def test_kfps_executor_imports_nothing_besides_kfp() -> None:
    """The one package whose own requirements stay out."""
    code = "import sys, kfp.dsl.executor_main; print(*{m.partition('.')[0] for m in sys.modules})"
    env = os.environ | {"_KFP_RUNTIME": "true"}
    bare = subprocess.run(
        [sys.executable, "-c", code.replace(", kfp.dsl.executor_main", "")],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    added = {*done.stdout.split()} - {*bare.stdout.split()} - sys.stdlib_module_names
    assert added == {"kfp"}


def test_the_library_is_the_same_from_a_clone_and_from_an_installed_wheel(tmp_path: Path) -> None:
    """A wheel puts components and pipelines inside the package; a user leaves caches there."""
    installed = tmp_path / "carferry"
    shutil.copytree(ROOT / "src" / "carferry", installed)  # follows the links, as pip does
    (installed / "steps" / "__pycache__").mkdir(exist_ok=True)
    (installed / "steps" / "__pycache__" / "push.cpython-311.pyc").write_bytes(b"")
    assert library(installed) == library(ROOT / "src" / "carferry") == library()


def test_the_library_is_whole_and_importlib_finds_its_version(tmp_path: Path) -> None:
    for path, data in library().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    code = (
        "import carferry, importlib.metadata as m, carferry.cli, carferry.runtime.pins as p;"
        "print(carferry.__file__, m.version('carferry'), len(p.pins()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    file = tmp_path / "carferry" / "__init__.py"
    assert done.stdout.split() == [str(file), carferry.__version__, str(len(pins()))]


def test_a_library_that_is_not_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not installed as files"):
        library(tmp_path)
