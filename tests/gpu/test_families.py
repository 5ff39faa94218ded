"""Every family is counted as transformers builds it on the meta device from its class defaults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carferry.gpu.loaded.params import parameter_count
from carferry.gpu.model.config import parse_config
from carferry.gpu.shape.shape import LayerKind

FAMILIES: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "gpu" / "families.json").read_text()
)


@pytest.mark.parametrize("name", FAMILIES)
def test_family_is_known_and_counted_within_half_a_percent(name: str) -> None:
    shape = parse_config(FAMILIES[name]["config"], subject=name)

    assert shape.unknown == ""
    assert parameter_count(shape) == pytest.approx(FAMILIES[name]["count"], rel=0.005)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("llama4_text", {LayerKind.CHUNKED: 36, LayerKind.FULL: 48}),
        ("falcon_h1", {LayerKind.FULL: 32, LayerKind.STATE: 32}),
        ("falcon_mamba", {LayerKind.FULL: 0, LayerKind.STATE: 32}),
        ("jamba", {LayerKind.FULL: 4, LayerKind.STATE: 28}),
        ("kimi_linear", {LayerKind.FULL: 6, LayerKind.STATE: 21}),
        ("minimax", {LayerKind.FULL: 16, LayerKind.STATE: 16}),
        ("mimo_v2_flash", {LayerKind.FULL: 9, LayerKind.SLIDING: 39}),
        ("cohere2", {LayerKind.FULL: 10, LayerKind.SLIDING: 30}),
        ("exaone4", {LayerKind.FULL: 8, LayerKind.SLIDING: 24}),
        ("gemma3n_text", {LayerKind.FULL: 7, LayerKind.SLIDING: 28}),
        ("modernbert", {LayerKind.FULL: 0, LayerKind.SLIDING: 0}),
    ],
)
def test_layers_keep_what_vllm_gives_them(name: str, kinds: dict[LayerKind, int]) -> None:
    shape = parse_config(FAMILIES[name]["config"])

    assert {kind: shape.count(kind) for kind in kinds} == kinds


@pytest.mark.parametrize(
    ("model_type", "more", "kinds"),
    [
        ("minimax_m2", {"attn_type_list": [1, 1]}, (LayerKind.FULL,) * 2),
        ("minimax_m1", {"attn_type_list": [0, 1]}, (LayerKind.STATE, LayerKind.FULL)),
        (
            "mimo_v2",
            {"hybrid_layer_pattern": [0, 1], "sliding_window": 128},
            (LayerKind.FULL, LayerKind.SLIDING),
        ),
        (
            "exaone4",
            {"sliding_window_pattern": "LG", "sliding_window": 128},
            (LayerKind.SLIDING, LayerKind.FULL),
        ),
        (
            "llama4_text",
            {"no_rope_layers": [1, 0], "attention_chunk_size": 64},
            (LayerKind.CHUNKED, LayerKind.FULL),
        ),
        ("starcoder2", {"sliding_window": 128}, (LayerKind.SLIDING,) * 2),
        (
            "smollm3",
            {"sliding_window": 128, "use_sliding_window": False},
            (LayerKind.FULL,) * 2,
        ),
        ("lfm2", {"full_attn_idxs": [1]}, (LayerKind.STATE, LayerKind.FULL)),
        (
            "nemotron-nas",
            {
                "block_configs": [
                    {"attention": {"n_heads_in_group": 4}, "ffn": {"ffn_mult": 2.625}},
                    {"attention": {"no_op": True}, "ffn": {"no_op": True}},
                ]
            },
            (LayerKind.FULL, LayerKind.NOTHING),
        ),
    ],
)
def test_layers_that_a_config_marks_by_numbers_are_read(
    model_type: str, more: dict[str, Any], kinds: tuple[LayerKind, ...]
) -> None:
    config = {
        "model_type": model_type, "hidden_size": 256, "intermediate_size": 512,
        "num_hidden_layers": 2, "num_attention_heads": 8, "vocab_size": 1000,
        "num_key_value_heads": 2,
    }  # fmt: skip

    assert parse_config({**config, **more}).layers == kinds


def test_blocks_of_a_searched_architecture_have_each_their_own_width() -> None:
    blocks = [
        {"attention": {"n_heads_in_group": 16}, "ffn": {"ffn_mult": 2.625}},
        {"attention": {"no_op": True}, "ffn": {"ffn_mult": 0.5}},
    ]
    shape = parse_config(
        {
            "model_type": "nemotron-nas",
            "hidden_size": 8192,
            "num_hidden_layers": 2,
            "num_attention_heads": 64,
            "vocab_size": 128256,
            "block_configs": blocks,
        }
    )

    assert shape.heads.kv == 4
    assert (shape.intermediate, shape.mlp_widths) == (14336, 14336 + 2816)


def test_routed_experts_may_work_on_a_narrower_width() -> None:
    moe = {
        "model_type": "nemotron_h", "hidden_size": 4096, "vocab_size": 131072,
        "hybrid_override_pattern": "E", "num_attention_heads": 32, "n_routed_experts": 512,
        "num_experts_per_tok": 22, "moe_intermediate_size": 2688, "num_hidden_layers": 1,
    }  # fmt: skip
    wide, latent = (
        parameter_count(parse_config({**moe, **more})) for more in ({}, {"moe_latent_size": 1024})
    )

    saved = 512 * 2 * 2688 * (4096 - 1024) - 2 * 4096 * 1024
    assert wide - latent == saved
