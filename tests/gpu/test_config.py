from __future__ import annotations

import math

import pytest
from gpu.samples import LLAMA, config_of, shape_of

from carferry.errors import InputError
from carferry.gpu.model.config import load_config, parse_config
from carferry.gpu.shape.shape import Heads, LayerKind


def test_nested_text_config_decides_and_silence_means_the_class_default() -> None:
    shape = shape_of("google/gemma-3-27b-it")

    assert shape.heads == Heads(32, 16, 128)
    assert (shape.vocab, shape.dtype, shape.tied) == (262208, "bfloat16", True)
    assert (shape.count(LayerKind.FULL), shape.count(LayerKind.SLIDING)) == (10, 52)


@pytest.mark.parametrize("key", ["torch_dtype", "dtype"])
def test_dtype_is_read_under_either_name(key: str) -> None:
    config = {k: v for k, v in LLAMA.items() if k != "torch_dtype"} | {key: "float16"}

    assert parse_config(config).dtype == "float16"


def test_window_that_is_set_but_unused_does_not_count() -> None:
    shape = shape_of("Qwen/Qwen2.5-7B-Instruct")

    assert (shape.window, shape.count(LayerKind.SLIDING)) == (None, 0)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "gqa"),
        ("deepseek-ai/DeepSeek-V3", "mla"),
        ("openai/gpt-oss-20b", "sliding"),
        ("ibm-granite/granite-4.0-h-small", "hybrid"),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", "hybrid"),
        ("nvidia/Nemotron-H-56B-Base-8K", "hybrid"),
        ("openai/whisper-large-v3", "encoder-decoder"),
        ("sentence-transformers/all-MiniLM-L6-v2", "encoder"),
    ],
)
def test_every_cache_family_is_recognised(model: str, family: str) -> None:
    assert shape_of(model).family == family


def test_unknown_architecture_is_planned_as_a_plain_decoder_and_named() -> None:
    shape = parse_config(LLAMA | {"model_type": "mamba9"}, subject="org/new")

    assert shape.unknown == "architecture 'mamba9'"
    assert shape.heads == parse_config(LLAMA).heads


@pytest.mark.parametrize(
    ("names", "unknown"),
    [
        (
            {"n_embd": 256, "n_layer": 2, "n_head": 8, "n_head_kv": 2, "ffn_hidden_size": 512},
            "architecture 'new'",
        ),
        ({}, "architecture 'new' (assumed: hidden_size, num_hidden_layers, num_attention_heads)"),
    ],
)
def test_unknown_architecture_needs_no_number_under_its_usual_name(
    names: dict[str, int], unknown: str
) -> None:
    config = {"model_type": "new", "vocab_size": 1000, **names}

    shape = parse_config(config)

    assert shape.unknown == unknown
    if names:
        assert (shape.hidden, shape.heads, shape.intermediate) == (256, Heads(8, 2, 32), 512)


@pytest.mark.parametrize("key", ["text_config", "llm_config", "language_config", "thinker_config"])
def test_wrapper_is_read_through_and_the_inner_type_is_the_unknown_one(key: str) -> None:
    known = parse_config({"model_type": "wrapper9", key: LLAMA})
    new = parse_config({"model_type": "wrapper9", key: LLAMA | {"model_type": "mamba9"}})

    assert (known.unknown, known.hidden, known.model_type) == ("", 256, "llama")
    assert new.unknown == "architecture 'mamba9'"


def test_wrapper_in_a_wrapper_is_read_through() -> None:
    config = {"model_type": "omni9", "thinker_config": {"model_type": "x", "text_config": LLAMA}}

    assert parse_config(config).hidden == 256


def test_quantization_of_the_inner_config_counts() -> None:
    packed = {"quantization_config": {"quant_method": "fp8"}}

    shape = parse_config({"model_type": "kimi_k25", "text_config": LLAMA | packed})

    assert shape.quantization is not None
    assert shape.quantization.method == "fp8"


def test_forced_family_plans_an_unknown_architecture_as_a_plain_decoder() -> None:
    forced = parse_config(LLAMA | {"model_type": "mamba9"}, family="gqa")

    assert forced.heads == parse_config(LLAMA).heads


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"num_hidden_layers": 5000}, "num_hidden_layers is 5000"),
        ({"vocab_size": 1 << 40}, "vocab_size is"),
        ({"vocab_size": "many"}, "vocab_size is 'many'"),
        ({"hidden_size": math.inf}, "hidden_size is inf"),
        ({"num_key_value_heads": 3}, "8 heads for 3 KV heads"),
        ({"head_dim": 1 << 20}, "head_dim"),
        ({"layer_types": ["full_attention"]}, "1 layer types for 2 layers"),
        ({"torch_dtype": "int3"}, "dtype 'int3'"),
    ],
)
def test_config_that_contradicts_itself_is_refused_in_one_line(
    lie: dict[str, object], reason: str
) -> None:
    with pytest.raises(InputError) as refused:
        parse_config(LLAMA | lie, subject="org/liar")

    assert str(refused.value).startswith(f"read config org/liar: {reason}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("model", "path", "value"),
    [
        ("Qwen/Qwen3-8B-FP8", ("quantization_config",), True),
        ("Qwen/Qwen3-8B-FP8", ("quantization_config", "weight_block_size"), [[1], None]),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", ("quantization_config", "bits"), "four"),
        ("moonshotai/Kimi-K2-Thinking", ("quantization_config", "ignore"), 7),
        ("moonshotai/Kimi-K2-Thinking", ("quantization_config", "config_groups"), {"a": 1}),
        ("google/gemma-3-27b-it", ("vision_config", "hidden_size"), []),
        ("google/gemma-3-27b-it", ("vision_config",), "none"),
        ("openai/gpt-oss-20b", ("layer_types",), 1.5),
        ("Qwen/Qwen3-30B-A3B", ("mlp_only_layers",), {"a": 1}),
    ],
)
def test_value_of_the_wrong_kind_is_refused_wherever_it_sits(
    model: str, path: tuple[str, ...], value: object
) -> None:
    config = config_of(model)
    section = config
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value

    with pytest.raises(InputError, match="read config"):
        parse_config(config)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000, b"\xff\xfe"])
def test_bytes_that_are_no_config_are_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        load_config(data)


def test_unknown_layer_type_counts_as_full_attention_and_is_named() -> None:
    shape = parse_config(LLAMA | {"layer_types": ["full_attention", "quantum"]})

    assert shape.unknown == "layer type 'quantum'"
    assert shape.count(LayerKind.FULL) == 2


def test_unknown_quantization_is_named() -> None:
    shape = parse_config(LLAMA | {"quantization_config": {"quant_method": "magic"}})

    assert shape.unknown == "quantization 'magic'"


def test_eight_bit_kv_cache_is_read_from_either_scheme() -> None:
    scheme = {"quant_method": "compressed-tensors", "kv_cache_scheme": {"num_bits": 8}}
    modelopt = {"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}

    kinds = [parse_config(LLAMA | {"quantization_config": q}).kv_dtype for q in (scheme, modelopt)]

    assert kinds == ["fp8", "fp8"]


def test_mixed_quantization_gives_each_part_its_own_width() -> None:
    packed = parse_config(config_of("Qwen/Qwen3.6-35B-A3B-NVFP4")).quantization

    assert packed is not None
    assert dict(packed.bits) == {
        "attention": 8,
        "shared": 4.5,
        "experts": 4.5,
        "state": 8,
        "head": 4.5,
    }


def test_ignored_modules_keep_their_dtype() -> None:
    packed = shape_of("moonshotai/Kimi-K2-Thinking").quantization

    assert packed is not None
    assert (packed.of("experts"), packed.of("attention"), packed.of("mlp")) == (4.5, None, None)


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "vocab_size"])
def test_what_a_known_family_lacks_is_missing(key: str) -> None:
    for gone in ({k: v for k, v in LLAMA.items() if k != key}, LLAMA | {key: None}):
        with pytest.raises(InputError) as refused:
            parse_config(gone, subject="org/gone")

        said = f"read config org/gone: {key} is missing; take config.json from the hub"
        assert str(refused.value) == said


@pytest.mark.parametrize("kind", ["t5", "mt5", "pegasus"])
def test_an_unknown_encoder_decoder_is_called_one(kind: str) -> None:
    config = LLAMA | {"model_type": kind, "is_encoder_decoder": True}

    assert parse_config(config).unknown == f"architecture {kind!r}, an encoder-decoder"
    assert parse_config(config | {"is_encoder_decoder": "yes"}).unknown == f"architecture {kind!r}"
