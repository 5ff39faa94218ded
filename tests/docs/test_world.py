"""The names of the pages lead to the tests' servers, and what is only looked at is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from docs import models
from docs.blocks import parse
from docs.session import Outcome
from docs.world import Stage, World

Shell = Callable[[str], Outcome]
PLAIN = "reference/waiting.md"  # a page without a scene
CURL = "curl --silent --output /dev/null --write-out '%{http_code}' "


@pytest.fixture
def world(stage: Stage, tmp_path: Path) -> Iterator[World]:
    with World(stage, PLAIN, tmp_path / "world") as made:
        yield made


def shell(world: World, *commands: str) -> list[Outcome]:
    """Run commands in the shell of a page, whether they fail or not."""
    with world.session() as session:
        text = "<!-- exit: 1 -->\n```sh\n{}\n```\n"
        return [session.run(*parse(text.format(command))) for command in commands]


def test_a_name_leads_through_the_proxy_to_its_server(world: World, stage: Stage) -> None:
    hub, quay, base = shell(
        world,
        f"{CURL} https://huggingface.co/api/models/{models.SMOL}",
        f"{CURL} https://quay.io/v2/",
        f"{CURL} https://registry.access.redhat.com/v2/ubi9/ubi-micro/manifests/latest"
        " --header 'Accept: application/vnd.oci.image.manifest.v1+json'",
    )
    assert [each.output for each in (hub, quay, base)] == ["200", "401", "200"]
    assert stage.forward.saw("CONNECT quay.io")


def test_a_name_without_a_server_leads_nowhere(world: World) -> None:
    (outcome,) = shell(world, "curl --silent --show-error https://nowhere.example.com/")
    assert outcome.code != 0


def test_python_finds_the_names_without_the_proxy_and_the_proxy_by_its_name(
    world: World, stage: Stage
) -> None:
    plan = "carferry plan Qwen/Qwen2.5-0.5B-Instruct docker://quay.io/team/qwen:1 --json -q"
    without, by_name = shell(
        world,
        f"env --unset HTTPS_PROXY {plan}",
        f"HTTPS_PROXY=http://proxy.example.com:3128 {plan}",
    )
    assert (without.code, by_name.code) == (0, 0), without.output + by_name.output


def test_the_companys_authority_can_be_one_that_is_not_trusted(world: World) -> None:
    world.private_authority()
    plan = f"carferry plan {models.SMOL} docker://registry.example.com/team/x:1"
    refused, trusted, public = shell(
        world,
        plan,
        f"{plan} --ca ca-bundle.crt",
        f"carferry plan {models.SMOL} docker://quay.io/team/x:1",
    )
    assert refused.code == 1
    assert "certificate" in refused.output
    assert (trusted.code, public.code) == (0, 0), trusted.output + public.output


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("make demo", 0),
        ("make nothing-of-that-name", 2),
        ("pip install '.[embedded]'", 0),
        ("pip install '.[nothing]'", 1),
        ("pip install ./nothing.whl", 1),
        ("python -m pip install -r nothing.txt", 1),
        ("python3 -m venv fresh && . fresh/bin/activate && command -v carferry | grep fresh", 0),
    ],
)
def test_what_installs_is_looked_at(world: World, command: str, code: int) -> None:
    (outcome,) = shell(world, command)
    assert outcome.code == code, outcome.output


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        (models.SMOL, 0.269),
        ("ibm-granite/granite-3.1-2b-instruct", 5.07),
        ("meta-llama/Llama-3.1-8B-Instruct", 16.06),
        ("meta-llama/Llama-3.1-405B-Instruct", 811.7),
        ("Qwen/Qwen2.5-0.5B-Instruct", 0.988),
        ("Qwen/Qwen2.5-7B-Instruct", 15.23),
    ],
)
def test_models_are_as_large_as_the_real_ones(name: str, gigabytes: float) -> None:
    files = models.files(name)
    sizes = [
        held.size
        for path, held in files.items()
        if path.endswith(".safetensors")  # type: ignore[union-attr]
    ]
    assert sum(sizes) / 1e9 == pytest.approx(gigabytes, rel=2e-3)


def test_a_world_is_gone_afterwards(stage: Stage, tmp_path: Path) -> None:
    with World(stage, PLAIN, tmp_path / "world") as world:
        assert (world.cwd / "compiled/modelcar.yaml").exists()
        assert not (world.cwd / "tests").exists()
    assert not world.folder.exists()
