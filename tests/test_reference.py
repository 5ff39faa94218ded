"""The generated reference: complete, current, and said so when it is not."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

import carferry
from carferry.cli import build_parser
from carferry.cli.variables import long_name, names_of
from carferry.pipelines.reference import commands, components, python
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
        "## `test_endpoint`",
        "## `warm_nodes`",
        "## `download_model`",
        "## `build_image`",
        "## `push_image`",
        "## Pipeline `modelcar`",
        "## Pipeline `modelcar-buildah`",
    ]


def test_every_option_stands_in_the_page_of_the_command_line_with_its_variable() -> None:
    page = commands.page()
    (found,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name, parser in found.choices.items():
        section = page.partition(f"## `carferry {name}`")[2].partition("\n## ")[0]
        for action in parser._actions:
            if name != "help" and action.option_strings and action.dest != "help":
                assert f"`{long_name(action)}`" in section
                assert f"`{names_of(action, name)[1]}`" in section


def test_a_stale_page_fails_the_check_until_it_is_written_again(tmp_path: Path) -> None:
    page = tmp_path / components.PAGE
    assert main([], root=tmp_path) == 0
    page.write_text("old\n")
    assert main(["--check"], root=tmp_path) == 1
    assert page.read_text() == "old\n"
    assert main([], root=tmp_path) == 0
    assert main(["--check"], root=tmp_path) == 0
    assert "| `build_image` |" in page.read_text()


def test_every_public_name_stands_in_the_page_of_the_python_api() -> None:
    page = python.page()
    assert [
        name for name in carferry.__all__ if f"`{name}`" not in page.replace("carferry.", "")
    ] == []
    assert page.isascii()
