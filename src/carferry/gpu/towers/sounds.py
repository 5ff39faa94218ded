"""Audio encoders with their projectors; only sizes are read.

Source: vLLM 0.33 ``model_executor/models`` {whisper,voxtral,qwen2_audio,qwen2_5_omni_thinker,
qwen3_omni_moe_thinker,granite_speech,phi4mm_audio,gemma3n_mm}.py; transformers 5.24 for defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from carferry.gpu.shape.fields import Fields
from carferry.gpu.shape.shape import Tower


def whisper_encoder(config: Fields, outer: Fields | None = None, hidden: int = 0) -> Tower:
    """Return Whisper's encoder; the two convolutions and the positions are ``extra``.

    Args:
        config: The section that describes it.
        outer: The whole config, if another decoder than Whisper's follows.
        hidden: Width of that decoder, which one projection reaches.
    """
    width = config.number("d_model", "hidden_size", "embed_dim", default=1280)
    bins = config.number("num_mel_bins", "mel_bins", default=80)
    positions = config.number("max_source_positions", default=1500)
    return Tower(
        layers=config.layers("encoder_layers", "num_hidden_layers", default=32),
        heads=config.number("encoder_attention_heads", "num_attention_heads", default=20),
        hidden=width,
        intermediate=config.number("encoder_ffn_dim", "intermediate_size", default=4 * width),
        matrices=2,
        extra=3 * width * (bins + width) + positions * width + width * hidden,
    )


def _voxtral(config: Fields, outer: Fields, hidden: int) -> Tower:
    """Read Voxtral: four frames become one, then two projections."""
    tower = whisper_encoder(config)
    wide = config.number("projection_size", "intermediate_size", default=4 * tower.hidden)
    more = wide * hidden + hidden * hidden
    return Tower(tower.layers, tower.heads, tower.hidden, tower.intermediate, 2, tower.extra + more)


def _qwen3(config: Fields, outer: Fields, hidden: int) -> Tower:
    """Read Qwen3's audio encoder: three convolutions over frequencies, two projections."""
    tower = whisper_encoder(config)
    channels = config.number("downsample_hidden_size", default=480)
    bands = config.number("num_mel_bins", default=128) // 8
    out = config.number("output_dim", default=hidden)
    convolved = 9 * channels * (1 + 2 * channels) + channels * bands * tower.hidden
    extra = convolved + tower.hidden * (tower.hidden + out)
    return Tower(tower.layers, tower.heads, tower.hidden, tower.intermediate, 2, extra)


def _conformer(config: Fields, outer: Fields, hidden: int) -> Tower:
    """Read Granite's Conformer and its querying projector."""
    width = config.number("hidden_dim", "hidden_size", default=1024)
    layers = config.layers("num_layers", "num_hidden_layers", default=10)
    inner = width * config.number("feedforward_mult", default=4)
    expanded = width * config.number("conv_expansion_factor", default=2)
    attention = config.number("num_heads", default=8) * config.number("dim_head", default=128)
    convolution = width * 2 * expanded + expanded * width
    second = 2 * width * inner + 4 * width * attention - 4 * width * width
    query = outer.section("projector_config")
    narrow = query.number("hidden_size", default=1024)
    depth = query.layers("num_hidden_layers", default=2)
    wide = query.number("intermediate_size", default=4096)
    projector = depth * (8 * narrow * narrow + 2 * narrow * wide) + narrow * hidden
    extra = layers * (convolution + second) + projector
    return Tower(layers, config.number("num_heads", default=8), width, inner, 2, extra)


def _gemma(config: Fields, outer: Fields, hidden: int) -> Tower:
    """Read Gemma's Conformer: two feed-forwards, attention and a convolution in each layer."""
    width = config.number("hidden_size", default=1536)
    layers = config.layers("conf_num_hidden_layers", "num_hidden_layers", default=12)
    heads = config.number("conf_num_attention_heads", "num_attention_heads", default=8)
    other = layers * (24 - 12) * width * width
    return Tower(layers, heads, width, 4 * width, 2, other + width * (width + hidden))


SOUNDS: Mapping[str, Callable[[Fields, Fields, int], Tower]] = {
    "gemma": _gemma,
    "voxtral": _voxtral,
    "glmasr": _voxtral,
    "qwen3": _qwen3,
    "granite_speech": _conformer,
}
"""By the start of the outer ``model_type``, or the section's own."""
