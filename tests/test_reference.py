"""The generated reference: complete, current, and said so when it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

import carferry
from carferry.pipelines.reference import components, python
from carferry.pipelines.reference.__main__ import main

ROOT = Path(__file__).parent.parent


def test_the_committed_reference_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], root=ROOT) == 0, capsys.readouterr().err


def test_every_component_and_pipeline_has_a_section() -> None:
    titles = [line for line in components.page().splitlines() if line.startswith("## ")]
    assert titles == [
        "## `fit_model`",
        "## `plan_model`",
        "## `stream_layers`",
        "## `seal_image`",
        "## `deploy_model`",
        "## `download_model`",
        "## `build_image`",
        "## `push_image`",
        "## Pipeline `modelcar`",
        "## Pipeline `modelcar-buildah`",
    ]


def test_a_stale_page_fails_the_check_until_it_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"# x\n\n{components.BEGIN}\nold\n{components.END}\nrest\n")
    assert main(["--check"], root=tmp_path) == 1
    assert main([], root=tmp_path) == 0
    assert main(["--check"], root=tmp_path) == 0
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("# x\n\n")
    assert readme.endswith(f"{components.END}\nrest\n")
    assert "| `build_image` |" in readme


def test_every_public_name_stands_in_the_page_of_the_python_api() -> None:
    page = python.page()
    assert [
        name for name in carferry.__all__ if f"`{name}`" not in page.replace("carferry.", "")
    ] == []
    assert page.isascii()
