"""Mistral's params.json plans as the config.json of the same model does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gpu.samples import LLAMA, llama_file
from servers.models import weights

from carferry.errors import InputError
from carferry.gpu.loaded.params import parameter_count
from carferry.gpu.model.config import parse_config
from carferry.gpu.model.mistral import from_params
from carferry.gpu.search.decide import decide
from carferry.gpu.shape.shape import LayerKind
from carferry.steps.fit import fit

CONFIGS = Path(__file__).parent.parent / "data" / "configs"
SEVEN = {
    "dim": 4096, "n_layers": 32, "head_dim": 128, "hidden_dim": 14336, "n_heads": 32,
    "n_kv_heads": 8, "norm_eps": 1e-5, "vocab_size": 32000, "rope_theta": 1000000.0,
}  # fmt: skip
SMALL = {
    "dim": 5120, "n_layers": 40, "head_dim": 128, "hidden_dim": 32768, "n_heads": 32,
    "n_kv_heads": 8, "norm_eps": 1e-5, "vocab_size": 131072, "rope_theta": 1000000000.0,
    "max_seq_len": 131072,
    "vision_encoder": {
        "hidden_size": 1024, "num_channels": 3, "image_size": 1540, "patch_size": 14,
        "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
        "spatial_merge_size": 2,
    },
}  # fmt: skip
PAIRS: dict[str, dict[str, Any]] = {
    "mistralai--Mistral-7B-Instruct-v0.2": SEVEN,
    "mistralai--Mixtral-8x7B-v0.1": {**SEVEN, "moe": {"num_experts_per_tok": 2, "num_experts": 8}},
    "mistralai--Mistral-Small-3.2-24B-Instruct-2506": SMALL,
}
LARGE = {
    "dim": 7168, "n_layers": 61, "head_dim": 192, "hidden_dim": 16384, "n_heads": 128,
    "n_kv_heads": 128, "vocab_size": 131072, "q_lora_rank": 1536, "kv_lora_rank": 512,
    "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128,
    "moe": {
        "num_experts": 128, "num_experts_per_tok": 4, "expert_hidden_dim": 4096,
        "num_shared_experts": 1, "first_k_dense_replace": 3, "route_every_n": 1,
    },
    "quantization": {"qformat_weight": "fp8_e4m3", "qscheme_act": "TENSOR"},
}  # fmt: skip
ALIKE = ("hidden", "intermediate", "vocab", "layers", "heads", "experts", "vision", "dense_layers")


@pytest.mark.parametrize("name", PAIRS)
def test_both_descriptions_of_a_model_are_of_one_shape(name: str) -> None:
    theirs = parse_config(json.loads((CONFIGS / f"{name}.json").read_text()))
    ours = parse_config(from_params(PAIRS[name]))
    assert [getattr(ours, field) for field in ALIKE] == [getattr(theirs, field) for field in ALIKE]


def test_experts_and_latent_attention_are_read() -> None:
    shape = parse_config(from_params(LARGE))
    assert shape.latent is not None
    assert shape.experts is not None
    assert (shape.latent.kv_rank, shape.experts.count, shape.experts.layers) == (512, 128, 58)
    assert shape.quantization is not None
    assert shape.quantization.method == "fp8"


@pytest.mark.parametrize(
    ("window", "sliding"), [(4096, 32), ([None, 4096], 16), ([4096, 4096, 4096, None], 24)]
)
def test_a_window_may_be_given_for_each_layer(window: object, sliding: int) -> None:
    shape = parse_config(from_params({**SEVEN, "sliding_window": window}))
    assert (shape.count(LayerKind.SLIDING), shape.window) == (sliding, 4096)


def test_positions_are_those_that_vllm_assumes() -> None:
    assert parse_config(from_params(SEVEN)).positions == 128_000
    assert parse_config(from_params(SMALL)).positions == 131_072


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"dim": None}, InputError),
        ({"n_layers": "many"}, InputError),
        ({"moe": 3}, InputError),
        ({"vision_encoder": "yes"}, InputError),
        ({"multimodal": {"whisper_model_args": {"encoder_args": {}}}}, InputError),
        ({"multimodal": {"whisper_model_args": {"encoder_args": 7}}}, InputError),
        ({"model_type": "mamba", "dim": -1}, InputError),
    ],
)
def test_what_cannot_be_planned_is_one_line(change: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        parse_config(from_params({**SEVEN, **change}))
    assert "\n" not in str(caught.value)


HEARS = {
    "encoder_args": {
        "audio_encoding_args": {"num_mel_bins": 128}, "dim": 1280, "n_layers": 32,
        "head_dim": 64, "hidden_dim": 5120, "n_heads": 20, "vocab_size": 51866,
        "max_source_positions": 1500,
    },
    "downsample_args": {"downsample_factor": 4},
}  # fmt: skip


def test_one_that_hears_has_its_audio_encoder() -> None:
    shape = parse_config(from_params({**SEVEN, "multimodal": {"whisper_model_args": HEARS}}))
    assert shape.unknown == ""
    assert shape.vision is not None
    # transformers 5.24 VoxtralEncoder and projector for a decoder of 3072: 636.97 M + 25.17 M.
    wider = 5120 * (4096 - 3072) + 4096**2 - 3072**2
    assert shape.vision.weights == pytest.approx(662.14e6 + wider, rel=0.001)


def test_one_without_attention_keeps_a_state() -> None:
    params = {
        "model_type": "mamba",
        "dim": 4096,
        "n_layers": 64,
        "vocab_size": 32768,
        "n_groups": 8,
    }
    shape = parse_config(from_params(params))
    assert (shape.unknown, shape.count(LayerKind.STATE)) == ("", 64)
    # transformers 5.24 Mamba2ForCausalLM of the same sizes.
    assert parameter_count(shape) == pytest.approx(7_285_403_648, rel=0.001)


TINY = {
    "dim": 16, "n_layers": 2, "head_dim": 8, "hidden_dim": 32, "n_heads": 2, "n_kv_heads": 1,
    "vocab_size": 32,
}  # fmt: skip
TENSORS = {
    "tok_embeddings.weight": (32, 16), "norm.weight": (16,), "output.weight": (32, 16),
    **{f"layers.{n}.attention.w{part}.weight": (16, 16) for n in (0, 1) for part in "qkvo"},
}  # fmt: skip


def test_mistrals_own_layout_is_planned_and_vllm_told_of_it(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text(json.dumps(TINY))
    (tmp_path / "tekken.json").write_text("{}")
    (tmp_path / "consolidated.safetensors").write_bytes(weights(TENSORS))
    found = fit(tmp_path, gpus="L4", max_model_len=1024)
    formats = ("--tokenizer-mode=mistral", "--config-format=mistral", "--load-format=mistral")
    assert (found.verdict, found.vllm_args[-3:]) == ("fits", formats)
    assert found.deployment["vllm_args"][-3:] == formats
    assert {tensor.name for tensor in found.plan.model.tensors} == set(TENSORS)
    assert all(argument in found.text for argument in formats)


def test_weights_of_another_depth_than_params_say_are_refused(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text(json.dumps({**TINY, "n_layers": 3}))
    (tmp_path / "consolidated.safetensors").write_bytes(weights(TENSORS))
    with pytest.raises(InputError, match=r"layer 2 of the 3 that params\.json counts"):
        fit(tmp_path, gpus="L4")


def test_a_second_copy_of_the_weights_is_not_counted() -> None:
    """As whisper-large-v3 has it: "tensor 'a' is in two files" once stopped the plan."""
    one = llama_file(LLAMA)
    index = json.dumps({"weight_map": {"model.norm.weight": "model.fp32.safetensors"}}).encode()
    files = {
        "config.json": b"{}", "model.safetensors": one, "model.fp32.safetensors": one,
        "model.safetensors.index.fp32.json": index,
    }  # fmt: skip
    plan = decide(
        LLAMA,
        gpus="L40S",
        files={path: len(data) for path, data in files.items()},
        read_range=lambda path, start, end: files[path][start:end],
    )
    assert len(plan.model.tensors) == 2 * 9 + 3
