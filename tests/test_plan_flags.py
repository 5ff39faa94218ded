"""Every option of a GPU plan is checked before anything is read: one line, exit 2, what exists."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from ferrying import carferry
from gpu.samples import LLAMA

from carferry.errors import InputError
from carferry.gpu.search.plan import Goal
from carferry.run.request import Run
from carferry.steps.fit_settings import FitSettings

NUMBERS = (
    "--max-model-len", "--max-num-seqs", "--gpu-count", "--nodes", "--data-parallel",
    "--speculative-tokens", "--lora-rank", "--max-loras",
)  # fmt: skip
NO_NUMBERS = ("x-2", "-1", "NaN", "nan", "inf", "1e9", "1.5", "2000000000", " ", "0x10", "٣x")
NO_SHARES = ("0", "1.5", "-0.5", "NaN", "inf", "1e9", "1e-1", "x-2", "0.001", "90%", "0,9")
WORDS = {
    "--quantization": ("banana", "fp4", "FP8", "awq", "NaN"),
    "--dtype": ("banana", "int8", "bf16", "NaN"),
    "--kv-cache-dtype": ("banana", "int8", "fp16", "NaN"),
    "--vllm": ("banana", "NaN", "x-2", "latest"),
    "--family": ("banana", "NaN"),
    "--expert-parallel": ("banana", "yes", "NaN"),
    "--on-unknown": ("banana", "warn", "NaN"),
    "--gpu": ("banana", "NaN x2", "L40S x0", "L40S x-2"),
}
TABLE = [
    *((option, value) for option in NUMBERS for value in NO_NUMBERS if value.strip()),
    *(("--gpu-memory-utilization", value) for value in NO_SHARES),
    *((option, value) for option, values in WORDS.items() for value in values),
]


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    return str(tmp_path)


@pytest.mark.parametrize(("option", "value"), TABLE)
def test_a_value_that_cannot_be_meant_is_one_line_and_exit_2(
    option: str, value: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu = [] if option == "--gpu" else ["--gpu", "L40S x2"]
    done = carferry(capsys, "plan", model, *gpu, f"{option}={value}")

    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("option", "value", "exists"),
    [
        ("--quantization", "banana", "fp8"),
        ("--dtype", "bf16", "bfloat16"),
        ("--kv-cache-dtype", "int8", "auto, fp8"),
        ("--lora-rank", "7", "8, 16, 32"),
    ],
)
def test_what_exists_is_named(
    option: str, value: str, exists: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = carferry(capsys, "plan", model, "--gpu", "L40S", option, value)
    assert (done.code, option in done.err, exists in done.err) == (2, True, True), done.err


@pytest.mark.parametrize(("option", "value"), TABLE)
def test_python_and_pipelines_refuse_it_too(option: str, value: str) -> None:
    name = {"--gpu": "gpus"}.get(option, option.removeprefix("--").replace("-", "_"))
    given: dict[str, Any] = {name: value}
    with pytest.raises(InputError):
        FitSettings(**given).check()


@pytest.mark.parametrize(
    "given",
    [
        {"gpu_memory_utilization": math.nan}, {"gpu_memory_utilization": math.inf},
        {"gpu_memory_utilization": 0}, {"gpu_memory_utilization": True},
        {"max_num_seqs": math.nan}, {"max_num_seqs": -1}, {"max_num_seqs": 1.5},
        {"max_model_len": 10**12}, {"lora_rank": 7}, {"expert_parallel": "maybe"},
        {"on_unknown": ["stop"]}, {"dtype": {"a": 1}}, {"kv_cache_dtype": "x" * 100_001},
    ],
)  # fmt: skip
def test_values_of_other_types_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        FitSettings(**given).check()


@pytest.mark.parametrize(
    "goal",
    [
        {"utilization": math.nan}, {"utilization": 0.0}, {"utilization": -1.0},
        {"max_num_seqs": 0}, {"max_num_seqs": math.nan}, {"max_model_len": -1}, {"nodes": 0},
        {"concurrency": math.nan}, {"concurrency": 0.0}, {"quantization": "banana"},
        {"dtype": "int8"}, {"kv_dtype": "int8"}, {"lora_rank": 9}, {"data_parallel": -2},
    ],
)  # fmt: skip
def test_a_goal_is_checked_as_well(goal: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Goal(**goal).check("model")


@pytest.mark.parametrize(
    "settings",
    [
        {"gpu_memory_utilization": "1.5"}, {"gpu_memory_utilization": 0},
        {"kv_cache_dtype": "int8"}, {"on_unknown": "perhaps"}, {"max_num_seqs": "x-2"},
    ],
)  # fmt: skip
def test_a_pipelines_settings_are_checked_before_a_byte_moves(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Run("org/name", "docker://quay.io/me/model:1", settings=settings, gpus="L40S").check_plan()


def test_empty_is_open(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = (*NUMBERS, "--gpu-memory-utilization", "--dtype", "--kv-cache-dtype")
    done = carferry(capsys, "plan", model, "--gpu", "L40S x2", *(f"{each}=" for each in options))
    assert done.code == 0, done.err


def test_all_options_reach_the_command(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = carferry(
        capsys, "plan", model, "--gpu", "L40S x2", "--json", "--gpu-memory-utilization", "0.5",
        "--kv-cache-dtype", "fp8", "--dtype", "float16", "--lora-rank", "64", "--max-loras", "3",
        "--max-num-seqs", "48", "--max-model-len", "2048", "--gpu-count", "2",
    )  # fmt: skip
    assert json.loads(done.out)["fit"]["arguments"] == [
        "--tensor-parallel-size=2",
        "--dtype=float16",
        "--kv-cache-dtype=fp8",
        "--max-model-len=2048",
        "--max-num-seqs=48",
        "--max-num-batched-tokens=2048",
        "--gpu-memory-utilization=0.5",
        "--enable-lora",
        "--max-loras=3",
        "--max-lora-rank=64",
    ]


def test_draft_layers_that_the_model_lacks_are_refused(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = carferry(capsys, "plan", model, "--gpu", "L40S", "--speculative-tokens", "2")
    assert (done.code, "no layers that draft" in done.err) == (2, True)
