"""Files beside the weights, damaged by a seed: a plan, or one line that names the damaged file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from gpu.samples import LLAMA, llama_file
from servers.wire import Head

from fuzz.mutations import Broken
from fuzz.runs import Wrong, check_words, run_command
from fuzz.scenes import Command

SEEDS = 160
BODIES = (
    *("json_value",) * 4, "json_shape", "json_dropped", "json_raw", "other_body", "wrong_bytes",
    "more_bytes", "cut_clean", "web_page",
)  # fmt: skip
SIDES: dict[str, dict[str, Any]] = {
    "config.json": LLAMA,
    "hf_quant_config.json": {
        "producer": {"name": "modelopt", "version": "0.31"},
        "quantization": {
            "quant_algo": "MIXED_PRECISION", "kv_cache_quant_algo": "FP8", "group_size": 16,
            "exclude_modules": ["lm_head", "model.layers.0*"],
            "quantized_layers": {"model.layers.1.mlp.up_proj": {"quant_algo": "NVFP4",
                                                                "group_size": 16}},
        },
    },
    "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": False},
    "params.json": {
        "dim": 256, "n_layers": 2, "n_heads": 8, "n_kv_heads": 2, "hidden_dim": 512,
        "vocab_size": 1000, "head_dim": 32, "sliding_window": [None, 16],
        "moe": {"num_experts": 4, "num_experts_per_tok": 2, "expert_hidden_dim": 8},
        "quantization": {"qformat_weight": "fp8_e4m3"},
    },
    "model.safetensors.index.json": {
        "metadata": {"total_size": 5_000_000},
        "weight_map": {"model.norm.weight": "model.safetensors"},
    },
    "generation_config.json": {"do_sample": True, "eos_token_id": [1, 2], "top_k": 20},
}  # fmt: skip


def damaged(document: dict[str, Any], rng: random.Random) -> bytes:
    """Return what a liar would send instead of a document."""
    body = json.dumps(document).encode()
    broken = Broken(rng.choice(BODIES), rng.randrange(1 << 30))
    wire = b"".join(broken.wire(Head("HTTP/1.1 200 OK", ()), body, "GET"))
    return wire.partition(b"\r\n\r\n")[2]


def model_with(side: str, data: bytes, folder: Path) -> Path:
    """Write a model that has the side file."""
    files = {"config.json": json.dumps(LLAMA).encode(), "model.safetensors": llama_file(LLAMA)}
    if side == "params.json":
        files = {"consolidated.safetensors": llama_file(LLAMA)}
    folder.mkdir()
    for name, body in {**files, side: data}.items():
        (folder / name).write_bytes(body)
    return folder


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_damaged_side_file_gives_a_plan_or_is_named(seed: int, tmp_path: Path) -> None:
    rng = random.Random(f"side {seed}")
    side = sorted(SIDES)[seed % len(SIDES)]
    folder = model_with(side, damaged(SIDES[side], rng), tmp_path / "m")

    done = run_command(Command(("plan", str(folder), "--gpu", "L4 x2"), {}))

    if done.code not in {0, 2, 3}:
        raise Wrong(f"{side}: exit code {done.code}: {done.err}")
    check_words(done)
    if done.code == 2 and side not in done.err:
        raise Wrong(f"{side} is not named: {done.err}")


@pytest.mark.parametrize("side", SIDES)
def test_each_is_planned_when_it_is_whole(side: str, tmp_path: Path) -> None:
    folder = model_with(side, json.dumps(SIDES[side]).encode(), tmp_path / "m")

    done = run_command(Command(("plan", str(folder), "--gpu", "L4 x2"), {}))

    assert done.code in {0, 3}, done.err
