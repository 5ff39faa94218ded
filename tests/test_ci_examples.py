"""examples/ci: the files lint, hold no secret, and their scripts do what the page says.

The scripts are run as the tools run them, one after another, against a hub, a registry with a login
and a Git repository; only the lines that install carferry are left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.gitops import Repository
from gitops_shapes import faults
from servers import models
from servers.hub import Hub
from servers.registry import Registry

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "ci"
PAGE = (ROOT / "docs" / "how-to" / "ci.md").read_text(encoding="ascii")
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
TOKEN = "hf_" + "granted" * 5
GITHUB = yaml.safe_load((EXAMPLE / "github.yaml").read_text(encoding="ascii"))
GITLAB = yaml.safe_load((EXAMPLE / "gitlab-ci.yml").read_text(encoding="ascii"))
TASK, PIPELINE = yaml.safe_load_all((EXAMPLE / "tekton.yaml").read_text(encoding="ascii"))
(RUN,) = yaml.safe_load_all((EXAMPLE / "tekton-run.yaml").read_text(encoding="ascii"))


@dataclass
class World:
    """Where a CI tool runs its job: servers, a repository, and a folder of its own."""

    hub: Hub
    registry: Registry
    git: Repository
    folder: Path
    nights: int = 0

    @property
    def image(self) -> str:
        return f"{self.registry.host}/team/smollm2:1"

    def job(self) -> tuple[Path, dict[str, str]]:
        """Return an empty folder, and the environment of a machine without logins."""
        self.nights += 1
        folder = self.folder / f"night-{self.nights}"
        folder.mkdir()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CARFERRY", "GIT_"))}
        return folder, kept | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "HF_ENDPOINT": self.hub.endpoint,
            "CARFERRY_BASE": "embedded",
            "MODEL": MODEL,
            "IMAGE": self.image,
        }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Hub() as hub, Registry(tmp_path / "registry", auth="basic") as registry:
        hub.add(MODEL, models.tiny(), gated=True, token=TOKEN)
        yield World(hub, registry, Repository(tmp_path), tmp_path)


def shell(words: list[str], script: str, folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        [*words, script], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout


def clone(world: World, folder: Path) -> None:
    command = ["git", "clone", "--quiet", str(world.git.path), str(folder)]
    subprocess.run(command, check=True)


def on_github(world: World) -> str:
    """Run the steps that are shell, and hand outputs on as the tool does."""
    folder, env = world.job()
    clone(world, folder / "models")
    outputs, said = folder / "outputs", ""
    known = {
        "secrets.HF_TOKEN": TOKEN,
        "secrets.REGISTRY_AUTH": world.registry.auth_file.read_text(),
    }
    env |= {"GITHUB_OUTPUT": str(outputs), "RENDER": GITHUB["env"]["RENDER"]}
    for step in GITHUB["jobs"]["modelcar"]["steps"]:
        if "run" not in step or "pip install" in step["run"]:
            continue
        own = {name: known[text[4:-3]] for name, text in step.get("env", {}).items()}
        place = folder / step.get("working-directory", ".")
        said = shell(["bash", "-e", "-c"], step["run"], place, env | own)
        if outputs.exists():
            pairs = (line.partition("=") for line in outputs.read_text().splitlines())
            known |= {f"steps.build.outputs.{name}": text for name, _, text in pairs}
    return said.splitlines()[-1]


def on_gitlab(world: World) -> str:
    """Run the lines of the script in one shell, pushing to the repository instead of GitLab."""
    folder, env = world.job()
    clone(world, folder / "models")
    lines = "\n".join(GITLAB["modelcar"]["script"])
    lines = lines.replace("https://carferry:$PUSH_TOKEN@$CI_SERVER_HOST/$CI_PROJECT_PATH.git", "$R")
    env |= {
        "HF_TOKEN": TOKEN,
        "REGISTRY_AUTH_FILE": str(world.registry.auth_file),
        "CI_COMMIT_BRANCH": "main",
        "RENDER": GITLAB["variables"]["RENDER"],
        "R": str(world.git.path),
    }
    return shell(["bash", "-eo", "pipefail", "-c"], lines, folder / "models", env).splitlines()[-1]


def default(name: str) -> str:
    """Return the Pipeline's own value of a parameter."""
    (found,) = [each for each in PIPELINE["spec"]["params"] if each["name"] == name]
    return str(found["default"])


def on_tekton(world: World) -> str:
    """Run the steps of the Task with its parameters and workspaces put in."""
    folder, env = world.job()
    secrets = folder / "secrets"
    for name, text in (
        ("registry/.dockerconfigjson", world.registry.auth_file.read_text()),
        ("hub/HF_TOKEN", TOKEN),
        ("git/credentials", "https://me:x@git.example.com\n"),
    ):
        (secrets / name).parent.mkdir(parents=True)
        (secrets / name).write_text(text)
    given = {
        "params.model": MODEL,
        "params.image": world.image,
        "params.render": default("render"),
        "params.repository": str(world.git.path),
        "results.reference.path": str(folder / "reference"),
        "results.changed.path": str(folder / "changed"),
        "workspaces.work.path": str(folder),
    }

    def put_in(text: str) -> str:
        text = text.replace("/etc/carferry", str(secrets))
        return re.sub(r"\$\(((?:params|results|workspaces)\.[^)]+)\)", lambda m: given[m[1]], text)

    said = ""
    for step in TASK["spec"]["steps"]:
        entries = TASK["spec"]["stepTemplate"]["env"] + step["env"]
        own = {each["name"]: put_in(each["value"]) for each in entries}
        script = folder / "script"
        script.write_text(put_in(step["script"]))
        script.chmod(0o700)
        said = shell(["sh", "-c"], str(script), folder, env | own)
    assert (folder / "changed").read_text() in ("true", "false")
    return said.splitlines()[-1]


@pytest.mark.parametrize("tool", [on_github, on_gitlab, on_tekton])
def test_a_job_builds_what_changed_and_commits_what_serves_it(
    world: World, tool: Callable[[World], str]
) -> None:
    first = tool(world)
    assert re.fullmatch(
        rf"committed {world.registry.host}/team/smollm2@sha256:[0-9a-f]{{64}}", first
    )
    reference = first.removeprefix("committed ")
    assert world.git.commits == [f"Serve {reference}", "first"]
    base = (ROOT / "examples" / "gitops" / "base" / "smollm2.yaml").read_text()
    served = base.replace(re.findall(r"oci://(\S+)", base)[0], reference)
    assert world.git.file("base/smollm2.yaml") == served
    assert "smollm2.yaml" in world.git.file("base/kustomization.yaml")

    assert tool(world) == "committed already"

    world.hub.add(MODEL, models.tiny(1), gated=True, token=TOKEN)
    second = tool(world)
    assert second.startswith("committed ")
    assert second != first
    assert world.git.commits[0] == f"Serve {second.removeprefix('committed ')}"


@pytest.mark.parametrize(
    ("schema", "file"),
    [("vendor.github-workflows", "github.yaml"), ("vendor.gitlab-ci", "gitlab-ci.yml")],
)
def test_a_file_is_what_its_tool_takes(schema: str, file: str) -> None:
    words = ["-m", "check_jsonschema", "--builtin-schema", schema, str(EXAMPLE / file)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("document", [TASK, PIPELINE, RUN], ids=lambda each: each["kind"])
def test_tekton_knows_every_field(document: Any) -> None:
    assert faults(document) == []


def names(entries: list[dict[str, Any]]) -> list[str]:
    return [each["name"] for each in entries]


def test_the_pipeline_gives_its_task_what_that_asks_for() -> None:
    (used,) = PIPELINE["spec"]["tasks"]
    for what in ("params", "workspaces"):
        assert names(used[what]) == names(TASK["spec"][what])
        assert set(names(RUN["spec"][what])) <= set(names(PIPELINE["spec"][what]))
    asked = [each["name"] for each in PIPELINE["spec"]["params"] if "default" not in each]
    assert asked == names(RUN["spec"]["params"])
    every = str(TASK["spec"]["steps"]) + str(TASK["spec"]["stepTemplate"])
    used_names = set(re.findall(r"\$\(params\.(\w+)\)", every))
    assert used_names == set(names(TASK["spec"]["params"]))


def test_no_script_has_a_value_of_a_secret_or_an_expression_in_it() -> None:
    """What a tool would put into the text of a script could be read in its log, or run."""
    for step in GITHUB["jobs"]["modelcar"]["steps"]:
        assert "${{" not in step.get("run", "")
    for step in TASK["spec"]["steps"]:
        assert "$(params" not in step["script"]
        assert "$(workspaces" not in step["script"]


def test_logins_are_no_parameters() -> None:
    assert {*names(TASK["spec"]["params"])} == {"model", "image", "render", "repository", "runtime"}
    assert {*GITHUB["env"]} == {"MODEL", "IMAGE", "RENDER"}
    assert {*GITLAB["variables"]} == {"MODEL", "IMAGE", "RENDER", "CARFERRY"}


def test_every_job_and_page_renders_the_base_in_the_same_way() -> None:
    """Options that one of them leaves out would be gone from all environments with its commit."""
    how_to = ROOT / "docs" / "how-to"
    exported = re.compile(r'^export RENDER="(.*)"$', re.MULTILINE)
    cronjob = re.findall(r"name: RENDER, value: (.*)\}", (how_to / "recurring-runs.md").read_text())
    pages = [exported.findall((how_to / name).read_text()) for name in ("gitops.md", "ci.md")]
    jobs = [GITHUB["env"]["RENDER"], GITLAB["variables"]["RENDER"], default("render")]
    assert [[each] for each in jobs] == [cronjob, *pages]


def test_a_private_copy_of_carferry_is_fetched_with_a_right_of_its_own() -> None:
    (fetched,) = [
        step["with"]
        for step in GITHUB["jobs"]["modelcar"]["steps"]
        if step.get("with", {}).get("repository")
    ]
    assert "secrets.CARFERRY_TOKEN" in fetched["token"]
    assert "gh secret set CARFERRY_TOKEN" in PAGE
    assert "$CI_JOB_TOKEN@$CARFERRY" in GITLAB["modelcar"]["before_script"][0]


@pytest.mark.parametrize("file", ["github.yaml", "gitlab-ci.yml", "tekton.yaml", "tekton-run.yaml"])
def test_the_page_links_to_every_file(file: str) -> None:
    assert f"(../../examples/ci/{file})" in PAGE


def test_what_is_installed_is_there() -> None:
    assert (ROOT / "constraints-core.txt").is_file()
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    for name in ("github.yaml", "gitlab-ci.yml"):
        assert f"v{version[1]}" in (EXAMPLE / name).read_text()
