"""The page on own pipelines: its code runs, and what it makes has what a pod needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from carferry.bundle.functions import carried

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "compose-your-own.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def run(text: str, folder: Path) -> dict[str, Any]:
    """Run a block from a file: kfp reads the source of what it compiles."""
    path = folder / "example.py"
    path.write_text(text)
    scope: dict[str, Any] = {"__name__": "example", "__file__": str(path)}
    exec(compile(text, str(path), "exec", dont_inherit=True), scope)
    return scope


def test_the_pipeline_compiles_and_mounts_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(blocks()[0], tmp_path)
    spec, platform = yaml.safe_load_all((tmp_path / "package-only.yaml").read_text())
    config = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-build-image"]
    assert config["configMapAsVolume"][0]["configMapName"] == carried().name
    assert spec["root"]["dag"]["tasks"]["build-image"]["cachingOptions"] == {}


def test_a_component_brings_its_source_and_pins(tmp_path: Path) -> None:
    made = run(blocks()[1], tmp_path)["commit_of"]
    container = made.component_spec.implementation.container
    assert container.args[0] == "--step"
    assert "open_source" in container.args[1]
    assert "huggingface_hub==" in container.args[1]


def test_on_an_image_nothing_is_mounted(tmp_path: Path) -> None:
    made = run(blocks()[2], tmp_path)["build"]
    assert made.component_spec.implementation.container.image.startswith("registry.example.com/")
