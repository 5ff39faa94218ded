"""Files that a forge, an editor or a citing author reads: valid, and true of this project."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import carferry

ROOT = Path(__file__).resolve().parents[1]
GITHUB = ROOT / ".github"
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
PAGES = ("CODE_OF_CONDUCT.md", "SECURITY.md", "RELEASING.md", "CONTRIBUTING.md")


def sh_blocks(page: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        *(("github-issue-forms", form) for form in FORMS),
        ("github-issue-config", GITHUB / "ISSUE_TEMPLATE" / "config.yml"),
        ("citation-file-format", ROOT / "CITATION.cff"),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_the_forge_takes_them(schema: str, file: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_form_for_a_fault_a_wrong_plan_and_a_wish() -> None:
    assert [form.stem for form in FORMS] == ["bug", "feature", "gpu-plan"]
    asked = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / "gpu-plan.yml").read_text())["body"]
    (log,) = [each for each in asked if each.get("id") == "log"]
    assert log["validations"]["required"] is True


def test_options_that_forms_name_are_there() -> None:
    named = {flag for form in FORMS for flag in re.findall(r"`?(--[a-z]+)", form.read_text())}
    known = subprocess.run(
        [sys.executable, "-m", "carferry", "plan", "--help"], capture_output=True, text=True
    ).stdout
    assert named - {"--local", "--version"} <= set(re.findall(r"--[a-z]+", known))


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["version"] == cited["version"] == carferry.__version__
    assert project["license"] == cited["license"]
    assert project["keywords"] == cited["keywords"]


@pytest.mark.parametrize("page", ["SECURITY.md", "CODE_OF_CONDUCT.md", "RELEASING.md"])
def test_what_pages_name_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="ascii")
    paths = re.findall(r"`((?:tests|src|examples)/[\w./-]+)`", text)
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert [path for path in [*paths, *links] if not (ROOT / path).exists()] == []
    assert not re.search(r"[\w.]+@[\w.]+\.\w+", text), "an address that nobody may read"


def test_targets_that_pages_name_are_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    text = "".join((ROOT / page).read_text() for page in PAGES)
    text += (GITHUB / "pull_request_template.md").read_text()
    assert set(re.findall(r"\bmake ([a-z-]+)\b", text)) - {"the"} <= targets


def test_a_release_writes_one_number_everywhere(tmp_path: Path) -> None:
    names = ("pyproject.toml", "CITATION.cff", "CHANGELOG.md", "src/carferry/__init__.py")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (bump,) = [block for block in sh_blocks("RELEASING.md") if "export VERSION" in block]
    subprocess.run(["bash", "-euc", bump], cwd=tmp_path, check=True)
    changed = [(tmp_path / name).read_text() for name in names]
    assert tomllib.loads(changed[0])["project"]["version"] == "0.2.0"
    assert yaml.safe_load(changed[1])["version"] == "0.2.0"
    assert re.search(r"^## Unreleased\n\n## 0\.2\.0, 20\d\d-\d\d-\d\d\n", changed[2], re.M)
    assert '__version__ = "0.2.0"\n' in changed[3]
    held = [(ROOT / name).read_text().count(carferry.__version__) for name in names]
    left = [text.count(carferry.__version__) for text in changed]
    assert [a - b for a, b in zip(held, left, strict=True)] == [1, 1, 0, 1]


def test_lines_of_the_checklist_are_commands() -> None:
    for block in sh_blocks("RELEASING.md"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
        for line in block.splitlines():
            program = shlex.split(line)[0]
            here = program.startswith(("build/", ".venv/")) or (ROOT / program).exists()
            known = subprocess.run(["bash", "-c", f"type {program}"], capture_output=True)
            assert here or known.returncode == 0, line


def hooks() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (repo,) = document["repos"]
    assert repo["repo"] == "local"
    return {hook["id"]: hook for hook in repo["hooks"]}


def checked(folder: Path) -> list[str]:
    """Return the commands of `make check`, as make would run them."""
    (folder / ".venv").mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    for name in (".installed-demo", ".installed"):
        (folder / ".venv" / name).touch()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "check"],
        cwd=folder, env=clean, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line for line in done.stdout.splitlines() if not re.match(r"make\b|\S+/make ", line)]


def test_git_runs_what_make_check_runs_in_the_same_order(tmp_path: Path) -> None:
    entries = [shlex.split(hook["entry"]) for hook in hooks().values()]
    said = [words[2] if words[:2] == ["sh", "-c"] else shlex.join(words) for words in entries]
    assert [same(line) for line in said] == [same(line) for line in checked(tmp_path)]


def same(line: str) -> str:
    """Return a command with quotes of one kind."""
    return line.replace('"', "'")


def test_hooks_need_nothing_but_the_clones_own_environment() -> None:
    for hook in hooks().values():
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False
    fast = [name for name, hook in hooks().items() if hook.get("stages") == ["pre-commit"]]
    assert fast == ["ruff-check", "ruff-format"]


def test_the_devcontainer_runs_what_is_there() -> None:
    document = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    shell, script, flag = shlex.split(document["onCreateCommand"])
    assert shell == "sh" and f"{flag})" in (ROOT / script).read_text()
    make, target = shlex.split(document["postCreateCommand"])
    assert make == "make"
    subprocess.run([make, "--dry-run", target], cwd=ROOT, check=True, capture_output=True)
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    found = re.search(r"python:3\.(\d+)", document["image"])
    assert found and int(found[1]) >= int(oldest.removeprefix(">=3."))
