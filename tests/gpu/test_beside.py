"""Files beside config.json: whatever stands in them, one line blames the right one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gpu.samples import LLAMA, llama_file

from carferry.errors import InputError
from carferry.gpu.search.decide import understand

PARAMS = {
    "dim": 256, "n_layers": 2, "n_heads": 8, "n_kv_heads": 2, "hidden_dim": 512,
    "vocab_size": 1000,
}  # fmt: skip
MODELOPT = {
    "quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "group_size": 16,
    "exclude_modules": ["lm_head"],
}  # fmt: skip
INDEX = {"metadata": {"total_size": 1}, "weight_map": {"a": "model.safetensors"}}
ODD: tuple[Any, ...] = (None, 0, 1.5, True, "", "x", [], [1], [[]], {}, {"a": 1}, -1, 1 << 70)


def plan_of(name: str, data: bytes, config: dict[str, Any] | None = LLAMA) -> object:
    weights = "consolidated.safetensors" if name == "params.json" else "model.safetensors"
    files = {weights: llama_file(LLAMA), name: data}
    return understand(
        None if name == "params.json" else config,
        read_range=lambda path, start, end: files[path][start:end],
        files={path: len(body) for path, body in files.items()},
    )


@pytest.mark.parametrize(
    ("name", "document", "reason"),
    [
        ("hf_quant_config.json", {"quantization": [1]}, "quantization is [1], not an object"),
        ("hf_quant_config.json", {"quantization": "FP8"}, "quantization is 'FP8', not an object"),
        ("hf_quant_config.json", {"quantization": 4}, "quantization is 4, not an object"),
        ("hf_quant_config.json", [], "not a JSON object"),
        (
            "hf_quant_config.json",
            {"quantization": {"quant_algo": "NVFP4", "group_size": "many"}},
            "group_size is 'many'",
        ),
        ("sentence_bert_config.json", {"max_seq_length": "x"}, "max_seq_length is 'x'"),
        ("sentence_bert_config.json", {"max_seq_length": -1}, "max_seq_length is -1"),
        ("sentence_roberta_config.json", {"max_seq_length": [8]}, "max_seq_length is [8]"),
        ("sentence_bert_config.json", "x", "not a JSON object"),
        ("params.json", {**PARAMS, "dim": "wide"}, "dim is 'wide'"),
        ("params.json", {**PARAMS, "dim": None}, "dim is missing"),
        ("params.json", {**PARAMS, "moe": 5}, "moe is 5, not an object"),
        ("params.json", {**PARAMS, "vocab_size": "x"}, "vocab_size is 'x'"),
        ("params.json", [], "not a JSON object"),
        ("model.safetensors.index.json", {"weight_map": [1]}, "no weight_map"),
        ("model.safetensors.index.json", [], "not a JSON object"),
    ],
)
def test_the_file_that_is_wrong_is_named(name: str, document: object, reason: str) -> None:
    with pytest.raises(InputError) as refused:
        plan_of(name, json.dumps(document).encode())

    assert reason in str(refused.value)
    assert name in str(refused.value)
    assert "config.json from the hub" not in str(refused.value).replace(name, "")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["hf_quant_config.json", "sentence_bert_config.json"])
def test_a_file_longer_than_any_config_is_not_read(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: 17000000 bytes long, no config is"):
        plan_of(name, b" " * 17_000_000)


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("hf_quant_config.json", {"quantization": MODELOPT, "producer": {"name": "modelopt"}}),
        ("sentence_bert_config.json", {"max_seq_length": 256, "do_lower_case": False}),
        ("params.json", PARAMS),
        ("model.safetensors.index.json", INDEX),
    ],
)
def test_an_odd_value_anywhere_is_read_or_refused_in_one_line(
    name: str, whole: dict[str, Any], odd: object
) -> None:
    documents = [odd, *({**whole, key: odd} for key in whole)]
    inner = [(key, value) for key, value in whole.items() if isinstance(value, dict)]
    documents += [{**whole, key: {**value, k: odd}} for key, value in inner for k in value]
    for document in documents:
        try:
            plan_of(name, json.dumps(document).encode())
        except InputError as error:
            assert "\n" not in str(error), document
