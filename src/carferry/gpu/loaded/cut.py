"""Into how many shares each kind of weight is cut, and so what one rank holds of it.

Sources: vLLM 0.33 ``layers/linear.py`` (KV heads are copied beyond their number, replicated layers
are whole everywhere), ``layers/fused_moe/config.py`` (``FusedMoEParallelConfig``: experts are cut
or dealt out whole), ``config/multimodal.py`` (towers).
"""

from __future__ import annotations

from dataclasses import dataclass

from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.units import ceil_div


@dataclass(frozen=True, slots=True)
class Ranks:
    """Over how many GPUs a model is spread.

    Attributes:
        tp: Tensor parallel size.
        pp: Pipeline parallel size.
        whole_experts: Experts are dealt out whole (``--enable-expert-parallel``).
        engines: Data parallel size; experts are shared by the ranks of all engines.
    """

    tp: int
    pp: int = 1
    whole_experts: bool = False
    engines: int = 1

    @property
    def of_experts(self) -> int:
        """Ranks that share the experts of a layer, dealt out or cut."""
        return self.tp * self.engines


def ways(shape: ModelShape, split: str, ranks: Ranks) -> float:
    """Return into how many distinct shares weights are cut.

    Args:
        shape: The model.
        split: ``even``, ``kv``, ``qkv`` (both in one tensor), ``experts``, ``tower`` or ``copy``.
        ranks: Over how many GPUs.
    """
    tp, heads = ranks.tp, shape.heads
    if split == "experts":
        return _expert_ways(shape, ranks)
    if split == "tower":
        return shape.vision.ways(tp) if shape.vision is not None else tp
    if split == "qkv":
        rows, keys = heads.query, 2 * heads.kv
        return (rows + keys) / (rows / tp + keys / min(tp, heads.kv))
    return {"even": tp, "kv": min(tp, heads.kv), "copy": 1}[split]


def _expert_ways(shape: ModelShape, ranks: Ranks) -> float:
    if not ranks.whole_experts or shape.experts is None:
        return ranks.of_experts
    return shape.experts.count / ceil_div(shape.experts.count, ranks.of_experts)
