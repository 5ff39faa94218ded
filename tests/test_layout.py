"""Names and what the wheel holds: traps that only show once a package is installed."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ADAPTERS = sorted([*(ROOT / "components").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")])
LIBRARY = sorted((ROOT / "src" / "carferry").rglob("*.py"))


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_adapter_is_named_like_something_importable(path: Path) -> None:
    """A script's folder leads sys.path: pipelines/json.py would hide json from all of Python."""
    taken = {*sys.stdlib_module_names, "carferry", "kfp", "kubernetes", "yaml"}
    if path.parent in script_folders():
        taken |= packages_distributions().keys()
    assert path.stem not in taken


def script_folders() -> set[Path]:
    return {path.parent for path in ADAPTERS if '__name__ == "__main__"' in path.read_text()}


def test_the_wheel_holds_every_module_and_nothing_else(own_wheel: Path) -> None:
    held = set(zipfile.ZipFile(own_wheel).namelist())
    modules = {f"carferry/{p.relative_to(ROOT / 'src' / 'carferry')}" for p in LIBRARY}
    modules |= {f"carferry/{p.relative_to(ROOT)}" for p in ADAPTERS}
    ours = {name for name in held if ".dist-info/" not in name}
    assert ours == modules | {"carferry/py.typed", "carferry/runtime/requirements.txt"}


def test_the_installed_wheel_works_outside_a_clone(own_wheel: Path, tmp_path: Path) -> None:
    """Only the dependencies of this environment are borrowed, not its carferry."""
    venv.create(tmp_path / "venv", symlinks=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    zipfile.ZipFile(own_wheel).extractall(site)
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed))
    code = (
        "import carferry.components as c, carferry.pipelines.command as p, json;"
        "print(json.dumps([c.__file__, c.build_image.name, sorted(p.ENGINES)]))"
    )
    python = str(tmp_path / "venv" / "bin" / "python")
    done = subprocess.run(
        [python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    file, name, engines = json.loads(done.stdout)
    assert Path(file).is_relative_to(site)
    assert (name, engines) == ("build-image", ["buildah", "pvc", "stream"])


@pytest.mark.parametrize("name", ["components", "pipelines"])
def test_the_library_links_to_the_packages_at_the_top(name: str) -> None:
    """Type checkers, editors and pip follow the link; a copy would be checked in its place."""
    link = ROOT / "src" / "carferry" / name
    assert link.is_symlink()
    assert link.resolve() == ROOT / name


def test_exports_are_what_they_say() -> None:
    package = importlib.import_module("carferry.components")
    assert [name for name in package.__all__ if not hasattr(package, name)] == []
    assert sorted(package.__all__) == package.__all__
