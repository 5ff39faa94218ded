"""Bytes of weights on the fullest GPU, from safetensors headers or counted from the config.

Sources: vLLM 0.33 ``layers/linear.py`` and ``layers/fused_moe`` (what is cut, what is copied),
``layers/quantization/mxfp4.py`` (padding), ``layers/attention/mla_attention.py`` (absorbed
projections), ``models/qwen3_vl.py`` (buffers for deepstack features).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.memory.blocks import allocated, release_of
from carferry.gpu.memory.parallel import largest_stage
from carferry.gpu.memory.params import WeightPart, weight_parts
from carferry.gpu.memory.vllm_version import VllmVersion
from carferry.gpu.model.shape import ModelShape
from carferry.gpu.units import BITS, ceil_div, round_up
from carferry.weights.safetensors import Tensor

_FLOATS = ("F64", "F32", "F16", "BF16")
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|layer)\.(\d+)\.")
_COPIED = re.compile(
    r"(?i)norm|\.gate\.weight|router|q_a_proj|kv_a_proj|position_embedding|token_type|o_proj\.bias|down_proj\.bias"
)
_KEYS = re.compile(r"self_attn\.[kv]_proj\.|attention\.(?:key|value|w[kv])\.")
_VISION = re.compile(
    r"^(?:model\.)?(?:visual|vision_tower|vision_model|multi_modal_projector)"
    r"|^(?:vision_encoder|vision_language_adapter|patch_merger)\."
)
_EMBEDDINGS = ("embed_tokens.weight", "word_embeddings.weight", "tok_embeddings.weight")
_SPARE = re.compile(r"(?:^|\.)mtp\.|rotary_emb\.inv_freq")


def weights_per_gpu(
    shape: ModelShape,
    gpu: Gpu,
    *,
    tp: int,
    pp: int = 1,
    dtype: str,
    tensors: Sequence[Tensor] = (),
    version: VllmVersion | None = None,
    batched_tokens: int = 0,
) -> int:
    """Return the bytes of weights on the fullest GPU.

    Args:
        shape: The model.
        gpu: Decides the padding of packed experts.
        tp: Tensor parallel size.
        pp: Pipeline parallel size.
        dtype: What unquantized weights become when loaded.
        tensors: Header entries of the files the loader reads; without them the weights are
            counted from the shape.
        version: The vLLM that loads them; the newest if not given.
        batched_tokens: Most tokens of one step, for which image features have buffers.
    """
    stored = _from_tensors(shape, tensors, tp, pp, dtype) if tensors else 0.0
    counted = 0.0 if tensors else _from_shape(shape, tp, pp, dtype)
    extra = _expert_padding(shape, gpu, tp) + _absorbed(shape, dtype)
    levels = shape.vision.levels if shape.vision else 0
    buffers = (shape.rotary + levels * batched_tokens * shape.hidden) * BITS[dtype] / 8
    blocks = allocated(shape, gpu, tp, dtype, release_of(version)) / pp
    return int(stored + counted + (extra / tp) / pp + buffers + blocks)


def check_tensors(shape: ModelShape, tensors: Iterable[Tensor], subject: str) -> None:
    """Compare the headers with the config.

    Raises:
        InputError: The config claims another vocabulary, width or depth than the weights have.
    """
    depth, embeds = 0, None
    for tensor in tensors:
        if _VISION.match(tensor.name) or _SPARE.search(tensor.name):
            continue
        found = _LAYER.search(tensor.name)
        depth = max(depth, int(found[1]) + 1) if found else depth
        if tensor.name.endswith(_EMBEDDINGS):
            embeds = tensor.shape
    if embeds and (len(embeds) != 2 or embeds[1] != shape.hidden or embeds[0] < shape.vocab):
        said = f"config.json says {shape.vocab} x {shape.hidden}"
        raise InputError("check config", subject, f"embeddings are {embeds}, {said}")
    if depth and depth < len(shape.layers):
        said = f"config.json says {len(shape.layers)}"
        raise InputError("check config", subject, f"weights hold {depth} layers, {said}")


def _from_shape(shape: ModelShape, tp: int, pp: int, dtype: str) -> float:
    staged = largest_stage(len(shape.layers), pp) / len(shape.layers)
    layered = sum(
        _part_bytes(shape, part, tp, dtype) for part in weight_parts(shape) if part.layered
    )
    ends = [_part_bytes(shape, part, tp, dtype) for part in weight_parts(shape) if not part.layered]
    return layered * staged + (sum(ends) if pp == 1 else max(ends, default=0.0))


def _part_bytes(shape: ModelShape, part: WeightPart, tp: int, dtype: str) -> float:
    plain, packed = float(BITS[dtype]), shape.quantization
    share = packed.share(part.name) if packed else 0.0
    bits = (packed.of(part.name) or plain) if packed else plain
    return part.count * (share * bits + (1 - share) * plain) / 8 / _ways(shape, part.split, tp)


def _ways(shape: ModelShape, split: str, tp: int) -> int:
    """Return into how many distinct shares a part is cut."""
    copied = shape.vision is not None and shape.vision.copied
    return {"even": tp, "kv": min(tp, shape.heads.kv), "copy": 1, "tower": 1 if copied else tp}[
        split
    ]


def _from_tensors(
    shape: ModelShape, tensors: Sequence[Tensor], tp: int, pp: int, dtype: str
) -> float:
    layered, ends = 0.0, 0.0
    for tensor in tensors:
        found = _LAYER.search(tensor.name)
        inside = found is not None and not _VISION.match(tensor.name)
        if _unused(shape, tensor, int(found[1]) if found and inside else 0):
            continue
        size = _loaded_bytes(tensor, dtype) / _ways(shape, _split(tensor.name), tp)
        layered, ends = (layered + size, ends) if inside else (layered, ends + size)
    staged = largest_stage(len(shape.layers), pp) / len(shape.layers)
    return layered * staged + ends


def _unused(shape: ModelShape, tensor: Tensor, layer: int) -> bool:
    """Return whether a tensor is stored but not loaded: multi-token prediction, a tied head."""
    tied = shape.tied and tensor.name.endswith("lm_head.weight")
    return tied or layer >= len(shape.layers) or _SPARE.search(tensor.name) is not None


def _loaded_bytes(tensor: Tensor, dtype: str) -> float:
    """Return the bytes in memory: plain floats in the model's dtype, all others as stored."""
    plain = tensor.dtype in _FLOATS and not tensor.name.endswith(("scale", "scale_inv", "scales"))
    return tensor.count * BITS[dtype] / 8 if plain else tensor.size_bytes


def _split(name: str) -> str:
    if _VISION.match(name):
        return "tower"
    if _COPIED.search(name):
        return "copy"
    return "kv" if _KEYS.search(name) else "even"


def _expert_padding(shape: ModelShape, gpu: Gpu, tp: int) -> float:
    """Return the bytes that MXFP4 kernels add by rounding expert widths up (all ranks together)."""
    packed, experts = shape.quantization, shape.experts
    if packed is None or experts is None or packed.method != "mxfp4":
        return 0.0
    hopper = gpu.capability == 90
    step = 64 if hopper else 128
    share = ceil_div(experts.intermediate, tp)
    grown = round_up(shape.hidden, 256) * round_up(share, step) * tp
    stored = shape.hidden * experts.intermediate
    matrices = 3 if shape.gated else 2
    bits = packed.of("experts") or 0.0
    return experts.layers * experts.count * matrices * (grown - stored) * bits / 8


def _absorbed(shape: ModelShape, dtype: str) -> float:
    """Return the bytes of MLA's second up-projection, absorbed into queries and values."""
    latent = shape.latent
    if latent is None:
        return 0.0
    per_layer = shape.heads.query * latent.kv_rank * (latent.nope + latent.value)
    return len(shape.layers) * per_layer * BITS[dtype] / 8
