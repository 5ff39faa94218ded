"""What data parallel engines and drafts change of the weights on a rank.

Sources: vLLM 0.33 ``fused_moe/config.py`` (FusedMoEParallelConfig: experts are dealt out, or cut,
over tensor times data parallel ranks), ``models/deepseek_mtp.py`` (a draft is one more layer).
"""

from __future__ import annotations

from carferry.gpu.memory.choice import Choice
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.units import BITS


def spared_bytes(shape: ModelShape, choice: Choice) -> float:
    """Return the bytes of experts that the other data parallel engines hold for a rank."""
    experts = shape.experts
    if experts is None or choice.data_parallel == 1:
        return 0.0
    matrices = 3 if shape.gated else 2
    outer = experts.latent or shape.hidden
    weights = experts.layers * experts.count * matrices * outer * experts.intermediate
    held = weights * _bits(shape, choice.dtype) / 8 / choice.ranks
    return held * (1 - 1 / choice.data_parallel)


def draft_bytes(shape: ModelShape, choice: Choice, weights: float) -> float:
    """Return the bytes of a draft's layers, each as large as a layer of the model."""
    if not choice.speculative_tokens:
        return 0.0
    return (shape.spare_layers or 1) * weights / max(len(shape.layers), 1)


def _bits(shape: ModelShape, dtype: str) -> float:
    plain, packed = float(BITS[dtype]), shape.quantization
    if packed is None:
        return plain
    share = packed.share("experts")
    return share * (packed.of("experts") or plain) + (1 - share) * plain
