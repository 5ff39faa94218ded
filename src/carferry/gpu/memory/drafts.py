"""What a draft adds to the weights on a rank.

Source: vLLM 0.33 ``models/deepseek_mtp.py`` (a draft is one more layer).
"""

from __future__ import annotations

from carferry.gpu.memory.choice import Choice
from carferry.gpu.shape.shape import ModelShape


def draft_bytes(shape: ModelShape, choice: Choice, weights: float) -> float:
    """Return the bytes of a draft's layers, each as large as a layer of the model."""
    if not choice.speculative_tokens:
        return 0.0
    return (shape.spare_layers or 1) * weights / max(len(shape.layers), 1)
