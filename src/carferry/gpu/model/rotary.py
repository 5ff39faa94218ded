"""How much a model caches of rotary angles: a sine and a cosine per position and rotated pair.

Source: vLLM 0.33 ``layers/rotary_embedding`` (``get_rope``, ``yarn_scaling_rope.py``,
``phi3_long_rope_scaled_rope.py``; ``mrope.py``: four times the positions, for video).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from carferry.gpu.shape.fields import Fields
from carferry.gpu.shape.shape import LayerKind, ModelShape

_VIDEO = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "qwen2_5_omni", "glm4v", "glm_ocr")
_PARTIAL = {
    "glm": 0.5, "glm4": 0.5, "glm4_moe": 0.5, "chatglm": 0.5, "phi": 0.5, "qwen3_next": 0.25,
    "qwen3_5": 0.25, "stablelm": 0.25, "gpt_neox": 0.25, "minimax_m2": 0.5,
}  # fmt: skip
_NONE = ("nemotron_h", "gpt2", "opt", "whisper", "bert", "roberta", "mamba")
_BY_KIND = ("gemma3", "gemma3n", "gemma4")
_LONGEST = 1 << 26


@dataclass(frozen=True, slots=True)
class _Scaling:
    kind: str
    factor: float
    original: int


def rotary_elements(fields: Fields, shape: ModelShape) -> int:
    """Return the elements of all cached angles; 0 if the model caches none.

    Args:
        fields: The text model's config.
        shape: The model without them.
    """
    kind = shape.model_type
    attends = shape.count(LayerKind.FULL) + shape.count(LayerKind.SLIDING)
    without = _named(kind, _NONE) or fields.text("position_embedding_type") == "nope"
    if not attends or shape.learned_positions or without:
        return 0
    own = shape.latent.rope if shape.latent else fields.maybe("qk_rope_head_dim")
    rotated = own or int(shape.heads.dim * _partial(fields, kind))
    positions = _positions(fields, shape)
    if kind.startswith("deepseek_v4"):  # two caches of 32 bits
        return 4 * positions * rotated
    if _named(kind, _VIDEO):
        return min(4 * positions * rotated, _LONGEST * 64)
    if _named(kind, _BY_KIND) and shape.count(LayerKind.SLIDING):
        return positions * (rotated + shape.global_heads.dim)
    return positions * rotated


def _positions(fields: Fields, shape: ModelShape) -> int:
    """Return how many positions are cached: scaled ones have their own count."""
    longest, scaling = shape.positions, _scaling(fields)
    if scaling.kind == "longrope" and scaling.original:
        return longest + scaling.original
    if "yarn" in scaling.kind and scaling.original:
        return min(int(scaling.original * scaling.factor), _LONGEST)
    return longest


def _scaling(fields: Fields) -> _Scaling:
    section = _section(fields)
    kind = str(section.get("rope_type") or section.get("type") or "")
    factor, original = section.get("factor"), section.get("original_max_position_embeddings")
    times = float(factor) if isinstance(factor, int | float) and 1 <= factor <= 1024 else 1.0
    known = original if isinstance(original, int) and 0 < original <= _LONGEST else 0
    return _Scaling(kind.lower(), times, known)


def _section(fields: Fields) -> Mapping[str, object]:
    for key in ("rope_parameters", "rope_scaling"):
        found = fields.values.get(key)
        if isinstance(found, Mapping):
            return found
    return {}


def _partial(fields: Fields, kind: str) -> float:
    """Return the share of a head that is rotated."""
    given = fields.values.get("partial_rotary_factor", fields.values.get("rotary_pct"))
    given = _section(fields).get("partial_rotary_factor", given)
    if isinstance(given, int | float) and 0 < given <= 1:
        return float(given)
    exact = _PARTIAL.get(kind.removesuffix("_text").removesuffix("_moe"))
    return exact or _PARTIAL.get(kind, 1.0)


def _named(kind: str, names: tuple[str, ...]) -> bool:
    return any(kind == name or kind.startswith(f"{name}_") for name in names)
