"""What vLLM's classes say of themselves: capabilities, dtypes, stages and adapters, by release.

``main`` had one least capability for all releases, none by who reads a checkpoint, no dtypes of a
method, and knew two families without stages: every refusal below was a plan that fits.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from gpu.samples import LLAMA, config_of, shape_of

from carferry.gpu.inventory.catalogue import find, products
from carferry.gpu.inventory.nodes import named
from carferry.gpu.memory.choice import Choice
from carferry.gpu.model.config import parse_config
from carferry.gpu.search.decide import decide
from carferry.gpu.search.goal import Goal
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.sizing.limits import quantization_reason
from carferry.gpu.sizing.starts import refusal
from carferry.gpu.vllm.version import find_version

FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic"}
MODELOPT = {"quant_method": "modelopt", "quant_algo": "FP8"}
NVFP4 = {"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}
MXFP8 = {"quant_method": "modelopt", "quant_algo": "MXFP8"}
MIXED = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}
QUARK = {
    "quant_method": "quark",
    "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}},
}


def compressed(kind: str, bits: int) -> dict[str, object]:
    weights = {"num_bits": bits, "type": kind, "group_size": 16 if bits == 4 else None}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "config_groups": groups}


def packed(section: dict[str, object]) -> ModelShape:
    return parse_config(LLAMA | {"quantization_config": section})


def refused(shape: ModelShape, version: str, gpu: str = "H100", **given: object) -> str:
    choice = replace(Choice(find(gpu), max_model_len=512), **given)  # type: ignore[arg-type]
    return refusal(shape, choice, find_version(version))


@pytest.mark.parametrize(
    ("section", "least"),
    [
        (FP8, {"0.8.5": 80, "0.13.0": 80, "0.14.0": 75, "0.33.0": 75}),
        ({"quant_algo": "FP8"}, {"0.24.0": 89, "0.27.0": 80}),  # as ModelOpt itself writes it
        (MODELOPT, {"0.8.5": 89, "0.24.0": 89, "0.26.0": 89, "0.27.0": 80, "0.33.0": 80}),
        (NVFP4, {"0.8.5": 100, "0.9.0": 80, "0.13.0": 80, "0.14.0": 75}),
        (MXFP8, {"0.16.0": 100, "0.19.1": 100, "0.20.0": 80}),
        (MIXED, {"0.17.0": 89, "0.23.0": 89, "0.24.0": 75}),
        (QUARK, {"0.9.0": 89, "0.33.0": 89}),
        (compressed("float", 8), {"0.15.1": 80, "0.16.0": 75}),
        (compressed("float", 4), {"0.15.1": 80, "0.16.0": 75}),
        (compressed("int", 4), {"0.11.2": 80, "0.12.0": 75}),
        (compressed("int", 8), {"0.8.5": 75, "0.33.0": 75}),
        ({"quant_method": "awq", "bits": 4}, {"0.8.5": 75, "0.33.0": 75}),
        ({"quant_method": "gptq", "bits": 4}, {"0.8.5": 60, "0.24.0": 60}),
        ({"quant_method": "mxfp4"}, {"0.10.1": 80, "0.33.0": 80}),
        ({"quant_method": "hqq"}, {"0.9.0": 80}),
    ],
)
def test_a_method_needs_the_capability_that_its_class_names(
    section: dict[str, object], least: dict[str, int]
) -> None:
    """The same on every NVIDIA card of the catalogue."""
    shape, cards = packed(section), [gpu for gpu in products() if gpu.vendor == "nvidia"]
    for text, capability in least.items():
        version = find_version(text)
        wrong = [
            gpu.name
            for gpu in cards
            if gpu.capability >= version.lowest_capability
            and bool(quantization_reason(shape, gpu, version)) != (gpu.capability < capability)
        ]
        assert wrong == [], text


@pytest.mark.parametrize(
    ("section", "dtypes"),
    [
        (FP8, ("bfloat16", "float16")),
        (MODELOPT, ("bfloat16", "float16")),
        (NVFP4, ("bfloat16", "float16")),
        (MXFP8, ("bfloat16",)),
        ({"quant_method": "mxfp4"}, ("bfloat16",)),
        ({"quant_method": "awq", "bits": 4}, ("bfloat16", "float16")),
        ({"quant_method": "torchao", "quant_type": "int8wo"}, ("bfloat16", "float16", "float32")),
        ({"quant_method": "bitsandbytes"}, ("bfloat16", "float16", "float32")),
    ],
)
def test_a_method_takes_some_dtypes(section: dict[str, object], dtypes: tuple[str, ...]) -> None:
    shape = packed(section)

    for dtype in ("bfloat16", "float16", "float32"):
        said = refused(shape, "0.24.0", dtype=dtype)
        assert (not said) == (dtype in dtypes), said


def test_no_plan_offers_a_dtype_that_its_method_forbids() -> None:
    """Gemma 3 on a T4 runs in float32, which vLLM's FP8 does not take: it was printed as fits."""
    for goal in (Goal(quantization="fp8"), Goal()):
        plan = decide(config_of("google/gemma-3-27b-it"), gpus=named("T4 x8"), goal=goal)
        options = (*plan.options, *filter(None, [plan.change and plan.change.option]))
        starting = [option.best for option in options if option.best and not option.reason]
        assert all(not best.choice.quantization for best in starting if _is_wide(best.choice))


def _is_wide(choice: Choice) -> bool:
    return choice.dtype == "float32"


@pytest.mark.parametrize(
    ("model", "version", "stages", "adapters"),
    [
        ("microsoft/Phi-4-multimodal-instruct", "0.24.0", False, True),
        ("google/gemma-3n-E4B-it", "0.24.0", False, False),
        ("tiiuae/falcon-7b", "0.24.0", True, False),
        ("moonshotai/Kimi-K2.5", "0.33.0", True, False),
        ("sentence-transformers/all-MiniLM-L6-v2", "0.31.0", False, False),
        ("sentence-transformers/all-MiniLM-L6-v2", "0.32.0", False, True),
        ("openai/whisper-large-v3", "0.17.0", False, False),
        ("openai/whisper-large-v3", "0.18.0", False, True),
        ("openai/gpt-oss-20b", "0.11.0", True, False),
        ("openai/gpt-oss-20b", "0.11.2", True, True),
        ("openai/gpt-oss-20b", "0.10.1", False, False),
        ("deepseek-ai/DeepSeek-V4-Flash", "0.20.2", False, False),
        ("deepseek-ai/DeepSeek-V4-Flash", "0.21.0", True, False),
        ("Qwen/Qwen3-8B", "0.8.5", True, True),
        ("meta-llama/Llama-3.1-8B-Instruct", "0.33.0", True, True),
    ],
)
def test_a_class_runs_in_stages_and_takes_adapters_or_not(
    model: str, version: str, stages: bool, adapters: bool
) -> None:
    shape = shape_of(model)
    batch = {"max_num_batched_tokens": 8192, "max_model_len": min(shape.positions, 512)}

    kv_dtype = "fp8" if shape.ratios else "auto"

    cut = refused(shape, version, pp=2, kv_dtype=kv_dtype, **batch)
    adapted = refused(shape, version, lora_rank=8, kv_dtype=kv_dtype, **batch)

    assert "no pipeline parallelism" not in cut if stages else "no pipeline" in cut, cut
    assert "LoRA" not in adapted if adapters else "takes no LoRA" in adapted, adapted


@pytest.mark.parametrize("model", ["DeepSeek-V3.2", "DeepSeek-V4-Flash"])
@pytest.mark.parametrize(
    ("gpu", "version", "starts"),
    [
        ("A100-80GB", "0.33.0", False),
        ("L40S", "0.24.0", False),
        ("H100", "0.24.0", True),
        ("B200", "0.24.0", True),
        ("RTX-PRO-6000", "0.23.0", False),
        ("RTX-PRO-6000", "0.24.0", True),
    ],
)
def test_sparse_attention_needs_a_generation_with_its_kernels(
    model: str, gpu: str, version: str, starts: bool
) -> None:
    said = refused(shape_of(f"deepseek-ai/{model}"), version, gpu, tp=8)

    assert ("sparse attention" not in said) == starts, said


def test_sparse_attention_without_latents_has_kernels_for_any_card() -> None:
    assert refused(shape_of("MiniMaxAI/MiniMax-M3"), "0.24.0", "A100-80GB", tp=4) == ""


@pytest.mark.parametrize(
    ("packing", "version", "starts"),
    [
        ({"quant_method": "gptq", "bits": 4, "sym": True}, "0.33.0", "bfloat16"),
        ({"quant_method": "gptq", "bits": 8, "sym": True}, "0.33.0", "bfloat16"),
        ({"quant_method": "gptq", "bits": 3, "sym": True}, "0.20.2", "float16"),
        ({"quant_method": "gptq", "bits": 3, "sym": True}, "0.24.0", ""),
        ({"quant_method": "gptq", "bits": 2, "sym": True}, "0.11.0", "float16"),
        ({"quant_method": "gptq", "bits": 4, "sym": False}, "0.15.1", "float16"),
        ({"quant_method": "gptq", "bits": 4, "sym": False}, "0.33.0", ""),
        ({"quant_method": "awq", "bits": 4}, "0.33.0", "bfloat16"),
        ({"quant_method": "awq", "bits": 8}, "0.22.1", "bfloat16"),
        ({"quant_method": "awq", "bits": 8}, "0.24.0", ""),
        ({"quant_method": "marlin"}, "0.9.2", "float16"),
    ],
)
def test_a_packing_that_plain_kernels_read_runs_in_half_or_not(
    packing: dict[str, object], version: str, starts: str
) -> None:
    """Their bits were not read: each was called fits, in bfloat16."""
    config = config_of("meta-llama/Llama-3.1-8B-Instruct")
    packed = {**config, "quantization_config": {"group_size": 128, **packing}}
    found = decide(packed, gpus="H100", goal=Goal(vllm=version))

    assert found.is_fit is bool(starts)
    assert not starts or f"--dtype={starts}" in found.arguments
