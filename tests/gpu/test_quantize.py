"""What each form of quantization_config makes of a model's parts."""

from __future__ import annotations

import time
from typing import Any

import pytest
from gpu.samples import LLAMA

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import find
from carferry.gpu.loaded.weights import weights_per_gpu
from carferry.gpu.model.config import parse_config
from carferry.gpu.packing.online import check_online, online, online_methods
from carferry.gpu.shape.shape import Quantization

DENSE = LLAMA | {"num_hidden_layers": 10}
MOE = DENSE | {
    "model_type": "qwen3_moe",
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "head_dim": 16,
}
INT4 = {"num_bits": 4, "type": "int", "group_size": 128, "strategy": "group", "symmetric": True}
FP8 = {"num_bits": 8, "type": "float", "strategy": "channel"}
NVFP4 = {"num_bits": 4, "type": "float", "group_size": 16, "strategy": "tensor_group"}


def packed(section: dict[str, Any], config: dict[str, Any] = DENSE) -> Quantization:
    found = parse_config(config | {"quantization_config": section}).quantization
    assert found is not None
    return found


def groups(weights: dict[str, Any], *ignored: str) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights}
    listed = {"config_groups": {"group_0": group}, "ignore": ["lm_head", *ignored]}
    return {"quant_method": "compressed-tensors", **listed}


ONE_LAYER = [
    groups(FP8, *(f"model.layers.3.self_attn.{x}_proj" for x in "qkvo")),
    groups(FP8, r"re:.*layers\.3\.self_attn.*"),
    {"quant_method": "fp8", "modules_to_not_convert": ["model.layers.3.self_attn"]},
    {"quant_method": "fp8", "ignored_layers": [f"layers.3.self_attn.{x}_proj" for x in "qkvo"]},
    {"quant_method": "awq", "modules_to_not_convert": ["model.layers.3.self_attn"]},
    {"quant_method": "gptq", "dynamic": {r"-:.*\.layers\.3\.self_attn.*": {}}},
    {"quant_method": "modelopt", "quant_algo": "FP8", "exclude_modules": ["*layers.3.self_attn*"]},
    {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["model.layers.3.self_attn*"]},
    {
        "quant_method": "quark",
        "global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32}},
        "exclude": ["re:model.layers.3.self_attn.*", "lm_head"],
    },
    {
        "quant_method": "auto-round",
        "bits": 4,
        "extra_config": {f"model.layers.3.self_attn.{x}_proj": {"bits": 16} for x in "qkvo"},
    },
    {"quant_method": "torchao", "modules_to_not_convert": ["layers.3.self_attn"]},
    {"quant_method": "bitsandbytes", "llm_int8_skip_modules": ["model.layers.3.self_attn"]},
]


@pytest.mark.parametrize("section", ONE_LAYER)
def test_exclusion_of_one_layer_leaves_the_others_packed(section: dict[str, Any]) -> None:
    found = packed(section)

    assert found.share("attention") == pytest.approx(0.9)
    assert found.share("mlp") == 1


@pytest.mark.parametrize(
    ("section", "part", "share"),
    [
        (groups(FP8, "model.layers.0"), "mlp", 0.9),
        (groups(FP8, "re:.*down_proj"), "mlp", 2 / 3),
        (groups(FP8, "re:.*mlp.*"), "mlp", 0),
        (groups(FP8, "model.layers.0.mlp.gate"), "mlp", 1),
        (groups(FP8, "visual.blocks.0.mlp.gate_proj", "mtp.layers.0.mlp.up_proj"), "mlp", 1),
        (groups(FP8, "re:visual.*", "re:mtp.*"), "attention", 1),
        (groups(FP8, "language_model.model.layers.1.mlp.up_proj"), "mlp", 1 - 1 / 30),
        ({"quant_method": "awq", "modules_to_not_convert": ["visual", "mlp.gate"]}, "mlp", 1),
        ({"quant_method": "fp8", "modules_to_not_convert": ["lm_head", "self_attn"]}, "mlp", 1),
        ({"quant_method": "fp8", "modules_to_not_convert": ["self_attn"]}, "attention", 0),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["*.1.mlp*"]}, "mlp", 0.9),
        ({"quant_method": "mxfp4"}, "attention", 0),
    ],
)
def test_share_of_a_part_follows_what_is_named(
    section: dict[str, Any], part: str, share: float
) -> None:
    assert packed(section).share(part) == pytest.approx(share)


MIXED_GROUPS = {
    "quant_method": "modelopt",
    "quant_algo": "MIXED_PRECISION",
    "config_groups": {
        "group_0": {"targets": ["re:.*self_attn.*"], "weights": FP8},
        "group_1": {"targets": ["re:.*mlp.*"], "weights": NVFP4},
    },
}
MIXED_LAYERS = {
    "quant_method": "modelopt",
    "quant_algo": "MIXED_PRECISION",
    "quantized_layers": {
        **{
            f"model.layers.{n}.self_attn.{x}_proj": {"quant_algo": "FP8"}
            for n in range(10)
            for x in "qkvo"
        },
        **{
            f"model.layers.{n}.mlp.{x}_proj": {"quant_algo": "NVFP4", "group_size": 16}
            for n in range(10)
            for x in ("gate", "up", "down")
        },
    },
}
QUARK = {
    "quant_method": "quark",
    "global_quant_config": {"weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32}},
    "layer_quant_config": {"*self_attn*": {"weight": {"dtype": "fp8_e4m3"}}},
    "exclude": ["lm_head"],
}

GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128}
DYNAMIC = {"quant_method": "gptq", "bits": 4, "dynamic": {r"+:.*self_attn.*": {"bits": 8}}}
TORCHAO = {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig"}}}
HQQ_WEIGHTS = {"nbits": 4, "group_size": 64}
HQQ = {"quant_method": "hqq", "quant_config": {"weight_quant_params": HQQ_WEIGHTS}}


@pytest.mark.parametrize(
    ("section", "attention", "mlp"),
    [
        (MIXED_GROUPS, 8, 4.5),
        (MIXED_LAYERS, 8, 4.5),
        (QUARK, 8, 4.25),
        (DYNAMIC, 8.125, 4.125),
        ({**GPTQ, "sym": False}, 4.156, 4.156),
        (GPTQ, 4.125, 4.125),
        (groups({**FP8, "group_size": 32}), 8.25, 8.25),
        (groups({**FP8, "strategy": "block", "block_structure": [128, 128]}), 8.002, 8.002),
        (groups({**INT4, "symmetric": False}), 4.156, 4.156),
        (groups(INT4), 4.125, 4.125),
        ({"quant_method": "modelopt", "quant_algo": "MXFP8"}, 8.25, 8.25),
        ({"quant_method": "modelopt", "quant_algo": "FP8_PB_WO"}, 8.002, 8.002),
        ({"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}, 4.125, 4.125),
        ({"quant_method": "mxfp8"}, 8.25, 8.25),
        ({"quant_method": "fbgemm_fp8"}, 8, 8),
        ({"quant_method": "petit_nvfp4"}, 4.5, 4.5),
        ({"quant_method": "awq_marlin", "bits": 4, "group_size": 64}, 4.3125, 4.3125),
        ({"quant_method": "intel/auto-round", "bits": 4, "group_size": 128}, 4.156, 4.156),
        (TORCHAO, 8, 8),
        ({"quant_method": "torchao", "quant_type": "int4_weight_only"}, 4.25, 4.25),
        (HQQ, 4.5, 4.5),
        ({"quant_method": "deepspeedfp", "bits": 6, "group_size": 512}, 6.03125, 6.03125),
        ({"quant_method": "experts_int8"}, None, None),
    ],
)  # fmt: skip
def test_each_method_has_its_width(
    section: dict[str, Any], attention: float | None, mlp: float | None
) -> None:
    found = packed(section)

    assert found.of("attention") == (attention and pytest.approx(attention, abs=1e-3))
    assert found.of("mlp") == (mlp and pytest.approx(mlp, abs=1e-3))


@pytest.mark.parametrize(
    "names",
    [
        ["mlp.experts"],
        ["model.layers.*.mlp.experts.*"],
        ["re:.*experts.*"],
        [f"model.layers.{n}.mlp.experts.{e}.{x}_proj" for n in range(10) for e in range(8)
         for x in ("gate", "up", "down")],
    ],
)  # fmt: skip
def test_experts_are_named_one_by_one_or_together(names: list[str]) -> None:
    found = packed(groups(FP8, *names), MOE)

    assert (found.share("experts"), found.share("attention")) == (0, 1)


def test_section_may_sit_inside_the_text_model() -> None:
    text = DENSE | {"quantization_config": groups(INT4)}
    wrapped = {"model_type": "mistral3", "text_config": text}

    found = parse_config(wrapped).quantization

    assert found is not None and found.of("mlp") == 4.125


def test_unknown_method_is_named_and_counted_in_the_dtype() -> None:
    plain = parse_config(DENSE)
    shape = parse_config(DENSE | {"quantization_config": {"quant_method": "magic"}})

    assert shape.unknown == "quantization 'magic'"
    assert weights_per_gpu(shape, find("H100"), tp=1, dtype="bfloat16") == weights_per_gpu(
        plain, find("H100"), tp=1, dtype="bfloat16"
    )


def test_share_decides_the_bytes() -> None:
    sections = (None, groups(FP8), groups(FP8, r"re:.*\.layers\.[0-4]\..*"))
    none, whole, half = (
        weights_per_gpu(
            parse_config(DENSE | ({"quantization_config": s} if s else {})),
            find("H100"),
            tp=1,
            dtype="bfloat16",
        )
        for s in sections
    )

    assert half == pytest.approx((none + whole) / 2, rel=1e-3)


@pytest.mark.parametrize(
    "ignored",
    [
        ["re:(a+)+$"] * 50,
        ["re:" + "(.*e)*" * 10],
        ["re:" + "[a-z]*" * 30 + "!"],
        ["re:" + ".?" * 30 + "z"],
        ["re:" + "(a|p|.|o)?" * 25 + "z"],
        ["re:" + "(?:.|..)" * 40 + "z"],
        ["re:" + "[a-z.]?" * 3 + ".?" * 20 + "!"],
        [r"re:(.*)(.*)(.*)\1\2\3z"],
        ["re:" + "(?!" * 300],
        ["re:" + "(" * 400],
        ["re:" + "(" * 15 + "a" + "{64}" * 1 + "){64}" * 15],
        ["re:" + "(?!.*.*.*z)" + ".*.*.*.*.*x"],
        ["re:.*[0-9].*[0-9].*[a-z].*[a-z].*!"] * 40,
        ["re:" + "." * n + "*1!" for n in range(40)],
        [rf"re:.*layers.{n}.*a.*b" for n in range(100_000)],
        ["re:("] * 3,
        ["re:" + "x" * 100_000],
        ["*" * 500 + "!"] * 20,
        ["model.layers.²"],
        ["." * 10_000],
        [f"model.layers.{n}.mlp.gate" for n in range(20_000)],
        [rf"re:.*layers\.{n}\.mlp.*" for n in range(2_000)],
    ],
)
def test_hostile_patterns_cost_no_time(ignored: list[str]) -> None:
    deep = DENSE | {"num_hidden_layers": 100}
    start = time.thread_time()

    packed(groups(FP8, *ignored), deep)
    packed({"quant_method": "gptq", "bits": 4, "dynamic": {f"-:{t}": {} for t in ignored}}, deep)
    packed({"quant_method": "auto-round", "extra_config": {t: {} for t in ignored}}, deep)

    # None takes two; what a backtracking matcher, or one per pair, would take is minutes to ages.
    assert time.thread_time() - start < 30


@pytest.mark.parametrize(
    ("method", "release", "bits"),
    [
        ("fp8", (0, 9), 8),
        ("mxfp8", (0, 33), 8.25),
        ("bitsandbytes", (0, 24), 4.5),
        ("bitsandbytes", (0, 27), 4.5),
        ("fp8_per_block", (0, 20), 8.002),
    ],
)
def test_online_methods_pack_while_loading(
    method: str, release: tuple[int, int], bits: float
) -> None:
    check_online(method, release)

    assert online(method).of("mlp") == pytest.approx(bits, abs=1e-3)


@pytest.mark.parametrize(
    ("method", "release"),
    [
        ("banana", (0, 33)),
        ("awq", (0, 33)),
        ("x-2", (0, 24)),
        ("NaN", (0, 24)),
        ("mxfp8", (0, 11)),
        ("bitsandbytes", (0, 33)),
        ("bitsandbytes", (0, 28)),
        ("ptpc_fp8", (0, 33)),
        ("ptpc_fp8", (0, 19)),
    ],
)
def test_what_packs_nothing_while_loading_is_refused(method: str, release: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="one of: fp8"):
        check_online(method, release)


def test_experts_alone_are_packed_by_methods_for_experts() -> None:
    found = online("experts_int8")

    assert (found.of("experts"), found.of("mlp")) == (8, None)
    assert "experts_int8" in online_methods((0, 33))
