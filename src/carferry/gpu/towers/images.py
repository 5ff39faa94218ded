"""Image encoders with their projectors; only sizes are read.

Source: vLLM 0.33 ``model_executor/models`` {clip,siglip,pixtral,qwen2_vl,qwen2_5_vl,qwen3_vl,
glm4_1v,intern_vit,moonvit,mllama4,ernie45_vl,minimax_m3}.py; transformers 5.24 for the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from carferry.gpu.shape.fields import Fields
from carferry.gpu.shape.shape import Tower
from carferry.gpu.towers.vit import CLASSES, blocks, patches


def plain_tower(vision: Fields, config: Fields, hidden: int) -> Tower | None:
    """Read SigLIP and its kind: one linear projector into the decoder.

    Returns:
        None for a section that gives no width, such as one that only names a timm model.
    """
    if not any(vision.values.get(key) is not None for key in _WIDTHS) and (
        vision.text("model_type") not in CLASSES
    ):
        return None
    return _siglip(vision, config, hidden)


_WIDTHS = ("hidden_size", "embed_dim", "width", "d_model", "hidden_dim")


def _siglip(vision: Fields, config: Fields, hidden: int) -> Tower:
    gated = config.text("model_type").startswith("gemma4")
    layers, heads, width, inner, matrices = blocks(vision, 3 if gated else 2)
    table = 2 * (vision.maybe("position_embedding_size") or 0) * width
    extra = patches(vision, width, learned=not table) + table + hidden * width
    return Tower(layers, heads, width, inner, matrices, extra)


def _siglip_mlp(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read SigLIP in LLaVA-OneVision: two projections, and the row that ends a line."""
    layers, heads, width, inner, _ = blocks(vision)
    extra = patches(vision, width) + hidden * (width + hidden)
    return Tower(layers, heads, width, inner, 2, extra)


def _clip(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read CLIP as LLaVA loads it: layers after the chosen feature layer are dropped."""
    width = vision.number("hidden_size", default=1024)
    depth = vision.layers("num_hidden_layers", default=24)
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


def _pixtral(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read Pixtral in Mistral 3: gated blocks, a 2x2 patch merger and two projections."""
    width, patch = vision.number("hidden_size", default=1024), vision.side("patch_size", 14)
    merge = config.number("spatial_merge_size", default=2) ** 2
    return Tower(
        layers=vision.layers("num_hidden_layers", default=24),
        heads=vision.number("num_attention_heads", default=16),
        hidden=width,
        intermediate=vision.number("intermediate_size", default=4096),
        matrices=3,
        extra=3 * patch * patch * width + merge * width * width + hidden * (width + hidden),
    )


def _qwen(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read Qwen-VL: a merger of merge^2 patches; Qwen3 adds one merger per deepstack level."""
    out = vision.number("out_hidden_size", default=hidden)
    kind = config.text("model_type")
    gated = vision.values.get("fullatt_block_indexes") is not None or kind.startswith("qwen2_5")
    layers, heads, width, inner, matrices = blocks(vision, 3 if gated else 2)
    wide = width * vision.number("spatial_merge_size", default=2) ** 2
    levels = min(len(vision.items("deepstack_visual_indexes")), layers)
    positions = vision.integer("num_position_embeddings", default=0) * width
    extra = _frames(vision, width) + positions + (1 + levels) * wide * (wide + out)
    return Tower(layers, heads, width, inner, matrices, extra, levels=levels)


def _qwen2(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read Qwen2-VL: its ``hidden_size`` is the decoder's, its own is ``embed_dim``."""
    width = vision.number("embed_dim", default=1280)
    own = vision.with_({**vision.values, "hidden_size": width})
    out = own.with_({**own.values, "out_hidden_size": hidden, "fullatt_block_indexes": None})
    return _qwen(out, config, hidden)


def _frames(vision: Fields, width: int) -> int:
    frames = vision.side("temporal_patch_size", 2)
    return 3 * frames * vision.side("patch_size", 14) ** 2 * width


def _glm(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read GLM-4.1V and on: gated blocks as wide as the output, a merger like an MLP."""
    layers, heads, width, inner, _ = blocks(vision)
    out = vision.number("out_hidden_size", default=hidden)
    ocr = config.text("model_type").startswith("glm_ocr")
    grid = 0 if ocr else (vision.side("image_size", 336) // vision.side("patch_size", 14)) ** 2
    merge = vision.number("spatial_merge_size", default=2) ** 2
    merger_width = out * vision.number("in_channels", default=3) if ocr else inner
    merger = out * out + 3 * out * merger_width + merge * width * out
    extra = _frames(vision, width) + grid * width + merger
    return Tower(layers, heads, width, inner if ocr else out, 3, extra)


def _shuffled(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read InternViT: four patches become one, which two projections bring to the decoder."""
    layers, heads, width, inner, _ = blocks(vision)
    wide = 4 * width
    extra = patches(vision, width) + wide * hidden + hidden * hidden
    return Tower(layers, heads, width, inner, 2, extra)


def _cohere(vision: Fields, config: Fields, hidden: int) -> Tower:
    layers, heads, width, inner, _ = blocks(vision)
    wide = width * config.number("downsample_factor", default=2) ** 2
    middle = config.number("alignment_intermediate_size", default=36864)
    extra = patches(vision, width) + wide * middle + middle // 2 * hidden
    return Tower(layers, heads, width, inner, 2, extra)


def _lfm(vision: Fields, config: Fields, hidden: int) -> Tower:
    layers, heads, width, inner, _ = blocks(vision)
    wide = width * config.number("downsample_factor", default=2) ** 2
    middle = config.number("projector_hidden_size", default=2560)
    positions = vision.number("num_patches", default=256) * width
    extra = patches(vision, width, learned=False) + positions + middle * (wide + hidden)
    return Tower(layers, heads, width, inner, 2, extra)


def _idefics(vision: Fields, config: Fields, hidden: int) -> Tower:
    layers, heads, width, inner, _ = blocks(vision)
    wide = width * config.number("scale_factor", default=2) ** 2
    return Tower(layers, heads, width, inner, 2, patches(vision, width) + wide * hidden)


def _moon(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read MoonViT (Kimi): a table of positions, four patches merged, two projections."""
    renamed = {key.removeprefix("vt_"): value for key, value in vision.values.items()}
    own = vision.with_(renamed)
    layers, heads, width, inner, _ = blocks(own)
    table = own.number("init_pos_emb_height", "pos_emb_height", default=64)
    table *= own.number("init_pos_emb_width", "pos_emb_width", default=64)
    wide = 4 * width
    extra = patches(own, width, learned=False) + table * width + wide * (wide + hidden)
    return Tower(layers, heads, width, inner, 2, extra)


def _llama4(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read Llama 4: a pixel shuffle and a two-layer adapter before the projector."""
    layers, heads, width, inner, _ = blocks(vision)
    narrow = vision.number("projector_input_dim", default=4096)
    out = vision.number("projector_output_dim", "vision_output_dim", default=4096)
    extra = patches(vision, width) + inner * narrow + narrow * out + out * hidden
    return Tower(layers, heads, width, inner, 2, extra)


def _mllama(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read Llama 3.2 Vision: global layers after the local ones, tables for tiles."""
    layers, heads, width, inner, _ = blocks(vision)
    layers += vision.layers("num_global_layers", default=8, least=0)
    tiles = vision.number("max_num_tiles", default=4)
    shapes = 1 + len(vision.items("supported_aspect_ratios"))
    patch = vision.side("patch_size", 14)
    grid = (vision.side("image_size", 448) // patch) ** 2 + 1
    tables = shapes * tiles * (grid + 2) * width + grid * width
    out = vision.number("vision_output_dim", default=7680)
    return Tower(layers, heads, width, inner, 2, 3 * patch**2 * width + tables + out * hidden)


def _ernie(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read Ernie 4.5 VL: a resampler that merges in space and then in time."""
    layers, heads, width, inner, _ = blocks(vision)
    wide = width * vision.number("spatial_merge_size", default=2) ** 2
    frames = vision.number("temporal_merge_size", default=2)
    resampler = (3 + frames) * wide * wide + wide * hidden
    return Tower(layers, heads, width, inner, 2, patches(vision, width, False) + resampler)


def _minimax(vision: Fields, config: Fields, hidden: int) -> Tower:
    layers, heads, width, inner, _ = blocks(vision)
    merge = vision.number("spatial_merge_size", default=2) ** 2
    middle = config.number("projector_hidden_size", default=hidden)
    projector = width * middle + middle * hidden + merge * hidden * middle + middle * hidden
    return Tower(layers, heads, width, inner, 2, _frames(vision, width) + projector)


def _paddle(vision: Fields, config: Fields, hidden: int) -> Tower:
    layers, heads, width, inner, _ = blocks(vision)
    wide = 4 * width
    extra = patches(vision, width) + wide * (wide + hidden)
    return Tower(layers, heads, width, inner, 2, extra)


def _phi4(vision: Fields, config: Fields, hidden: int) -> Tower:
    """Read Phi-4 multimodal: SigLIP without its last layer, an audio Conformer, projectors."""
    layers, heads, width, inner, _ = blocks(vision)
    held = layers * (4 * width * width + 2 * width * inner + 9 * width + inner)
    return Tower(layers, heads, width, inner, 2, max(PHI4_TOWERS - held, 0))


PHI4_TOWERS = 907_982_272
"""Parameters of Phi-4 multimodal's image and audio parts, whose sizes its code fixes."""

_MOBILENET = 298_600_000
"""Parameters of Gemma 3n's MobileNet and its projector, which its config only names."""


def _gemma3n(vision: Fields, config: Fields, hidden: int) -> Tower:
    width = vision.number("hidden_size", default=2048)
    return Tower(0, 1, width, width, 2, _MOBILENET)


IMAGES: Mapping[str, Callable[[Fields, Fields, int], Tower]] = {
    "gemma3n": _gemma3n,
    "llava_onevision": _siglip_mlp,
    "llava": _clip,
    "vipllava": _clip,
    "mistral3": _pixtral,
    "pixtral": _pixtral,
    "lighton_ocr": _pixtral,
    "qwen2_vl": _qwen2,
    "qwen": _qwen,
    "exaone4_5": _qwen,
    "hyperclovax_vision_v2": _qwen,
    "cosmos3": _qwen,
    "glm4v": _glm,
    "glm46v": _glm,
    "glm_ocr": _glm,
    "glmga": _glm,
    "internvl": _shuffled,
    "interns1": _shuffled,
    "intern_s1": _shuffled,
    "qianfan_ocr": _shuffled,
    "skywork_chat": _shuffled,
    "h2ovl_chat": _shuffled,
    "NVLM_D": _shuffled,
    "cohere2_vision": _cohere,
    "lfm2_vl": _lfm,
    "idefics3": _idefics,
    "smolvlm": _idefics,
    "kimi": _moon,
    "paddleocr_vl": _paddle,
    "phi4_multimodal": _phi4,
    "llama4": _llama4,
    "mllama": _mllama,
    "ernie4_5_vl_moe": _ernie,
    "minimax_m3_vl": _minimax,
}
"""By the start of the outer ``model_type``; the longer of two that share one stands first."""
