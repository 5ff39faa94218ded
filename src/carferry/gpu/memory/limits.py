"""What a GPU's compute capability forbids: dtypes and quantizations.

Source: vLLM 0.33 ``config/model.py`` (``_resolve_auto_dtype``), ``platforms/cuda.py`` and the
``get_min_capability`` of each quantization config.
"""

from __future__ import annotations

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.memory.vllm_version import VllmVersion
from carferry.gpu.model.shape import ModelShape, Quantization

_NO_HALF = ("gemma2", "gemma3", "gemma3_text", "glm4")
"""Model types that vLLM refuses to run in float16 (numerical instability)."""

_LEAST = {
    "gptq": 60,
    "awq": 75,
    "fp8": 75,
    "bitsandbytes": 70,
    "mxfp4": 80,
    "nvfp4": 75,
    "compressed-tensors-int8": 75,
    "compressed-tensors-int4": 75,
}
_NATIVE_FP8 = 89
_FP8_KV = 89
"""Below, not every attention backend reads an fp8 cache, so none is proposed."""


def resolve_dtype(shape: ModelShape, gpu: Gpu) -> str:
    """Return the dtype ``--dtype auto`` picks for a model on a GPU."""
    allowed = _dtypes(shape, gpu)
    preferred = "float16" if shape.pooling and "float16" in allowed else allowed[0]
    wanted = preferred if shape.dtype in ("float32", "float64") else shape.dtype
    return wanted if wanted in allowed else preferred


def dtype_reason(shape: ModelShape, gpu: Gpu, dtype: str) -> str:
    """Return why a dtype cannot be used on a GPU; empty if it can."""
    if dtype == "bfloat16" and "bfloat16" not in _dtypes(shape, gpu):
        return f"bfloat16 needs compute capability 8.0, {gpu.name} has {_capability(gpu)}"
    if dtype == "float16" and shape.model_type in _NO_HALF:
        return f"vLLM refuses float16 for {shape.model_type}"
    return ""


def quantization_reason(shape: ModelShape, gpu: Gpu, version: VllmVersion) -> str:
    """Return why a checkpoint's quantization cannot run on a GPU; empty if it can."""
    if gpu.vendor == "nvidia" and gpu.capability and gpu.capability < version.lowest_capability:
        return f"this vLLM has no kernels for compute capability {_capability(gpu)}"
    packed = shape.quantization
    if packed is None:
        return ""
    if packed.method in version.dropped:
        return f"this vLLM has no {packed.method}"
    least = _LEAST.get(packed.method, 75)
    if gpu.vendor == "nvidia" and gpu.capability and gpu.capability < least:
        have = f"{gpu.name} has {_capability(gpu)}"
        return f"{packed.method} needs compute capability {least / 10:.1f}, {have}"
    return ""


def weight_only(packed: Quantization | None, gpu: Gpu) -> bool:
    """Return whether FP8 weights run through weight-only kernels because the GPU has no FP8."""
    return packed is not None and packed.method == "fp8" and 0 < gpu.capability < _NATIVE_FP8


def kv_dtypes(shape: ModelShape, gpu: Gpu) -> tuple[str, ...]:
    """Return the KV cache dtypes worth trying on a GPU, the checkpoint's own first."""
    own = shape.kv_dtype or "auto"
    if own == "fp8" or (gpu.capability and gpu.capability < _FP8_KV):
        return (own,)
    return (own, "fp8")


def _dtypes(shape: ModelShape, gpu: Gpu) -> tuple[str, ...]:
    half = () if shape.model_type in _NO_HALF else ("float16",)
    brain = ("bfloat16",) if gpu.capability == 0 or gpu.capability >= 80 else ()
    return (*brain, *half, "float32")


def _capability(gpu: Gpu) -> str:
    return f"{gpu.capability / 10:.1f}"
