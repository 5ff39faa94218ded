"""The library and the command line in an environment that kfp is not installed in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from servers.models import tiny, write
from servers.runtimes import from_folder

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "how-to" / "without-kfp.md").read_text(encoding="ascii")


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return "".join(blocks).splitlines()


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def inside(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in the environment that the page makes, activated as it says."""
    activate = commands()[1]
    assert activate == ". env/bin/activate"
    return run(f"{activate} && {command}", folder)


@pytest.fixture(scope="module")
def folder(wheels: Path, own_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone's folder as far as the page needs it, with the environment the page makes."""
    folder = tmp_path_factory.mktemp("core")
    shutil.copy(ROOT / "constraints-core.txt", folder)
    write(tiny(), folder / "model")
    python, _, packages, this = commands()[:4]
    with pytest.MonkeyPatch.context() as patch:
        from_folder(wheels, patch)
        # A clone is built with setuptools from the index; here its wheel is there already.
        from_wheel = this.removesuffix(" .") + f" {own_wheel}"
        for command in (python.replace("python3", sys.executable), packages, from_wheel):
            done = inside(command, folder) if command.startswith("pip") else run(command, folder)
            assert done.returncode == 0, done.stderr
    return folder


def test_kfp_is_not_installed(folder: Path) -> None:
    for package in ("kfp", "kfp_server_api", "google.cloud.storage", "grpc"):
        done = run(f"env/bin/python -c 'import {package}'", folder)
        assert "ModuleNotFoundError" in done.stderr


def test_the_page_says_how_many_packages_there_are() -> None:
    pinned = re.findall(r"^[\w.-]+==", (ROOT / "constraints-core.txt").read_text(), re.MULTILINE)
    assert f"with {len(pinned)} packages" in PAGE


def test_only_the_kfp_packages_are_missing(folder: Path) -> None:
    lines = run("env/bin/pip check", folder).stdout.splitlines()
    missing = {line.split(" requires ")[1].partition(",")[0] for line in lines}
    assert missing == {"kfp", "kfp-kubernetes", "kfp-server-api"}


@pytest.mark.parametrize("command", commands()[4:])
def test_what_the_page_shows_works(command: str, folder: Path) -> None:
    done = inside(command, folder)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_the_image_is_the_same_as_beside_kfp(folder: Path) -> None:
    with_kfp = f"{sys.executable} -m carferry"
    built = [
        run(f"{program} build ./model oci:{name}:1 --base embedded --json", folder)
        for name, program in (("a", "env/bin/carferry"), ("b", with_kfp))
    ]
    digests = [re.findall(r'"digest": "(sha256:[0-9a-f]+)"', done.stdout) for done in built]
    assert digests[0] == digests[1] != [], built[0].stderr + built[1].stderr


@pytest.mark.parametrize("module", ["components", "pipelines.command", "bundle.component"])
def test_what_needs_kfp_says_so(module: str, folder: Path) -> None:
    done = run(f"env/bin/python -c 'import carferry.{module}'", folder)
    assert re.search(r"No module named '(kfp|docstring_parser)", done.stderr)
    assert module.split(".")[0] in PAGE


def test_every_module_but_those_can_be_imported(folder: Path) -> None:
    code = (
        "import carferry, pkgutil, importlib;"
        "names = [m.name for m in pkgutil.walk_packages(carferry.__path__, 'carferry.',"
        " onerror=lambda name: None)];"
        "kept = ('carferry.components', 'carferry.pipelines', 'carferry.bundle.component');"
        "plain = [n for n in names if not n.startswith(kept) and not n.endswith('__main__')];"
        "[importlib.import_module(name) for name in plain]; print(len(plain))"
    )
    done = run(f'env/bin/python -c "{code}"', folder)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
