from __future__ import annotations

import pytest
from gpu.samples import shape_of

from carferry.gpu.inventory.catalogue import find
from carferry.gpu.memory.choice import Choice
from carferry.gpu.sizing.limits import (
    dtype_reason,
    kv_dtype_reason,
    kv_dtypes,
    quantization_reason,
    resolve_dtype,
)
from carferry.gpu.vllm.version import find_version


@pytest.mark.parametrize(
    ("model", "gpu", "dtype"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "T4", "float16"),
        ("meta-llama/Llama-3.1-8B-Instruct", "L4", "bfloat16"),
        ("google/gemma-3-1b-it", "T4", "float32"),
        ("google/gemma-2-27b-it", "A100-80GB", "bfloat16"),
        ("sentence-transformers/all-MiniLM-L6-v2", "H100", "float16"),
    ],
)
def test_auto_dtype_follows_capability_and_model(model: str, gpu: str, dtype: str) -> None:
    assert resolve_dtype(shape_of(model), find(gpu)) == dtype


@pytest.mark.parametrize(
    ("model", "gpu", "version", "reason"),
    [
        ("openai/gpt-oss-20b", "T4", "0.33.0", "mxfp4 needs compute capability 8.0, T4 has 7.5"),
        ("openai/gpt-oss-20b", "A100-80GB", "0.33.0", ""),
        ("Qwen/Qwen3-8B-FP8", "A100-80GB", "0.33.0", ""),
        (
            "Qwen/Qwen3-8B",
            "V100-32GB",
            "0.33.0",
            "this vLLM has no kernels for compute capability 7.0",
        ),
        ("Qwen/Qwen3-8B", "V100-32GB", "0.11.0", ""),
    ],
)
def test_quantization_needs_a_capability(model: str, gpu: str, version: str, reason: str) -> None:
    assert quantization_reason(shape_of(model), find(gpu), find_version(version)) == reason


def test_half_precision_is_refused_as_vllm_refuses_it() -> None:
    assert dtype_reason(shape_of("google/gemma-3-27b-it"), find("L40S"), "float16") == (
        "vLLM refuses float16 for gemma3_text"
    )


def test_old_gpu_keeps_the_cache_in_the_model_dtype() -> None:
    shape = shape_of("Qwen/Qwen3-8B")

    tried = {gpu: kv_dtypes(shape, find(gpu), find_version()) for gpu in ("T4", "A10", "L4")}

    assert tried == {"T4": ("auto",), "A10": ("auto",), "L4": ("auto", "fp8")}


@pytest.mark.parametrize(
    ("version", "kv_dtype", "refused"),
    [("0.29.0", "auto", True), ("0.29.0", "fp8", False), ("0.30.0", "auto", False)],
)
def test_deepseek_v4_asked_for_its_fp8_cache_until_0_30(
    version: str, kv_dtype: str, refused: bool
) -> None:
    choice = Choice(find("H200"), kv_dtype=kv_dtype)
    shape = shape_of("deepseek-ai/DeepSeek-V4-Flash")

    assert bool(kv_dtype_reason(shape, choice, find_version(version))) is refused
