"""What a GPU's compute capability forbids: dtypes, quantizations and types of cache.

Source: vLLM 0.33 ``config/model.py`` (``_resolve_auto_dtype``), ``platforms/cuda.py``, the
``config/vllm.py`` (``_get_quantization_config``), ``v1/attention/backends/mla``.
"""

from __future__ import annotations

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.memory.choice import Choice
from carferry.gpu.memory.joined import is_joined
from carferry.gpu.shape.shape import ModelShape, Quantization
from carferry.gpu.vllm.quantizations import Method, method_of
from carferry.gpu.vllm.releases import Release, VllmVersion

_NO_HALF = ("gemma2", "gemma3", "gemma3_text", "glm4")
"""Model types that vLLM refuses to run in float16 (numerical instability)."""

_NATIVE_FP8 = 89
_HOPPER = 90
"""FlashMLA starts here."""

_SPARSE: tuple[tuple[Release, tuple[int, ...]], ...] = (
    ((0, 0, 0), (9, 10)),
    ((0, 24, 0), (9, 10, 12)),
)
"""Major compute capabilities with kernels for sparse attention: those of FlashMLA, and from 0.24 on
those of FlashInfer as well (``supports_compute_capability`` of ``v1/attention/backends/mla`` and
``models/deepseek_v4``)."""

_CONSUMER = 120
"""From here on only the Triton kernels run latent attention, as below Hopper."""

_LATENT_FP8 = 0, 18, 0
"""The first release whose Triton kernels read an fp8 cache of latent attention."""

_JOINED_AUTO = 0, 30, 0
"""From here on DeepSeek V4's cache is fp8 without being asked."""

_FLASHINFER_DIMS = (64, 128, 256, 512)
_FP8_KV = 89
"""Below, not every attention backend reads an fp8 cache, so none is proposed."""


def resolve_dtype(shape: ModelShape, gpu: Gpu) -> str:
    """Return the dtype of a model if none is named: as ``--dtype auto``, if its packing can."""
    allowed = _dtypes(shape, gpu)
    preferred = "float16" if shape.pooling and "float16" in allowed else allowed[0]
    wanted = preferred if shape.dtype in ("float32", "float64") else shape.dtype
    found = wanted if wanted in allowed else preferred
    taken = _method(shape.quantization).dtypes if shape.quantization else allowed
    return found if found in taken else next((one for one in allowed if one in taken), found)


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
    least = _method(packed).capability(version)
    if gpu.vendor == "nvidia" and gpu.capability and gpu.capability < least:
        have = f"{gpu.name} has {_capability(gpu)}"
        return f"{_reader(packed)} needs compute capability {least / 10:.1f}, {have}"
    return ""


def packed_dtype_reason(packed: Quantization | None, dtype: str) -> str:
    """Return why vLLM would refuse a dtype for a way of packing; empty if it takes it."""
    if packed is None or dtype in _method(packed).dtypes:
        return ""
    return f"{_reader(packed)} takes {' or '.join(_method(packed).dtypes)}, not {dtype}"


def sparse_reason(shape: ModelShape, gpu: Gpu, version: VllmVersion) -> str:
    """Return why sparse attention cannot run on a GPU; empty if it can, or the model has none."""
    is_sparse = shape.ratios or (shape.indexer_dim and shape.latent)
    if gpu.vendor != "nvidia" or not gpu.capability or not is_sparse:
        return ""
    release = version.release or _SPARSE[-1][0]
    majors = [majors for since, majors in _SPARSE if since <= release][-1]
    if gpu.capability // 10 in majors:
        return ""
    listed = ", ".join(f"{major}.x" for major in majors)
    return f"sparse attention needs compute capability {listed}, {gpu.name} has {_capability(gpu)}"


def kv_dtype_reason(shape: ModelShape, choice: Choice, version: VllmVersion) -> str:
    """Return why a type of cache cannot be used on a GPU; empty if it can."""
    gpu = choice.gpu
    if is_joined(shape) and choice.kv_dtype != "fp8" and version.since < _JOINED_AUTO:
        return "this vLLM wants --kv-cache-dtype fp8 for DeepSeek V4"
    if gpu.vendor != "nvidia" or not gpu.capability:
        return ""
    if shape.cached_latent is None:
        return _triton_reason(shape, choice)
    triton = gpu.capability < _HOPPER or gpu.capability >= _CONSUMER
    if choice.kv_dtype == "fp8" and triton and version.since < _LATENT_FP8:
        return f"this vLLM has no fp8 cache for latent attention on {gpu.name}"
    return ""


def _triton_reason(shape: ModelShape, choice: Choice) -> str:
    """Return why an fp8 cache cannot be read below Ada: only FlashInfer's kernels do, not Triton's.

    Source: vLLM 0.24 and 0.33 ``v1/attention/backends/triton_attn.py``, ``flashinfer.py``.
    """
    gpu, sinks = choice.gpu, shape.model_type == "gpt_oss"
    if choice.kv_dtype != "fp8" or gpu.capability >= _FP8_KV:
        return ""
    if sinks or shape.heads.dim not in _FLASHINFER_DIMS:
        have = f"{gpu.name} has {_capability(gpu)}"
        return f"an fp8 cache of {shape.model_type} needs compute capability 8.9, {have}"
    return ""


def weight_only(packed: Quantization | None, gpu: Gpu) -> bool:
    """Return whether FP8 weights run through weight-only kernels because the GPU has no FP8."""
    return packed is not None and packed.method == "fp8" and 0 < gpu.capability < _NATIVE_FP8


def own_kv_dtype(shape: ModelShape, version: VllmVersion) -> str:
    """Return the KV cache dtype of a model if the user names none: the one it starts with."""
    wants_fp8 = is_joined(shape) and version.since < _JOINED_AUTO
    return shape.kv_dtype or ("fp8" if wants_fp8 else "auto")


def kv_dtypes(shape: ModelShape, gpu: Gpu, version: VllmVersion) -> tuple[str, ...]:
    """Return the KV cache dtypes worth trying on a GPU, the model's own first."""
    own = own_kv_dtype(shape, version)
    if own == "fp8" or (gpu.capability and gpu.capability < _FP8_KV):
        return (own,)
    return (own, "fp8")


def _dtypes(shape: ModelShape, gpu: Gpu) -> tuple[str, ...]:
    half = () if shape.model_type in _NO_HALF else ("float16",)
    brain = ("bfloat16",) if gpu.capability == 0 or gpu.capability >= 80 else ()
    return (*brain, *half, "float32")


def _method(packed: Quantization) -> Method:
    return method_of(_reader(packed), packed.method)


def _reader(packed: Quantization) -> str:
    """Return the method of vLLM that reads what is packed."""
    return packed.needs[0] if packed.needs else packed.method


def _capability(gpu: Gpu) -> str:
    return f"{gpu.capability / 10:.1f}"
