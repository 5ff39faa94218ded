from __future__ import annotations

import pytest
from gpu.samples import shape_of

from carferry.gpu.inventory.catalogue import find
from carferry.gpu.loaded.cut import Ranks, ways
from carferry.gpu.loaded.stages import stage_layers
from carferry.gpu.memory.choice import Choice
from carferry.gpu.search.command import command_of
from carferry.gpu.search.goal import Goal
from carferry.gpu.sizing.estimate import Model, estimate
from carferry.gpu.sizing.parallel import pipeline_reason, tensor_reason, valid_tensor_sizes
from carferry.gpu.sizing.starts import refusals
from carferry.gpu.vllm.version import find_version


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("ibm-granite/granite-3.1-8b-instruct", (1, 2, 4, 8, 16)),
        ("microsoft/phi-4", (1, 2)),
        ("Qwen/Qwen2.5-7B-Instruct", (1, 2, 4)),
        ("Qwen/Qwen2.5-0.5B-Instruct", (1, 2)),
        ("Qwen/Qwen3-235B-A22B", (1, 2, 4, 8, 16)),
        ("Qwen/Qwen3-235B-A22B-FP8", (1, 2, 4)),
        ("openai/gpt-oss-120b", (1, 2, 4, 8)),
        ("deepseek-ai/DeepSeek-V3", (1, 2, 4, 8, 16)),
        ("openai/whisper-large-v3", (1, 2, 4)),
        ("ibm-granite/granite-4.0-h-small", (1, 2, 4, 8, 16)),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", (1, 2, 4, 8)),
    ],
)
def test_valid_tensor_parallel_sizes(model: str, sizes: tuple[int, ...]) -> None:
    assert valid_tensor_sizes(shape_of(model)) == sizes


@pytest.mark.parametrize(
    ("model", "tp", "reason"),
    [
        ("microsoft/phi-4", 4, "10 KV heads neither divide by nor into 4"),
        ("microsoft/phi-4", 5, "padded vocabulary 100352 does not divide by 5"),
        ("openai/gpt-oss-20b", 16, "8 KV heads cannot be copied to 16 ranks by this model's code"),
        ("mistralai/Mixtral-8x7B-v0.1", 16, "16 ranks for 8 experts"),
        ("microsoft/phi-4", 3, "40 attention heads do not divide by 3"),
        ("Qwen/Qwen3-235B-A22B-FP8", 8, "experts width 1536 / 8 is not whole FP8 blocks of 128"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 7, "4 KV heads neither divide by nor into 7"),
    ],
)
def test_refused_size_says_why(model: str, tp: int, reason: str) -> None:
    assert tensor_reason(shape_of(model), tp) == reason


def test_odd_vocabulary_is_padded_before_it_is_divided() -> None:
    shape = shape_of("ibm-granite/granite-3.1-2b-instruct")

    assert (shape.vocab % 2, tensor_reason(shape, 2)) == (1, "")


def test_left_over_layers_avoid_the_last_stage() -> None:
    assert stage_layers(10, 4) == ((0, 2), (2, 5), (5, 8), (8, 10))


@pytest.mark.parametrize(
    ("model", "pp", "reason"),
    [
        ("openai/whisper-large-v3", 2, "has no pipeline parallelism"),
        ("Qwen/Qwen2.5-0.5B-Instruct", 25, "24 layers cannot fill 25 stages"),
    ],
)
def test_refused_pipeline_says_why(model: str, pp: int, reason: str) -> None:
    assert reason in pipeline_reason(shape_of(model), pp, find_version())


@pytest.mark.parametrize(
    ("model", "tp", "copied"),
    [
        ("moonshotai/Kimi-K3", 8, True),
        ("moonshotai/Kimi-K3", 4, False),
        ("zai-org/GLM-4.1V-9B-Thinking", 8, True),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 4, False),
    ],
)
def test_a_tower_whose_heads_do_not_divide_runs_whole_on_every_rank(
    model: str, tp: int, copied: bool
) -> None:
    """The old code refused: 12 encoder heads do not divide by 8."""
    shape = shape_of(model)
    given = Choice(find("H200"), tp=tp, kv_dtype="fp8")
    best = estimate(Model(shape), given, find_version("0.33.0"))
    mode = command_of(Model(shape), Goal(), best).mm_encoder_tp_mode

    assert tensor_reason(shape, tp) == ""
    assert mode == ("data" if copied else None)
    assert shape.vision is not None
    assert ways(shape, "tower", Ranks(tp)) == (1 if copied else tp)
    old = " ".join(refusals(shape, given, find_version("0.10.1")))
    assert ("encoder heads do not divide" in old) is copied
