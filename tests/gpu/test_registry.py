"""How much of what vLLM 0.33 serves is known, and that the rest is planned all the same."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from gpu.samples import CONFIGS, LLAMA

from carferry.gpu.model.classes import is_served_class
from carferry.gpu.model.config import parse_config
from carferry.gpu.shape.shape import ModelShape

REGISTRY: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[1] / "data" / "gpu" / "registry.json").read_text()
)
SIZES = {
    "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2,
    "num_attention_heads": 8, "vocab_size": 1000, "d_model": 256, "decoder_ffn_dim": 512,
    "decoder_layers": 2, "decoder_attention_heads": 8, "encoder_layers": 2,
    "encoder_attention_heads": 8, "encoder_ffn_dim": 512, "linear_num_heads": 8,
    "mamba_n_heads": 8, "mamba_num_heads": 8, "mamba_d_state": 16, "ssm_state_size": 16,
    "shared_intermediate_size": 512, "num_key_value_heads": 8,
    "linear_num_value_heads": 8, "linear_num_key_heads": 8, "linear_key_head_dim": 32,
    "linear_value_head_dim": 32, "linear_conv_kernel_dim": 4,
}  # fmt: skip
PURE = {"state_size": 16, "num_heads": 8}
LATENT = {"kv_lora_rank": 32, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16}


def shape_of(architecture: str) -> ModelShape:
    """Return what is made of a small config of an architecture."""
    _, model_type, inner = REGISTRY[architecture]
    sizes = {**SIZES, **(PURE if "mamba" in model_type else {}), **LATENT}
    named = {"architectures": [architecture], "model_type": model_type}
    if not inner:
        return parse_config({**named, **sizes})
    return parse_config({**named, "text_config": {"model_type": inner, **sizes}})


@pytest.mark.parametrize("architecture", REGISTRY)
def test_every_architecture_that_vllm_serves_has_a_shape(architecture: str) -> None:
    shape = shape_of(architecture)

    assert shape.hidden == SIZES["hidden_size"]
    assert shape.unknown in ("", f"architecture {shape.model_type!r}") or not shape.model_type


def test_most_of_what_vllm_serves_is_known() -> None:
    all_of, known = Counter[str](), Counter[str]()
    for architecture, (section, *_) in REGISTRY.items():
        all_of[section] += 1
        known[section] += not shape_of(architecture).unknown

    shares = {section: known[section] / count for section, count in all_of.items()}
    assert shares["text_generation"] > 0.82
    assert shares["multimodal"] > 0.73
    assert sum(known.values()) / sum(all_of.values()) > 0.79


@pytest.mark.parametrize("architecture", REGISTRY)
def test_every_class_that_vllm_serves_is_one(architecture: str) -> None:
    assert is_served_class(architecture)


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.json")))
def test_every_config_here_names_a_class_that_is_served(name: str) -> None:
    config = json.loads((CONFIGS / name).read_text())

    assert any(is_served_class(each) for each in config["architectures"])


@pytest.mark.parametrize(
    "architecture",
    [
        "FooForCausalLM",
        "MiniMaxM3ForCausalLM",
        "Step3p7FlashForCausalLM",
        "LlamaForCausalLMEagle3",
        "EagleLlamaForCausalLM",
        "Eagle3Qwen3ForCausalLM",
        "DeepSeekMTPModel",
        "Qwen3NextMTP",
        "MedusaModel",
        "MLPSpeculatorPreTrainedModel",
    ],
)
def test_a_class_that_nobody_serves_is_not_known_whatever_its_type(architecture: str) -> None:
    config = {**LLAMA, "architectures": [architecture]}

    assert parse_config(config).unknown == f"architecture {architecture!r}"
    assert parse_config(config, family="gqa").unknown == ""


@pytest.mark.parametrize(
    "architectures",
    [
        ["LlamaForCausalLM"],
        ["FooForCausalLM", "LlamaForCausalLM"],  # vLLM takes the first that it has
        ["LlamaModel"],
        ["LlamaForSequenceClassification"],
        ["LlamaForTokenClassification"],
        ["LlamaRewardModel"],
        [],
        None,
    ],
)
def test_a_class_that_vllm_has_or_adapts_is_known(architectures: list[str] | None) -> None:
    assert parse_config({**LLAMA, "architectures": architectures}).unknown == ""
