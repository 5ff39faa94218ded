"""The generated reference: complete, current, and said so when it is not."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

import carferry
from carferry.cli import build_parser
from carferry.cli.variables import long_name, names_of
from carferry.gpu.vllm.releases import PLATFORMS
from carferry.gpu.vllm.version import find_version
from carferry.pipelines import command
from carferry.pipelines.arguments.form import fields
from carferry.pipelines.pods import HERE, Site
from carferry.pipelines.reference import versions
from carferry.pipelines.reference.__main__ import main
from carferry.pipelines.reference.interface import commands, components, parameters, python

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))


def test_the_committed_reference_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], root=ROOT) == 0, capsys.readouterr().err


def test_every_component_has_a_section() -> None:
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


def test_every_option_of_the_pipelines_command_stands_there_with_its_own_variable() -> None:
    section = commands.page().partition("## `python pipelines/modelcar.py`")[2]
    for action in command._parser()._actions:
        if action.option_strings and action.dest != "help":
            assert f"`{long_name(action)}`" in section
            assert f"`{names_of(action, 'pipeline')[0]}`" in section


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


def test_every_name_of_a_platform_is_one_that_a_plan_takes() -> None:
    named = re.findall(r"^\| [^|]+ \| `(rhoai-\S+)` \| (\S+) \|$", versions.block(), re.MULTILINE)
    assert len(named) == len(PLATFORMS)
    for name, release in named:
        assert (find_version(name).dated, find_version(name).is_guessed) == (release, False)


def test_what_stands_around_the_tables_of_versions_stays() -> None:
    written = versions.page("# V\n<!-- versions -->\nold\n<!-- /versions -->\nevidence\n")
    assert written.startswith("# V\n<!-- versions -->\n## ")
    assert written.endswith("<!-- /versions -->\nevidence\n")


def test_every_pipeline_has_a_table_of_its_parameters() -> None:
    page, here = parameters.page(), Site(HERE, folder=".")
    for build in command.ENGINES.values():
        pipeline = build(here)
        section = page.partition(f"## `{pipeline.name}`")[2].partition("\n## ")[0]
        for name in fields(pipeline):
            assert section.count(f"| `{name}` |") == 1
        assert (ROOT / "compiled" / f"{pipeline.name}.yaml").is_file()


def test_the_pages_link_to_headings_that_are_there() -> None:
    for page in PAGES:
        for file, anchor in re.findall(r"\]\(([\w.-]+\.md)?#([\w.-]+)\)", page.read_text()):
            heads = (page.parent / (file or page.name)).read_text()
            known = [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-")
                     for h in re.findall(r"^#+ (.*)$", heads, re.MULTILINE)]  # fmt: skip
            assert anchor in known, (page.name, file, anchor)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_begins_with_its_title_and_says_what_it_answers(page: Path) -> None:
    title, empty, about, *_ = page.read_text(encoding="ascii").split("\n")
    assert (title[:2], empty) == ("# ", "")
    assert about
    assert about[0] not in "#|<-"
