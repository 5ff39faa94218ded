"""What the headers of a checkpoint come to once loaded: which tensors, how wide, cut how.

Sources: vLLM 0.33 ``model_executor/models`` (``load_weights``: what is skipped; which layers are
``ReplicatedLinear``), ``layers/linear.py``, ``layers/mamba``, ``models/deepseek_v4``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.units import BITS
from carferry.weights.safetensors import Tensor

LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|layer)\.(\d{1,6})\.")
TOWER = re.compile(
    r"^(?:model\.)?(?:visual|vision|audio_tower|audio_encoder|multi_modal_projector|mm_projector"
    r"|mlp1|aligner|embed_vision|embed_audio|image_newline|vit_large_projector|whisper_encoder"
    r"|mm_whisper|thinker\.(?:visual|audio)|encoder\.layers)"
    r"|^(?:vision_encoder|vision_language_adapter|patch_merger|pre_mm_projector_norm)\."
)
_SPARE = re.compile(r"(?:^|\.)(?:mtp|nextn|mtp_block|draft)(?:\.|_)")
_NEVER = re.compile(
    r"rotary_emb\.|inv_freq|position_ids|masked_bias|\.attn\.bias$|num_batches_tracked"
)
_COPIED = re.compile(
    r"(?i)norm|\.gate\.(?:weight|e_score|bias)|router|shared_expert_gate|position_embedding"
    r"|token_type|(?:o_proj|down_proj|out_proj|dense|fc2|c_proj|wo)\.bias"
    r"|q_a_proj|kv_a_proj|\.wq_a\.|\.wkv\.|indexer\.|compressor\.|_latent_proj"
    r"|per_layer_input_gate|per_layer_projection|altup|[fg]_a_proj|correct_output_scale"
)
_FUSED_KEYS = re.compile(r"(?:qkv_proj|wqkv|Wqkv|query_key_value|c_attn)\.weight")
_KEYS = re.compile(r"(?:self_attn\.|attn\.|attention\.)(?:[kv]_proj|key|value|w[kv])\.")
_EXPERTS = re.compile(r"\.experts\.")
_HEAD = re.compile(r"(?:^|\.)(?:lm_head|output|embed_out)\.")
_DIGITS = re.compile(r"[0-9]+")
_FLOATS = ("F64", "F32", "F16", "BF16")
_SCALES = ("scale", "scale_inv", "scales", "absmax", "quant_map", "zeros", "zero_point")


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes of tensors as loaded.

    Attributes:
        pieces: By place (``layer``, ``first`` or ``last`` stage, ``spare``) and split.
        layers: Decoder layers of which any tensor is there.
        embeds: Whether the token embeddings are there.
    """

    pieces: Mapping[tuple[str, str], float]
    layers: frozenset[int]
    embeds: bool

    @property
    def total(self) -> float:
        """Bytes of all that is loaded without speculative decoding."""
        return sum(size for (place, _), size in self.pieces.items() if place != "spare")


_READ: dict[tuple[int, str, str], tuple[Sequence[Tensor], ModelShape, Stored]] = {}
_MOST_READ = 8


def read_stored(shape: ModelShape, tensors: Sequence[Tensor], dtype: str) -> Stored:
    """Add up the tensors that the loader keeps; the same headers are added up once.

    Args:
        shape: The model, for what of a checkpoint belongs to it.
        tensors: Header entries of the files the loader reads.
        dtype: What unquantized weights become.
    """
    key = id(tensors), dtype, shape.model_type
    found = _READ.get(key)
    if found and found[0] is tensors and found[1] == shape:
        return found[2]
    stored = _added_up(shape, tensors, dtype)
    if len(_READ) >= _MOST_READ:
        _READ.clear()
    _READ[key] = tensors, shape, stored
    return stored


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a name without its numbers says of a tensor."""

    split: str
    is_tower: bool
    is_never: bool
    is_spare: bool
    is_head: bool
    is_embedding: bool


@lru_cache(maxsize=1 << 14)
def _kind_of(stem: str) -> _Kind:
    return _Kind(
        split=split_of(stem),
        is_tower=TOWER.match(stem) is not None,
        is_never=_NEVER.search(stem) is not None,
        is_spare=_SPARE.search(stem) is not None,
        is_head=_HEAD.search(stem) is not None,
        is_embedding="embed" in stem or "wte" in stem,
    )


def _added_up(shape: ModelShape, tensors: Sequence[Tensor], dtype: str) -> Stored:
    pieces: defaultdict[tuple[str, str], float] = defaultdict(float)
    layers, embeds = set[int](), False
    for tensor in tensors:
        kind, found = _kind_of(_DIGITS.sub("0", tensor.name)), LAYER.search(tensor.name)
        layer = int(found[1]) if found else None
        if kind.is_never or _skipped(shape, tensor.name, layer, kind.is_tower):
            continue
        place = _place(shape, kind, layer)
        pieces[place, kind.split] += _loaded(shape, tensor, dtype)
        if place == "layer" and layer is not None:
            layers.add(layer)
        embeds = embeds or kind.is_embedding
    return Stored(dict(pieces), frozenset(layers), embeds)


def _skipped(shape: ModelShape, name: str, layer: int | None, is_tower: bool) -> bool:
    """Return whether a tensor is stored but not loaded: a tied head, a tower's unused layers."""
    if shape.tied and name.endswith("lm_head.weight"):
        return True
    tower = shape.vision
    inside = is_tower and "vision" in name and "encoder.layers" in name
    return bool(inside and tower and layer is not None and layer >= tower.layers)


def _place(shape: ModelShape, kind: _Kind, layer: int | None) -> str:
    if kind.is_tower:
        return "first"
    if kind.is_spare or (layer is not None and layer >= len(shape.layers)):
        return "spare"
    if layer is not None:
        return "layer"
    return "last" if kind.is_head else "first"


def split_of(name: str) -> str:
    """Return how tensor parallelism cuts a tensor, in the words of ``cut.ways``."""
    if TOWER.match(name):
        return "tower"
    if _COPIED.search(name):
        return "copy"
    if _EXPERTS.search(name):
        return "experts"
    if _FUSED_KEYS.search(name):
        return "qkv"
    return "kv" if _KEYS.search(name) else "even"


def _loaded(shape: ModelShape, tensor: Tensor, dtype: str) -> float:
    """Return the bytes in memory: plain floats in the model's dtype, all others as stored.

    Symmetric GPTQ needs no zero points, and nested scales of bitsandbytes are spread out to 32
    bits (``layers/quantization/utils/marlin_utils.py``, ``bitsandbytes.py``).
    """
    packed = shape.quantization.method if shape.quantization else ""
    if packed == "gptq" and tensor.name.endswith((".qzeros", ".g_idx")):
        return 0.0
    if tensor.name.endswith(".absmax") and tensor.dtype == "U8":
        return 4.0 * tensor.count
    plain = tensor.dtype in _FLOATS and not tensor.name.endswith(_SCALES)
    return tensor.count * BITS[dtype] / 8 if plain else float(tensor.size_bytes)
