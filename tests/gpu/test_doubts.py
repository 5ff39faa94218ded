"""What the plan does not know it says, with no number made up, in every report and quietly too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ferrying import carferry
from gpu.api import api, node
from gpu.samples import config_of

from carferry.gpu.inventory.catalogue import products
from carferry.gpu.inventory.read import read_inventory
from carferry.gpu.report import text
from carferry.gpu.search.decide import decide
from carferry.gpu.search.goal import Goal
from carferry.gpu.search.unchecked import takes_auto
from carferry.gpu.units import GIB
from carferry.gpu.vllm.version import find_version
from carferry.refs import ImageRef
from carferry.steps.fitted import Fit
from carferry.steps.served import check_served, version_in

HARDWARE = "/apis/infrastructure.opendatahub.io/v1/hardwareprofiles"
LLAMA_8B = config_of("meta-llama/Llama-3.1-8B-Instruct")
BARE: dict[str, Any] = {"model_type": "foonet"}
PARTS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
WITHOUT = [
    {**{key: LLAMA_8B[key] for key in PARTS if key != part}, "model_type": "foonet"}
    for part in PARTS
]


def reports(fit: Fit) -> tuple[str, ...]:
    return fit.text, fit.markdown, fit.html, json.dumps(fit.as_json()), str(fit.deployment)


def fitted(config: dict[str, Any], gpus: str, vllm: str = "0.24.0") -> Fit:
    return Fit(decide(config, gpus=gpus, goal=Goal(vllm=vllm), subject="org/model"))


@pytest.mark.parametrize("config", [BARE, *WITHOUT])
def test_no_weight_is_told_that_nobody_counted(config: dict[str, Any]) -> None:
    """It said "16.5 GiB weights", of numbers that it had assumed."""
    fit = fitted(config, "L40S x2")

    for report in reports(fit):
        assert not re.search(r"[0-9.]+ (?:GiB )?weights|weights [0-9]", report)
        assert "can run at once" not in report
    assert "weights unknown" in fit.deployment["gpu_plan"]
    assert "| unknown |" in fit.markdown
    assert "What its weights take is not known" in fit.text


@pytest.mark.parametrize("gpus", ["L40S", "Gaudi 3"])
@pytest.mark.parametrize("vllm", ["0.13.0", "0.14.0", "0.24.0", "0.33.0"])
@pytest.mark.parametrize("config", [BARE, {**LLAMA_8B, "model_type": "foonet"}, LLAMA_8B])
def test_every_report_has_the_context_of_the_command(
    config: dict[str, Any], vllm: str, gpus: str
) -> None:
    """The command said `auto` and the report 8192."""
    fit = fitted(config, gpus, vllm)
    (flag,) = (each for each in fit.vllm_args if each.startswith("--max-model-len"))
    length = flag.partition("=")[2]

    assert str(fit.as_json()["max_model_len"]) == length
    assert f"| {length} |" in fit.markdown
    assert (length == "auto") == (takes_auto(find_version(vllm)) and fit.verdict == "unchecked")
    if length == "auto":
        assert not any(re.search(r"of [0-9]+ tokens", report) for report in reports(fit))


OTHERS = [gpu.name for gpu in products() if gpu.vendor not in ("nvidia", "amd", "intel")]
UNKNOWN_MAKERS = (
    "huawei.com/Ascend910",
    "google.com/tpu",
    "aws.amazon.com/neuron",
    "habana.ai/gaudi",
)
REST = [gpu.name for gpu in products() if gpu.vendor != "nvidia" and gpu.memory_gib > 40]


@pytest.mark.parametrize("gpu", OTHERS)
def test_where_vllm_has_no_platform_only_the_weights_are_checked(gpu: str) -> None:
    """Gaudi fitted, with CUDA graphs and figures of NVIDIA."""
    fit = fitted(LLAMA_8B, gpu)

    assert fit.verdict == "unchecked"
    assert "through a plugin" in fit.warning
    assert all("through a plugin" in report for report in reports(fit))
    assert decide(config_of("meta-llama/Llama-3.1-70B-Instruct"), gpus=gpu).verdict.value == "no"


@pytest.mark.parametrize("resource", UNKNOWN_MAKERS)
def test_a_node_of_another_maker_is_unchecked(resource: str) -> None:
    labels = {f"{resource}.product": "Thing 9", f"{resource}.memory": "65536"}
    other = node("a", "", labels=labels)
    other["status"]["allocatable"] = {resource: "8"}
    asks = {"identifier": resource, "maxCount": 8, "resourceType": "Accelerator"}
    spec = {"identifiers": [asks], "scheduling": {"node": {"nodeSelector": labels}}}
    for lists in (
        {"/api/v1/nodes": [other]},
        {"/api/v1/nodes": [], HARDWARE: [{"metadata": {"name": "other"}, "spec": spec}]},
    ):
        with api({"/api/v1/pods": [], **lists}) as list_:
            inventory = read_inventory(list_, namespace="team")
        fit = Fit(decide(LLAMA_8B, gpus=inventory, subject="org/model"))

        assert (fit.verdict, fit.deployment["gpu_resource"]) == ("unchecked", resource)
        assert not any("CUDA" in report for report in reports(fit))


@pytest.mark.parametrize("gpu", REST)
def test_no_word_of_another_vendor_stands_in_a_report(gpu: str) -> None:
    for report in reports(fitted(LLAMA_8B, gpu)):
        assert "CUDA" not in report.replace("vllm-cuda", "")
        assert "NCCL" not in report


@pytest.mark.parametrize(
    ("options", "doubt"),
    [
        (("--vllm", "9.9.9"), "planned as vLLM 0.33.0, the nearest known to 9.9.9"),
        (("--gpu", "L40S", "--vllm", "9.9.9"), "planned as vLLM 0.33.0, the nearest known to"),
        (("--gpu", "Gaudi 3"), "unchecked: the plan does not know Gaudi-3"),
        (("--gpu", "T4-SHARED"), "time-sliced GPU: other pods hold memory"),
        (("--gpu", "L4", "--vllm", "127.0.0.1:9/vllm:dev"), "planned as vLLM"),
    ],
)
def test_doubts_survive_quiet(
    options: tuple[str, ...], doubt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = LLAMA_8B | {"num_hidden_layers": 4}
    (tmp_path / "config.json").write_text(json.dumps(small))
    plan = ("plan", str(tmp_path), "--allow-no-weights", "--quiet", *options)

    said = carferry(capsys, *plan).out
    assert doubt in said
    assert "note: " not in said


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("vllm/vllm-openai:v0.10.2", "0.10.2"),
        ("vllm/vllm-openai-rocm:v0.20.1", "0.20.1"),
        ("docker.io/vllm/vllm-openai:v0.10.2", "0.10.2"),
        ("my_org/vllm-openai:v0.11.0-cu129", "0.11.0"),
    ],
)
def test_an_image_is_named_as_people_type_it(text: str, version: str) -> None:
    """`vllm/vllm-openai:v0.10.2` had "no registry host before the first '/'"."""
    check_served(text)
    name = text if text.startswith("docker.io") else f"docker.io/{text}"
    assert version_in({}, ImageRef.parse(name)) == version


@pytest.mark.parametrize(
    ("goal", "change"),
    [
        (Goal(utilization=1.0), "lower --gpu-memory-utilization to 0.92, which you set to 1"),
        (Goal(utilization=0.3), "raise --gpu-memory-utilization to 0.92, which you set to 0.3"),
        (Goal(lora_rank=64, loras=200),
         "lower --max-loras to 16, which you set to 200"),
    ],
)  # fmt: skip
def test_what_the_user_set_is_what_to_change(goal: Goal, change: str) -> None:
    found = Fit(decide(LLAMA_8B, gpus="L40S", goal=goal, subject="org/model"))

    assert found.plan.changes == (change,)
    assert not any("0.0 GiB" in report for report in (found.text, found.markdown, found.html))


@pytest.mark.parametrize("text", ["24GiB x2", "24GB", "141 GiB"])
def test_a_typed_memory_is_no_product(text: str) -> None:
    said = " ".join(fitted(LLAMA_8B, text).plan.notes)

    assert "catalogue" not in said
    assert "data sheet" not in said
    assert "a memory without a product" in said


def test_adapters_are_named_where_they_take_the_memory() -> None:
    """62 GiB of them stood in no sentence, and activations were blamed."""
    goal = Goal(vllm="0.24.0", lora_rank=64, loras=200)
    found = decide(config_of("meta-llama/Llama-3.1-8B-Instruct"), gpus="H100", goal=goal)

    assert found.binding == "adapters"
    assert "GiB LoRA adapters" not in text.text(decide(config_of("Qwen/Qwen3-8B"), gpus="H100"))
    assert re.search(r"\d GiB weights, .* LoRA adapters", text.text(found).replace("\n", " "))


def test_the_title_of_a_folder_is_its_last_part() -> None:
    found = decide(config_of("Qwen/Qwen3-8B"), gpus="H100", subject="/data/models/Qwen3-8B/")

    assert text.text(found).splitlines()[:2] == [
        "Qwen3-8B",
        "[fits] Qwen3-8B fits on 1 x H100-80GB",
    ]


@pytest.mark.parametrize(
    ("model", "gpu", "fits"),
    [
        ("openai/gpt-oss-20b", "A100-80GB", False),
        ("openai/gpt-oss-20b", "L40S x2", True),
        ("Qwen/Qwen3-8B", "A100-80GB", True),
    ],
)
def test_an_fp8_cache_that_only_triton_would_read_is_refused(
    model: str, gpu: str, fits: bool
) -> None:
    goal = Goal(vllm="0.24.0", kv_dtype="fp8")

    assert decide(config_of(model), gpus=gpu, goal=goal).is_fit is fits


def test_experts_beside_a_dense_mlp_are_not_that_mlp() -> None:
    """Gemma 4's ignored MLPs took its packed experts with them: 48.5 GiB for some 18."""
    found = decide(config_of("nvidia/Gemma-4-26B-A4B-NVFP4"), gpus="B200")

    best = found.chosen.best if found.chosen else None
    assert best
    assert best.weights / GIB < 20
