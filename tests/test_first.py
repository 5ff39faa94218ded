"""The first step: what a run can be refused for is refused before a byte moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ferrying import point_to
from servers import models
from servers.hub import Hub
from servers.registry import Registry

from carferry.errors import InputError, SourceNotFound
from carferry.run.first import first
from carferry.run.request import Run, vllm_version
from carferry.steps.build import build

TARGET = "docker://registry.example/team/m:1"


@pytest.fixture
def hosted(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub.add("team/tiny", models.tiny())
    point_to(hub, monkeypatch)
    return hub


def test_a_branch_becomes_a_commit_for_every_later_step(hosted: Hub) -> None:
    found = first(Run("team/tiny@main", TARGET, serve="no"))
    repo, _, commit = found.model.partition("@")
    assert repo == "team/tiny"
    assert len(commit) == 40
    assert first(Run(found.model, TARGET, serve="no")) == found


def test_a_folder_keeps_its_name(tmp_path: Path) -> None:
    folder = models.write(models.tiny(), tmp_path / "model")
    assert first(Run(str(folder), "oci:x:1", serve="no")).model == str(folder)


def test_a_pinned_size_is_handed_on_where_nothing_is_checked(hosted: Hub) -> None:
    settings = {"gpu_count": 2.0, "tolerations": []}
    wished = {"gpus": "none", "max_model_len": 128, "vllm_args": "--seed=1"}
    found = first(Run("team/tiny", TARGET, serve="render", settings=settings, **wished))
    assert found.sizing == {
        "gpu_resource": "nvidia.com/gpu",
        "gpu_count": 2,
        "tolerations": [],
        "max_model_len": 128,
        "vllm_args": ["--seed=1"],
    }


@pytest.mark.parametrize("serve", ["no", "render"])
def test_a_run_of_what_is_there_ends_here_only_if_it_is_asked_to(
    serve: str, hosted: Hub, registry: Registry, tmp_path: Path
) -> None:
    image = f"docker://{registry.host}/team/m:1"
    report, chart = tmp_path / "report.md", tmp_path / "chart.html"
    asked = {"base": "scratch", "if_changed": True}
    run = Run("team/tiny", image, serve=serve, gpus="none", settings=asked)
    assert first(run).due == "yes"
    built = build("team/tiny", image, **run.build)
    found = first(run, report=str(report), chart=str(chart))
    assert (found.due, found.reference, found.sizing) == ("no", built.reference, {})
    assert f"nothing to do: {image} is {built.digest}" in report.read_text()
    assert built.digest in chart.read_text()
    assert first(replace(run, settings={"base": "scratch"})).due == "yes"
    assert first(replace(run, include="*.safetensors,config.json")).due == "yes"
    hosted.add("team/tiny", models.tiny(1))
    assert first(run).due == "yes"


def test_what_is_asked_of_a_deployment_is_known_again_whatever_the_plan_makes_of_it() -> None:
    run = Run("a/b", TARGET, settings={"if_changed": True, "cpu": 2.0, "wait_s": 5})
    same = replace(run, settings={"cpu": "2", "base": "scratch", "wait_s": 9})
    others = [
        *({"name": "x"}, {"gpus": "L4"}, {"max_model_len": 5}, {"vllm_args": "--seed 1"}),
        *({"settings": {"cpu": "3"}}, {"settings": {"gpu_count": 2}}, {"settings": {"vllm": "1"}}),
    ]
    assert run.asked == same.asked
    assert len({run.asked, *(replace(run, **each).asked for each in others)}) == len(others) + 1
    assert replace(run, serve="render").asked == ""


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"serve": "yes"}, "write deploy, render or no"),
        ({"serve": "no", "settings": {"bsae": "scratch"}}, "no such setting"),
        ({"serve": "no", "settings": {"format": "zip"}}, "choose modelcar or modelpack"),
        ({"serve": "no", "settings": {"parallel": 0}}, "not a whole number of 1 to 999"),
        ({"serve": "no", "settings": {"builder_security": "x"}}, "not userns or setfcap"),
        ({"settings": {"gpu_count": "many"}}, "not a whole number"),
        ({"settings": {"gpu_count": 99_999}}, "not a whole number of 0 to 9999"),
        (
            {"serve": "no", "settings": {"builder_account": ["x"]}},
            "builder_account .* not one value",
        ),
        ({"serve": "no", "settings": {"cpu": {"a": 1}}}, "cpu .* not one value"),
        ({"serve": "no", "settings": {"exclude": [1]}}, "exclude .* not a list of texts"),
        ({"gpus": "L4", "settings": {"vllm": "quay.io/x/v:"}}, "quay.io/x/v:"),
        ({"gpus": "L4", "settings": {"vllm": "newest"}}, "not a version"),
        ({"runtime_image": "quay.io/x/vllm"}, "not pinned"),
        ({"name": "Not_A_Name"}, "not a"),
        ({"settings": {"cpu": "many"}}, "not a quantity"),
        ({"settings": {"tolerations": "none"}}, "not JSON"),
        ({"settings": {"wait_s": "soon"}}, "not a whole number"),
        ({"image": "oci:image:1"}, "a cluster pulls from a registry"),
        ({"vllm_args": "--model=other"}, "carferry sets it"),
    ],
)
def test_what_another_try_would_not_change_is_refused(
    hosted: Hub, given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        first(Run("team/tiny", **{"image": TARGET, "serve": "render", **given}))


def test_a_model_nobody_has_is_refused_though_nothing_is_served(hosted: Hub) -> None:
    with pytest.raises(SourceNotFound):
        first(Run("team/absent", TARGET, serve="no"))


@pytest.mark.parametrize(
    ("image", "said", "version"),
    [
        ("docker.io/vllm/vllm-openai:v0.24.0", "", "0.24.0"),
        ("docker.io/vllm/vllm-openai:v0.24.0@sha256:" + "0" * 64, "", "0.24.0"),
        ("host:5000/mirror/vllm-openai:0.19", "", "0.19"),
        ("vllm/vllm-openai:v0.20.1-cu130", "", "0.20.1"),
        ("vllm/vllm-openai:v0.24.0", "0.23.0", "0.23.0"),
        ("registry.redhat.io/rhaiis/vllm-cuda-rhel9:3.2.2", "0.11.0", "0.11.0"),
    ],
)
def test_the_serving_image_says_which_vllm_is_planned_for(
    image: str, said: str, version: str
) -> None:
    assert vllm_version(image, said) == version


def test_an_emptied_serving_image_is_the_default_one() -> None:
    """KFP's own form sends what a person emptied as an empty text."""
    emptied, left = Run("a/b", TARGET, runtime_image=""), Run("a/b", TARGET)
    assert emptied.plan_settings() == left.plan_settings()


@pytest.mark.parametrize(
    "image",
    ["host:0.5/vllm@sha256:" + "0" * 64, "quay.io/x/vllm:latest", "x/vllm:3.2.2", "x/vllm:v0.2x"],
)
def test_an_image_whose_tag_is_no_version_is_read_for_it(image: str) -> None:
    assert vllm_version(image) == image
