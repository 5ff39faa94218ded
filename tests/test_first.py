"""The first step: what a run can be refused for is refused before a byte moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ferrying import point_to
from servers import models
from servers.hub import Hub

from carferry.errors import InputError, SourceNotFound
from carferry.steps.first import Wishes, first, vllm_version

PUSH_ONLY = Wishes(serve="no")
TARGET = "docker://registry.example/team/m:1"


@pytest.fixture
def hosted(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub.add("team/tiny", models.tiny())
    point_to(hub, monkeypatch)
    return hub


def test_a_branch_becomes_a_commit_for_every_later_step(hosted: Hub) -> None:
    found = first("team/tiny@main", TARGET, PUSH_ONLY, {})
    repo, _, commit = found.model.partition("@")
    assert repo == "team/tiny"
    assert len(commit) == 40
    assert first(found.model, TARGET, PUSH_ONLY, {}) == found


def test_a_folder_keeps_its_name(tmp_path: Path) -> None:
    folder = models.write(models.tiny(), tmp_path / "model")
    assert first(str(folder), "oci:x:1", PUSH_ONLY, {}).model == str(folder)


def test_a_pinned_size_is_handed_on_where_nothing_is_checked(hosted: Hub) -> None:
    wishes = Wishes(gpu="none", max_model_len=128, vllm_args="--seed=1")
    found = first("team/tiny", TARGET, wishes, {"gpu_count": 2.0, "tolerations": []})
    assert found.sizing == {
        "gpu_resource": "nvidia.com/gpu",
        "gpu_count": 2,
        "tolerations": "[]",
        "max_model_len": 128,
        "vllm_args": "--seed=1",
    }


@pytest.mark.parametrize(
    ("wishes", "settings", "reason"),
    [
        (Wishes(serve="yes"), {}, "write deploy, render or no"),
        (PUSH_ONLY, {"bsae": "scratch"}, "no such setting"),
        (PUSH_ONLY, {"format": "zip"}, "choose modelcar or modelpack"),
        (PUSH_ONLY, {"parallel": 0}, "not a whole number above 0"),
        (Wishes(gpu="none"), {"gpu_count": "many"}, "not a whole number"),
        (Wishes(gpu="L4", serving_image="quay.io/x/vllm:3.2.2"), {}, "no vLLM version"),
    ],
)
def test_what_another_try_would_not_change_is_refused(
    hosted: Hub, wishes: Wishes, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        first("team/tiny", TARGET, wishes, settings)


def test_a_model_nobody_has_is_refused_though_nothing_is_served(hosted: Hub) -> None:
    with pytest.raises(SourceNotFound):
        first("team/absent", TARGET, PUSH_ONLY, {})


@pytest.mark.parametrize(
    ("image", "told", "version"),
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
    image: str, told: str, version: str
) -> None:
    assert vllm_version(image, told) == version


@pytest.mark.parametrize(
    "image",
    ["host:0.5/vllm@sha256:" + "0" * 64, "quay.io/x/vllm:latest", "x/vllm:3.2.2", "x/vllm:v0.2x"],
)
def test_an_image_that_does_not_say_must_be_said(image: str) -> None:
    with pytest.raises(InputError, match="no vLLM version"):
        vllm_version(image)
