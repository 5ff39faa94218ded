"""A config that is damaged anywhere gives a shape, or one line that says what is wrong."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gpu.samples import CONFIGS

from carferry.errors import InputError
from carferry.gpu.loaded.params import parameter_count
from carferry.gpu.model.config import parse_config
from carferry.gpu.model.mistral import from_params
from carferry.gpu.search.decide import decide

DATA = Path(__file__).parents[1] / "data" / "gpu" / "families.json"
JUNK: tuple[Any, ...] = (
    None, 0, -1, 1, 7, 1 << 70, 2.5, math.nan, math.inf, True, "", "many", "LLLG", [], [[]],
    [None], [0, 1], ["full_attention"], [{"a": 1}], {}, {"a": []}, {"num_heads": -3}, [1] * 3000,
)  # fmt: skip
ROUNDS = 12


def samples() -> dict[str, dict[str, Any]]:
    """Return every config there is, by name."""
    families = {name: one["config"] for name, one in json.loads(DATA.read_text()).items()}
    return families | {path.stem: json.loads(path.read_text()) for path in CONFIGS.glob("*.json")}


SAMPLES = samples()


def spots(section: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Return every (section, key) of a config, nested ones too."""
    found = [(section, key) for key in section]
    for value in section.values():
        found += spots(value) if isinstance(value, dict) else []
    return found


def damaged(config: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return a copy with up to three values lost or replaced."""
    broken = copy.deepcopy(config)
    for _ in range(chance.randint(1, 3)):
        section, key = chance.choice(spots(broken))
        if key in section and chance.random() < 0.3:
            del section[key]
        else:
            section[key] = copy.deepcopy(chance.choice(JUNK))
    return broken or {"model_type": "llama"}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_damaged_config_gives_a_shape_or_one_line(name: str) -> None:
    chance = random.Random(name)
    for _ in range(ROUNDS):
        config = damaged(SAMPLES[name], chance)
        try:
            count = parameter_count(parse_config(config, subject=name))
        except InputError as error:
            assert "\n" not in str(error), config
        else:
            assert count > 0, config


@pytest.mark.parametrize("name", ["openai--whisper-large-v3", "Qwen--Qwen3-8B"])
def test_more_heads_than_width_are_planned_or_refused_in_one_line(name: str) -> None:
    config = copy.deepcopy(SAMPLES[name])
    for key in [key for key in config if key.endswith("attention_heads")]:
        config[key] = 1_000_000
    with contextlib.suppress(InputError):
        decide(config, gpus="24GiB x2", subject=name)


@pytest.mark.parametrize("seed", range(200))
def test_damaged_params_give_a_shape_or_one_line(seed: int) -> None:
    whole: dict[str, Any] = {
        "dim": 64, "n_layers": 2, "head_dim": 8, "hidden_dim": 32, "n_heads": 8, "n_kv_heads": 2,
        "vocab_size": 320, "sliding_window": [None, 16], "q_lora_rank": 8, "kv_lora_rank": 8,
        "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 4,
        "moe": {"num_experts": 4, "num_experts_per_tok": 2, "expert_hidden_dim": 8},
        "quantization": {"qformat_weight": "fp8_e4m3"},
        "vision_encoder": {"hidden_size": 64, "num_hidden_layers": 2, "spatial_merge_size": 2},
        "multimodal": {"whisper_model_args": {"encoder_args": {"dim": 64}}},
    }  # fmt: skip
    try:
        parse_config(from_params(damaged(whole, random.Random(seed))))
    except InputError as error:
        assert "\n" not in str(error)


def deepened() -> Iterator[tuple[str, str]]:
    """Yield (config, key) for every count of layers that any kind of config names."""
    seen = set[tuple[str, str]]()
    for name, config in SAMPLES.items():
        for section, key in spots(config):
            whole = isinstance(section[key], int) and not isinstance(section[key], bool)
            one = (str(section.get("model_type")), key)
            if whole and re.search(_DEPTH, key) and one not in seen:
                seen.add(one)
                yield name, key


_DEPTH = r"depth$|^n_layers?$|num_(hidden_|global_|mtp_|nextn_predict_)?layers$|coder_layers$"


@pytest.mark.parametrize(("name", "key"), tuple(deepened()))
def test_no_count_of_layers_makes_a_plan_slow(name: str, key: str) -> None:
    config = copy.deepcopy(SAMPLES[name])
    for section, each in spots(config):
        if each == key:
            section[key] = 1_000_000
    started = time.thread_time()
    with contextlib.suppress(InputError):
        decide(config, gpus="24GiB x2", subject=name)
    assert time.thread_time() - started < 20  # hundredths; layer by layer would be minutes
