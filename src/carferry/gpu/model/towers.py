"""Encoders beside the decoder: image towers with their projectors, Whisper's audio encoder.

Only sizes are read; each constructor cites the vLLM model it mirrors.

Source: vLLM 0.33 ``model_executor/models`` {clip,siglip,pixtral,qwen2_5_vl,qwen3_vl,whisper}.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from carferry.gpu.model.fields import Fields
from carferry.gpu.model.shape import Tower

_COPIED = ("gemma4", "gemma3n", "phi4mm", "phi3_v")
"""Towers built of transformers' own layers or plain ``nn.Linear``, which nothing cuts."""


def parse_tower(config: Fields, hidden: int) -> Tower | None:
    """Return the image tower a config describes; None for a text model.

    Args:
        config: The whole config.json.
        hidden: Width of the decoder the projector feeds.
    """
    vision = config.section("vision_config")
    if not vision.values:
        return None
    kind = config.text("model_type")
    builder = next((make for name, make in _BUILDERS.items() if kind.startswith(name)), _plain)
    return replace(builder(vision, config, hidden), copied=kind.startswith(_COPIED))


def whisper_encoder(config: Fields) -> Tower:
    """Return Whisper's encoder; the two convolutions and the positions are ``extra``."""
    width, bins = config.number("d_model"), config.number("num_mel_bins", default=80)
    positions = config.number("max_source_positions", default=1500)
    return Tower(
        layers=config.number("encoder_layers"),
        heads=config.number("encoder_attention_heads"),
        hidden=width,
        intermediate=config.number("encoder_ffn_dim"),
        matrices=2,
        extra=3 * width * (bins + width) + positions * width,
    )


def _clip(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read CLIP as LLaVA loads it: layers after the chosen feature layer are dropped."""
    width = vision.number("hidden_size", default=1024)
    depth = vision.number("num_hidden_layers", default=24)
    layer = config.values.get("vision_feature_layer", -2)
    dropped = -layer - 1 if isinstance(layer, int) and -depth <= layer < 0 else 0
    patch = vision.side("patch_size", 14)
    positions = (vision.side("image_size", 336) // patch) ** 2 + 1
    return Tower(
        layers=depth - dropped,
        heads=vision.number("num_attention_heads", default=16),
        hidden=width,
        intermediate=vision.number("intermediate_size", default=4096),
        matrices=2,
        extra=(3 * patch * patch + positions) * width + hidden * (width + hidden),
    )


def _plain(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read SigLIP and its kind: one linear projector into the decoder."""
    width, patch = vision.number("hidden_size"), vision.side("patch_size", 14)
    grid = (vision.side("image_size", 224) // patch) ** 2
    positions = 2 * (vision.maybe("position_embedding_size") or 0) or grid
    return Tower(
        layers=vision.number("num_hidden_layers"),
        heads=vision.number("num_attention_heads"),
        hidden=width,
        intermediate=vision.number("intermediate_size"),
        matrices=3 if config.text("model_type").startswith("gemma4") else 2,
        extra=(3 * patch * patch + positions + hidden) * width,
    )


def _pixtral(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read Pixtral in Mistral 3: gated blocks, a 2x2 patch merger and two projections."""
    width, patch = vision.number("hidden_size", default=1024), vision.side("patch_size", 14)
    merge = config.number("spatial_merge_size", default=2) ** 2
    return Tower(
        layers=vision.number("num_hidden_layers", default=24),
        heads=vision.number("num_attention_heads", default=16),
        hidden=width,
        intermediate=vision.number("intermediate_size", default=4096),
        matrices=3,
        extra=3 * patch * patch * width + merge * width * width + hidden * (width + hidden),
    )


def _qwen(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read Qwen-VL: a merger of merge^2 patches; Qwen3 adds one merger per deepstack level."""
    width, out = vision.number("hidden_size"), vision.number("out_hidden_size", default=hidden)
    wide = width * vision.number("spatial_merge_size", default=2) ** 2
    frames = vision.side("temporal_patch_size", 2)
    patch = 3 * frames * vision.side("patch_size", 14) ** 2
    levels = len(vision.items("deepstack_visual_indexes"))
    positions = vision.integer("num_position_embeddings", default=0)
    return Tower(
        layers=vision.number("depth", default=32),
        heads=vision.number("num_heads", default=16),
        hidden=width,
        intermediate=vision.number("intermediate_size"),
        matrices=3 if config.text("model_type") == "qwen2_5_vl" else 2,
        extra=(patch + positions) * width + (1 + levels) * wide * (wide + out),
        levels=levels,
    )


_BUILDERS: Mapping[str, Callable[[Fields, Fields, int], Tower]] = {
    "llava": _clip,
    "mistral3": _pixtral,
    "pixtral": _pixtral,
    "qwen2_5_vl": _qwen,
    "qwen3_vl": _qwen,
    "qwen3_5": _qwen,
}
