"""Bytes that kernels add to the weights: widths rounded up, projections kept twice.

Sources: vLLM ``layers/quantization/mxfp4.py`` (to 0.19) and ``layers/fused_moe/oracle/mxfp4.py``
(``mxfp4_round_up_hidden_size_and_intermediate_size``); ``layers/attention/mla_attention.py``.
"""

from __future__ import annotations

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.loaded.cut import Ranks, ways
from carferry.gpu.packing.widths import MXFP4
from carferry.gpu.shape.shape import LayerKind, ModelShape
from carferry.gpu.units import BITS, round_up

_HIDDEN_STEP = 256


def expert_padding(shape: ModelShape, gpu: Gpu, ranks: Ranks, release: tuple[int, ...]) -> float:
    """Return the bytes on one rank that MXFP4 kernels add by rounding expert widths up."""
    packed, experts = shape.quantization, shape.experts
    if packed is None or experts is None or packed.of("experts") != MXFP4:
        return 0.0
    width = experts.latent or shape.hidden
    share = experts.intermediate // (1 if ranks.whole_experts else ranks.of_experts)
    step, beside = _steps(shape, gpu, release)
    grown = round_up(width, beside) * round_up(share, step) / (width * max(share, 1)) - 1
    matrices = 3 if shape.gated else 2
    stored = experts.layers * experts.count * matrices * width * experts.intermediate * MXFP4 / 8
    return stored * grown / ways(shape, "experts", ranks)


def _steps(shape: ModelShape, gpu: Gpu, release: tuple[int, ...]) -> tuple[int, int]:
    """Return what a rank's share of an expert, and the width before it, are rounded to."""
    if gpu.vendor == "amd":
        step = 128 if (0, 12) <= release < (0, 20) and "35" not in gpu.name else 256
        return step, step
    if 100 <= gpu.capability < 110:
        return (256 if release < (0, 28) else 128), _HIDDEN_STEP
    if gpu.capability == 90 and shape.model_type == "gpt_oss":
        return 64, _HIDDEN_STEP
    return 128, _HIDDEN_STEP


def absorbed(shape: ModelShape, ranks: Ranks, dtype: str) -> float:
    """Return the bytes on one rank of MLA's up-projection, kept again inside queries and values."""
    latent = shape.cached_latent
    if latent is None:
        return 0.0
    per_layer = shape.heads.query * latent.kv_rank * (latent.nope + latent.value)
    return shape.count(LayerKind.FULL) * per_layer * BITS[dtype] / 8 / ranks.tp
