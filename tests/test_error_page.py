"""The page of errors: every class is on it, and each example line is what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from error_scenes import SCENES, World
from ferrying import carferry
from servers.sockets import free_port
from test_errors import EVERY

from carferry.pipelines.reference.failures.errors import PAGE
from carferry.pipelines.reference.failures.lines import KINDS

ROOT = Path(__file__).parents[1]


def test_every_class_is_on_the_page_with_its_exit_code_and_its_line() -> None:
    page = (ROOT / PAGE).read_text(encoding="ascii")
    assert {kind.__name__ for kind in EVERY} == set(KINDS) == set(SCENES)
    for kind in EVERY:
        section = page.partition(f"\n## {kind.__name__}\n")[2].partition("\n## ")[0]
        assert f"Exit code {kind.exit_code}." in section
        assert f"carferry: {KINDS[kind.__name__].line}\n" in section


@pytest.mark.parametrize("name", SCENES)
def test_the_line_on_the_page_is_what_is_said(
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    line = SCENES[name](World(tmp_path, capsys, request))
    pattern = ".*".join(re.escape(part) for part in KINDS[name].line.split("..."))
    assert re.fullmatch(pattern, line), line


def test_the_kind_in_a_document_is_one_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """It was ``NoWay``, a class within the library that no page and no caller knows."""
    done = carferry(capsys, "test", f"http://127.0.0.1:{free_port()}", "--json")
    assert json.loads(done.out)["error"]["kind"] == "Unreachable"
