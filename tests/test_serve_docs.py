"""The pages on fields, permissions and a project say what the code does."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path

import pytest
import yaml

from carferry.cli import build_parser
from carferry.cluster import pod
from carferry.cluster.rights import Purpose, needed
from carferry.pipelines.reference import rbac
from carferry.serve.form import PARAMETERS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "how-to"
REFERENCE = ROOT / "docs" / "reference"
FOLDERS = [path.parent for path in (ROOT / "manifests").rglob("kustomization.yaml")]


def test_the_table_of_fields_is_the_one_in_the_code() -> None:
    page = (REFERENCE / "serving.md").read_text(encoding="ascii").partition("## Platforms")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(p.name, f"`{p.default}`" if p.default else "", p.help) for p in PARAMETERS]


def granted(folder: str, kind: str) -> set[tuple[str, str, str]]:
    """Return group, resource and verb of what the roles of a folder grant."""
    named = yaml.safe_load((ROOT / folder / "kustomization.yaml").read_text())["resources"]
    files = [ROOT / folder / name for name in named if name.endswith(".yaml")]
    roles = [each for file in files for each in yaml.safe_load_all(file.read_text())]
    rules = [rule for role in roles if role["kind"] == kind for rule in role["rules"]]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("purpose", Purpose)
def test_the_folder_that_the_page_names_grants_the_permission(purpose: Purpose) -> None:
    for need in needed("p", purpose):
        one = need.permission
        asked = one.kind.group, one.resource, one.verb
        kind = "Role" if one.namespace else "ClusterRole"
        folder = rbac.folder_of(purpose, one)
        if folder:
            assert asked in granted(folder, kind)
        else:
            assert not any(asked in granted(str(each), kind) for each in FOLDERS)


def test_every_permission_of_the_code_is_on_the_page_once() -> None:
    page = (REFERENCE / "rbac.md").read_text(encoding="ascii")
    for purpose in Purpose:
        shown = [
            line.split(" | ")
            for line in page.splitlines()
            if line.startswith(f"| {purpose.value} | `")
        ]
        on_page = Counter(
            (cells[1].strip("`"), verb, cells[3])
            for cells in shown
            for verb in cells[2].split(", ")
        )
        needs = [need.permission for need in needed("p", purpose)]
        assert on_page == Counter(
            (
                f"{each.resource}.{each.kind.group}".rstrip("."),
                each.verb,
                "the project" if each.namespace else "the cluster",
            )
            for each in needs
        )


@pytest.mark.parametrize("folder", ["", "auth", "llm", "buildah", "warm", "delete"])
def test_the_page_on_a_project_names_commands_that_work_here(folder: str) -> None:
    page = (DOCS / "set-up-a-project.md").read_text(encoding="ascii")
    assert f"oc apply --server-side -k manifests/{folder} -n models" in page
    assert (ROOT / "manifests" / folder / "kustomization.yaml").is_file()


@pytest.mark.parametrize("folder", ["gpu-inventory", "openshift-ai"])
def test_two_projects_have_a_binding_each(folder: str) -> None:
    """Applied for a second project as the page says, nothing of the first is replaced."""
    page = (DOCS / "set-up-a-project.md").read_text(encoding="ascii")
    (named,) = re.findall(rf"^oc kustomize manifests/{folder} \| sed (\S+) \|", page, re.MULTILINE)
    _, old, new, _ = named.split("/")
    made = {project: bindings(folder, old, project) for project in (new, "others")}
    assert not made[new] & made["others"]
    assert all(new in name for name in made[new])


def bindings(folder: str, old: str, project: str) -> set[str]:
    """Return the bindings that a folder makes with a word replaced as sed would: once a line."""
    text = "".join(p.read_text() for p in (ROOT / "manifests" / folder).glob("[!k]*.yaml"))
    text = "\n".join(line.replace(old, project, 1) for line in text.split("\n"))
    assert "PROJECT" not in text
    objects = [each for each in yaml.safe_load_all(text) if each["kind"].endswith("Binding")]
    assert {s["namespace"] for each in objects for s in each["subjects"]} == {project}
    return {each["metadata"]["name"] for each in objects}


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
