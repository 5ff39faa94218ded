"""Encoders beside the decoder: which sections describe them, and who reads each.

A tower whose kind is not known counts as a plain vision transformer with one linear projector:
it is small beside its decoder, so a wrapper of a known decoder is known as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from carferry.gpu.shape.fields import Fields
from carferry.gpu.shape.shape import Tower
from carferry.gpu.towers.images import IMAGES, plain_tower
from carferry.gpu.towers.sounds import SOUNDS, whisper_encoder

_IMAGE_KEYS = ("vision_config", "vit_config", "vision_tower_config", "visual")
_SOUND_KEYS = ("audio_config", "encoder_config", "sound_config", "speech_config")
_COPIED = (
    "deepseek_vl_v2",
    "gemma3n",
    "gemma4",
    "granite_speech",
    "phi3_v",
    "phi4mm",
    "phi4_multimodal",
    "qwen2_audio",
    "shieldgemma2",
)
"""Outer types whose tower vLLM 0.33 takes from another library, whole on every rank."""

_COPYABLE = (
    *("cosmos3", "dots_ocr", "exaone4_5", "glm4v", "glm46v", "internvl", "isaac", "kimi"),
    *("llama4", "minicpmv", "minimax_m3", "opencua", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"),
    *("qwen3_5", "step3"),
)
"""Outer types whose class says ``supports_encoder_tp_data``."""


def parse_tower(config: Fields, hidden: int) -> Tower | None:
    """Return the image and audio encoders a config describes; None for a text model.

    Args:
        config: The whole config.json.
        hidden: Width of the decoder the projector feeds.
    """
    outer, kind = _owner(config), config.text("model_type")
    image = _built(outer, kind, hidden, _IMAGE_KEYS, IMAGES, plain_tower)
    sound = (
        None
        if kind.startswith("phi4")
        else _built(outer, kind, hidden, _SOUND_KEYS, SOUNDS, whisper_encoder)
    )
    found = _together(image, sound)
    if found is None:
        return None
    return replace(found, copied=kind.startswith(_COPIED), copyable=kind.startswith(_COPYABLE))


def _owner(config: Fields) -> Fields:
    """Return the section that holds the towers: Qwen's omni models keep them in the thinker."""
    thinker = config.section("thinker_config")
    return config.with_({**config.values, **thinker.values})


def _built(
    outer: Fields,
    kind: str,
    hidden: int,
    keys: tuple[str, ...],
    builders: Mapping[str, Callable[[Fields, Fields, int], Tower]],
    other: Callable[[Fields, Fields, int], Tower | None],
) -> Tower | None:
    section = outer.section(*keys)
    if not section.values:
        return None
    inner = section.text("model_type")
    builder = next((make for name, make in builders.items() if kind.startswith(name)), None)
    builder = builder or next((builders[name] for name in builders if inner == name), None)
    return (builder or other)(section, outer, hidden)


def _together(image: Tower | None, sound: Tower | None) -> Tower | None:
    """Return both towers as one: the audio's weights count as the image tower's others."""
    if image is None or sound is None:
        return image or sound
    return replace(image, extra=image.extra + sound.weights)
