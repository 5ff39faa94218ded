"""The how-to on deploying says what the code does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from carferry.cli import build_parser
from carferry.cluster import pod
from carferry.cluster.rights import Need, Purpose, needed
from carferry.serve.form import PARAMETERS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "how-to"
PAGE = (DOCS / "deploy.md").read_text(encoding="ascii")


def test_the_table_of_settings_is_the_one_in_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(p.name, f"`{p.default}`" if p.default else "", p.help) for p in PARAMETERS]


def rows(purpose: str, needs: list[Need]) -> list[str]:
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for need in needs:
        group = need.permission.kind.group
        resource = need.permission.resource + (f".{group}" if group else "")
        place = "the project" if need.permission.namespace else "the cluster"
        key = (resource, place, need.without or "the run stops")
        verbs.setdefault(key, []).append(need.permission.verb)
    return [
        f"| {purpose} | `{resource}` | {', '.join(each)} | {place} | {without} |"
        for (resource, place, without), each in verbs.items()
    ]


def test_the_table_of_permissions_is_the_one_in_the_code() -> None:
    expected = [row for each in Purpose for row in rows(each.value, needed("p", each))]
    on_page = PAGE.partition("| Without them |\n|---|---|---|---|---|\n")[2].partition("\n\n")[0]
    assert on_page.splitlines() == expected


@pytest.mark.parametrize("folder", ["", "auth", "llm", "buildah", "warm", "delete"])
def test_the_page_on_a_project_names_commands_that_work_here(folder: str) -> None:
    page = (DOCS / "set-up-a-project.md").read_text(encoding="ascii")
    assert f"oc apply --server-side -k manifests/{folder} -n models" in page
    assert (ROOT / "manifests" / folder / "kustomization.yaml").is_file()


@pytest.mark.parametrize("key", [*pod.VARIABLES, *pod.AUTHORITIES])
def test_the_page_on_a_project_names_all_that_its_environment_may_hold(key: str) -> None:
    assert re.search(rf"\b{key}\b", (DOCS / "set-up-a-project.md").read_text(encoding="ascii"))


def test_what_the_pages_say_the_command_line_understands() -> None:
    page = (DOCS / "set-up-a-project.md").read_text(encoding="ascii")
    lines = re.findall(r"^carferry (.+)$", page, re.MULTILINE)
    assert [build_parser().parse_args(shlex.split(line)).namespace for line in lines] == [
        "models"
    ] * len(lines)
    assert lines
