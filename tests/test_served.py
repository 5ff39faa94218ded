"""The vLLM that is planned for is the one in the image that will serve, as the image says it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gpu.samples import LLAMA
from servers.images import tar_of, write_layout
from servers.registry import Registry

from carferry.errors import InputError
from carferry.refs import ImageRef
from carferry.registry.access import Access
from carferry.run.request import Run
from carferry.steps.defaults import SERVED
from carferry.steps.fit import fit
from carferry.steps.push import push
from carferry.steps.served import served_by, version_in

DIGEST = "@sha256:" + "ab" * 32
UBUNTU = {
    "org.opencontainers.image.ref.name": "ubuntu",
    "org.opencontainers.image.version": "22.04",
}
RHOAI = {"name": "rhoai/odh-vllm-cuda-rhel9", "version": "v3.4.0", "release": "1764"}
RHAIIS = {"name": "rhaiis/vllm-cuda-rhel9", "version": "3.2.1"}
SAID: list[tuple[dict[str, Any], str, str]] = [
    ({"Labels": {"ai.vllm.image.tag": "vllm/vllm-openai:v0.24.0"}}, DIGEST, "0.24.0"),
    ({"Labels": {"org.opencontainers.image.version": "v0.20.2"}}, DIGEST, "0.20.2"),
    ({"Env": ["PATH=/bin", "VLLM_IMAGE_TAG=vllm/vllm-openai:v0.33.0"]}, DIGEST, "0.33.0"),
    ({"Env": ["VLLM_VERSION=0.11.2+rhai5"]}, DIGEST, "0.11.2+rhai5"),
    ({"Labels": {"vllm-version": "0.18.0"}, "Env": None}, DIGEST, "0.18.0"),
    ({"Env": ["VLLM_VERSION=0.11.2.dev4"]}, DIGEST, "0.11.2"),
    ({"Labels": {"io.vendor.vllm.version": "v0.13.0rc1"}}, DIGEST, "0.13.0"),
    # What an image says of itself beats its tag, and a tag beats nothing.
    ({"Env": ["VLLM_VERSION=0.11.0"]}, ":v0.24.0", "0.11.0"),
    ({"Labels": UBUNTU}, ":v0.10.2", "0.10.2"),
    ({}, ":v0.20.1-cu130", "0.20.1"),
    ({"Labels": RHOAI}, DIGEST, "rhoai-3.4"),
    ({}, "/modh/vllm:rhoai-2.20-cuda", "rhoai-2.20"),
    # Versions of something else.
    ({"Labels": UBUNTU}, DIGEST, ""),
    ({"Labels": RHAIIS}, DIGEST, ""),
    ({"Env": ["VLLM_FLASHINFER_VERSION=0.2.5", "CUDA_VERSION=0.13"]}, DIGEST, ""),
    ({"Labels": {"ai.vllm.image.tag": "local/vllm-openai:dev"}}, DIGEST, ""),
    ({}, ":3.2.2", ""),
    ({}, ":v0.2x", ""),
    # What no image should hold.
    ({"Labels": ["a"], "Env": {"VLLM_VERSION": "0.9"}}, DIGEST, ""),
    ({"Labels": {"vllm.version": 24}, "Env": [7, None]}, DIGEST, ""),
]


@pytest.mark.parametrize(("config", "at", "version"), SAID, ids=str)
def test_the_version_is_what_the_image_says(config: dict[str, Any], at: str, version: str) -> None:
    name = "quay.io" if at.startswith("/") else "quay.io/x/vllm"
    assert version_in(config, ImageRef.parse(name + at)) == version


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


def pushed(registry: Registry, folder: Path, settings: dict[str, Any]) -> str:
    """Push a serving image, and return it by digest."""
    write_layout(folder / "image", [tar_of({"a": b"a"})], "v1", settings=settings)
    made = push(f"oci:{folder / 'image'}:v1", f"docker://{registry.host}/vllm:v1")
    return f"{registry.host}/vllm@{made.digest}"


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(LLAMA))
    return str(tmp_path / "model")


def test_an_image_in_a_registry_is_read_without_its_layers(
    registry: Registry, model: str, tmp_path: Path
) -> None:
    image = pushed(registry, tmp_path, {"Labels": {"ai.vllm.image.tag": "v0.11.2"}})
    found = fit(model, gpus="L4", vllm=image, allow_no_weights=True)
    assert found.plan.goal.vllm == "0.11.2"
    assert f"vLLM 0.11.2, as the image {image} says" in found.text
    assert f"image {image}" in found.markdown


@pytest.mark.parametrize("settings", [{}, {"Labels": UBUNTU}])
def test_an_image_that_does_not_say_is_planned_as_the_default_and_that_is_said(
    registry: Registry, model: str, tmp_path: Path, settings: dict[str, Any]
) -> None:
    image = pushed(registry, tmp_path, settings)
    found = fit(model, gpus="L4", vllm=image, allow_no_weights=True)
    assert found.plan.goal.vllm == SERVED
    said = f"planned as vLLM {SERVED}: nothing says which {image} holds"
    assert said in found.text
    assert said in found.deployment["gpu_plan"]


def test_a_registry_that_is_away_is_no_failure(model: str) -> None:
    found = fit(model, gpus="L4", vllm=f"127.0.0.1:9/vllm{DIGEST}", allow_no_weights=True)
    assert found.plan.goal.vllm == SERVED
    assert f"planned as vLLM {SERVED}: 127.0.0.1:9/vllm" in found.deployment["gpu_plan"]
    assert "was not read" in found.deployment["gpu_plan"]


def test_a_tag_says_it_where_the_registry_is_away() -> None:
    version, said = served_by("127.0.0.1:9/vllm:v0.20.2", Access(), SERVED)
    assert (version, said) == ("0.20.2", "vLLM 0.20.2, as the image 127.0.0.1:9/vllm:v0.20.2 says")


@pytest.mark.parametrize("text", ["0.24.0", "rhoai-3.4", "0.11.2+rhai5"])
def test_a_version_is_taken_as_it_is(text: str) -> None:
    assert served_by(text, Access(), SERVED) == (text, "")


@pytest.mark.parametrize("text", ["quay.io/x/vllm:", "quay.io/X/vllm:1", "newest"])
def test_what_is_neither_is_refused_before_anything_is_read(text: str) -> None:
    with pytest.raises(InputError) as caught:
        fit("./absent", gpus="L4", vllm=text)
    assert "\n" not in str(caught.value)


def test_the_pipeline_plans_for_the_image_that_will_run() -> None:
    image = f"registry.redhat.io/rhaii/vllm-cuda-rhel9{DIGEST}"
    assert Run("a/b", "quay.io/t/m:1", runtime_image=image).plan_settings()["vllm"] == image
    said = Run("a/b", "quay.io/t/m:1", runtime_image=image, settings={"vllm": "0.18.0"})
    assert said.plan_settings()["vllm"] == "0.18.0"
