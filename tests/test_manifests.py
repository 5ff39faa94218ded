"""What manifests/ gives a project is what the code needs, and kustomize reads it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from carferry.cluster.rights import (
    Need,
    to_build,
    to_delete,
    to_deploy,
    to_see_gpus,
    to_test,
    to_use_openshift_ai,
    to_warm,
)

ROOT = Path(__file__).parents[1] / "manifests"
KUSTOMIZATIONS = sorted(ROOT.rglob("kustomization.yaml"))
FOLDERS = [path.parent.relative_to(ROOT).as_posix() for path in KUSTOMIZATIONS]
ACCOUNT = {"kind": "ServiceAccount", "name": "pipeline-runner-dspa"}
Object = dict[str, Any]


def documents(path: Path) -> list[Object]:
    return [each for each in yaml.safe_load_all(path.read_text(encoding="ascii")) if each]


def objects(folder: str) -> list[Object]:
    """Return what a kustomization names itself, not through another."""
    listed = documents(ROOT / folder / "kustomization.yaml")[0]["resources"]
    files = [ROOT / folder / name for name in listed if name.endswith(".yaml")]
    return [each for file in files for each in documents(file)]


def granted(role: Object) -> Counter[tuple[str, str, str]]:
    return Counter(
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def wanted(needs: list[Need]) -> Counter[tuple[str, str, str]]:
    needed = {need.permission for need in needs}
    return Counter((each.kind.group, each.resource, each.verb) for each in needed)


IN_PROJECT = [need for need in to_see_gpus("p") if need.permission.namespace]
EVERYWHERE = [need for need in to_see_gpus("p") if not need.permission.namespace]
AS_LLM = [need for need in to_deploy("p", llm=True) if need not in to_deploy("p")]
WITH_AUTH = [need for need in to_deploy("p", auth=True) if need not in to_deploy("p")]


OFFERS = to_use_openshift_ai("p")


@pytest.mark.parametrize(
    ("folder", "kind", "needs"),
    [
        (".", "Role", [*to_deploy("p"), *IN_PROJECT, *to_test("p")]),
        ("auth", "Role", WITH_AUTH),
        ("llm", "Role", AS_LLM),
        ("gpu-inventory", "ClusterRole", EVERYWHERE),
        ("buildah", "Role", to_build("p")),
        ("warm", "Role", [each for each in to_warm("p") if each.permission.namespace]),
        ("delete", "Role", to_delete("p")),
        ("openshift-ai", "Role", OFFERS[:1]),
        ("openshift-ai", "ClusterRole", OFFERS[1:]),
    ],
)
def test_a_role_holds_what_the_code_needs_and_nothing_else(
    folder: str, kind: str, needs: list[Need]
) -> None:
    (role,) = [each for each in objects(folder) if each["kind"] == kind]
    assert granted(role) == wanted(needs)
    (binding,) = [each for each in objects(folder) if each.get("roleRef", {}).get("name")
                  == role["metadata"]["name"]]  # fmt: skip
    assert binding["kind"] == f"{kind}Binding"
    assert binding["roleRef"]["kind"] == kind
    (subject,) = binding["subjects"]
    elsewhere = kind == "ClusterRole" or folder == "openshift-ai"
    assert subject == ACCOUNT | ({"namespace": "PROJECT"} if elsewhere else {})


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_that_is_named_is_there_and_every_file_is_named(folder: str) -> None:
    (kustomization,) = documents(ROOT / folder / "kustomization.yaml")
    listed = kustomization["resources"]
    assert [name for name in listed if not (ROOT / folder / name).exists()] == []
    files = {path.name for path in (ROOT / folder).glob("*.yaml")}
    assert files - {"kustomization.yaml"} == {name for name in listed if name.endswith(".yaml")}


@pytest.mark.parametrize("folder", FOLDERS)
def test_everything_is_labelled_so_that_it_can_be_removed_together(folder: str) -> None:
    (kustomization,) = documents(ROOT / folder / "kustomization.yaml")
    assert kustomization["labels"] == [{"pairs": {"app.kubernetes.io/part-of": "carferry"}}]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_object_names_a_project_so_that_the_command_does(folder: str) -> None:
    assert [each for each in objects(folder) if "namespace" in each["metadata"]] == []


def renamed() -> str:
    """Return the kustomization with its example for another account switched on."""
    text = (ROOT / "kustomization.yaml").read_text(encoding="ascii")
    head, example = text.split("# patches:", 1)
    return head + "patches:" + re.sub(r"(?m)^# ", "", example)


def test_the_example_for_another_account_fits_the_binding() -> None:
    (patch,) = yaml.safe_load(renamed())["patches"]
    (binding,) = [each for each in objects(".") if each["kind"] == patch["target"]["kind"]]
    assert binding["metadata"]["name"] == patch["target"]["name"]
    (change,) = yaml.safe_load(patch["patch"])
    assert (change["op"], change["path"]) == ("replace", "/subjects/0/name")


def builder() -> list[str]:
    """Return the command that builds a kustomization; none if no such program knows labels."""
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if not shutil.which("kubectl"):
        return []
    asked = ["kubectl", "version", "--client", "--output=json"]
    done = subprocess.run(asked, capture_output=True, text=True)
    version = json.loads(done.stdout or "{}").get("clientVersion", {})
    minor = re.match(r"\d+", str(version.get("minor", "0")))
    return ["kubectl", "kustomize"] if minor and int(minor[0]) >= 24 else []


COMMAND = builder()
kustomize = pytest.mark.skipif(not COMMAND, reason="neither kustomize nor a kubectl of 1.24 on")


def built(folder: Path) -> list[Object]:
    done = subprocess.run([*COMMAND, str(folder)], check=True, capture_output=True, text=True)
    assert "Warning" not in done.stderr  # of a field that is going; a client may log otherwise
    return [*yaml.safe_load_all(done.stdout)]


@kustomize
@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_builds_every_folder(folder: str) -> None:
    made = built(ROOT / folder)
    assert {each["metadata"]["labels"]["app.kubernetes.io/part-of"] for each in made} == {
        "carferry"
    }
    roles = {(each["kind"], each["metadata"]["name"]) for each in made if "rules" in each}
    bound = {
        (each["roleRef"]["kind"], each["roleRef"]["name"]) for each in made if "roleRef" in each
    }
    assert roles <= bound


@kustomize
def test_kustomize_takes_the_example_for_another_account(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "m")
    shutil.copytree(ROOT.parent / "compiled", tmp_path / "compiled")
    (tmp_path / "m" / "kustomization.yaml").write_text(renamed())
    (binding,) = [each for each in built(tmp_path / "m") if each["kind"] == "RoleBinding"]
    assert [each["name"] for each in binding["subjects"]] == ["pipeline-runner-NAME"]
