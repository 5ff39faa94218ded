"""The blocks and patches of a vision transformer, whatever its config calls them.

Source: transformers 5.24 ``models/*/configuration_*.py`` for names and defaults.
"""

from __future__ import annotations

from collections.abc import Mapping

from carferry.gpu.shape.fields import Fields

CLASSES: Mapping[str, tuple[int, int, int, int, int, int]] = {
    "clip_vision_model": (768, 3072, 12, 12, 224, 32),
    "gemma4_vision": (768, 3072, 16, 12, 224, 16),
    "idefics3_vision": (1152, 3072, 12, 16, 224, 32),
    "intern_vit_6b": (3200, 12800, 45, 25, 448, 14),
    "internvl_vision": (1024, 4096, 24, 16, 448, 14),
    "llama4_vision_model": (768, 5632, 34, 16, 448, 14),
    "minimax_m3_vl_vision": (1280, 5120, 32, 16, 2016, 14),
    "mllama_vision_model": (1280, 5120, 40, 16, 448, 14),
    "paddleocr_vl_vision": (1152, 4304, 27, 16, 384, 14),
    "pixtral": (1024, 4096, 24, 16, 1024, 16),
    "siglip2_vision_model": (768, 3072, 12, 12, 256, 16),
    "radio": (1280, 5120, 32, 16, 768, 16),
    "siglip_vision_model": (768, 3072, 12, 12, 224, 16),
    "smolvlm_vision": (1152, 3072, 12, 16, 224, 32),
}
"""What a class assumes: width, MLP width, layers, heads, side of the image, side of a patch."""


def blocks(vision: Fields, matrices: int = 2) -> tuple[int, int, int, int, int]:
    """Return (layers, heads, width, MLP width, matrices), under any name and with defaults."""
    own = CLASSES.get(vision.text("model_type"))
    width = vision.number(
        "hidden_size", "embed_dim", "width", "d_model", "hidden_dim", default=own and own[0]
    )
    ratio = vision.values.get("mlp_ratio")
    scaled = int(ratio * width) if isinstance(ratio, int | float) and 0 < ratio < 64 else 4 * width
    return (
        vision.layers("num_hidden_layers", "depth", "layers", "num_layers",
                      default=own[2] if own else 24),
        vision.number("num_attention_heads", "num_heads", "heads", "attention_heads",
                      default=own[3] if own else 16),
        width,
        vision.number("intermediate_size", "mlp_dim", default=own[1] if own else scaled),
        matrices,
    )  # fmt: skip


def patches(vision: Fields, width: int, learned: bool = True) -> int:
    """Return the patch embedding, and learned positions for a grid of patches."""
    own = CLASSES.get(vision.text("model_type"), (0, 0, 0, 0, 224, 14))
    patch = vision.side("patch_size", own[5])
    positions = (vision.side("image_size", own[4]) // patch) ** 2 if learned else 0
    return (3 * patch * patch + positions) * width
