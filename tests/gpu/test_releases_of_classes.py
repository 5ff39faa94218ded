"""A class is asked for by its name alone: which release had it first, and which last."""

from __future__ import annotations

import pytest
from gpu.samples import LLAMA, config_of

from carferry.gpu.search.decide import decide
from carferry.gpu.search.plan import Goal, GpuPlan

BART = {
    "model_type": "bart", "d_model": 1024, "encoder_layers": 12, "decoder_layers": 12,
    "decoder_attention_heads": 16, "vocab_size": 50265, "is_encoder_decoder": True,
}  # fmt: skip


def planned(config: dict[str, object], version: str) -> GpuPlan:
    return decide(config, gpus="H200 x8", goal=Goal(vllm=version))


@pytest.mark.parametrize(
    ("model", "version", "first"),
    [
        ("deepseek-ai/DeepSeek-V4-Flash", "0.11.0", "0.20.0"),
        ("MiniMaxAI/MiniMax-M3", "0.23.0", "0.24.0"),
        ("stepfun-ai/Step-3.7-Flash", "0.22.0", "0.23.0"),
        ("deepseek-ai/DeepSeek-V3.2", "0.10.2", "0.11.0"),
    ],
)
def test_a_release_before_the_class_does_not_start(model: str, version: str, first: str) -> None:
    config = config_of(model)
    found = planned(config, version)

    assert not found.is_fit
    said = f"vLLM {version} has no {config['architectures'][0]}: it came with {first}"
    assert {option.reason for option in found.options} == {said}


@pytest.mark.parametrize(
    "name",
    ["BartForConditionalGeneration", "MBartForConditionalGeneration",
     "Florence2ForConditionalGeneration"],
)  # fmt: skip
def test_an_encoder_decoder_that_vllm_no_longer_has_is_refused(name: str) -> None:
    config = {**BART, "architectures": [name]}

    assert planned(config, "0.10.2").is_fit
    assert not planned(config, "0.11.0").is_fit
    reasons = {option.reason for option in planned(config, "0.24.0").options}
    assert reasons == {f"vLLM 0.24.0 no longer has {name}: 0.10.2 was the last"}


def test_a_class_that_nobody_serves_is_unchecked() -> None:
    config = {**LLAMA, "architectures": ["FooForCausalLM"]}

    assert planned(config, "0.24.0").verdict.value == "unchecked"
