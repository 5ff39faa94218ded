"""The activations of one forward pass: decoder, experts, latent attention, image encoder.

Sources: vLLM 0.33 ``fused_moe/experts/triton_moe.py`` and ``deep_gemm_moe.py``
(workspace_shapes), ``layers/attention/mla_attention.py`` (the profile's up-projected context),
``multimodal/encoder_budget.py``.
"""

from __future__ import annotations

from carferry.gpu.memory.choice import Choice
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.units import BITS
from carferry.gpu.vllm.releases import VllmVersion

_CONTEXT = 65536
"""Tokens of context that MLA up-projects at once, at most."""

_ALIGNED = 128
"""Rows to which DeepGEMM rounds up each expert's share of a batch."""

_LARGEST_IMAGE = 16384
"""Tokens of the largest image of Qwen's processors (12,845,056 pixels of 28 x 28)."""

_PATCHES = 4
"""Patches that the encoder sees for one token of the decoder (2 x 2 are merged)."""


def forward_peak(shape: ModelShape, choice: Choice, version: VllmVersion) -> float:
    """Return what one batch takes in the widest layer besides the experts' workspace."""
    tokens, width, tp = choice.max_num_batched_tokens, BITS[choice.dtype] // 8, choice.tp
    mlp = (3 if shape.gated else 2) * shape.intermediate // tp if shape.dense_layers else 0
    shared = 3 * shape.experts.shared // tp if shape.experts else 0
    heads = shape.global_heads
    attention = (2 * heads.query + 2 * heads.kv) * heads.dim // tp
    state = (shape.state.inner + shape.state.convolved) // tp if shape.state else 0
    widest = tokens * width * (max(mlp, shared, attention, 2 * state) + 4 * shape.hidden)
    return float(max(widest, _context(shape, choice) + tokens * width * 2 * shape.hidden))


def expert_space(shape: ModelShape, choice: Choice, version: VllmVersion) -> float:
    """Return the workspace of the experts' kernels for one batch, or one chunk of it."""
    experts = shape.experts
    if experts is None:
        return 0.0
    width = BITS[choice.dtype] // 8
    tokens = choice.max_num_batched_tokens * choice.data_parallel
    chunk = min(tokens, version.expert_chunk or tokens)
    ways = 1 if choice.expert_parallel else choice.expert_ranks
    inner, outer = experts.intermediate // ways, experts.latent or shape.hidden
    rows = chunk * experts.active
    if _aligned(shape, choice):
        local = experts.count // (choice.expert_ranks if choice.expert_parallel else 1)
        rows += local * (_ALIGNED - 1)
    gathered = 2 * tokens * outer if choice.data_parallel > 1 else chunk * outer
    return float(width * (rows * (max(inner, outer) + max(2 * inner, outer)) + gathered))


def encoder_output(shape: ModelShape, choice: Choice) -> float:
    """Return the bytes of the encoder's output that are kept during a step."""
    if shape.vision is None and shape.encoder is None:
        return 0.0
    return float(_encoder_tokens(shape, choice) * shape.hidden * BITS[choice.dtype] // 8)


def encoder_peak(shape: ModelShape, choice: Choice) -> float:
    """Return what the image encoder takes with the largest images of a batch."""
    tower = shape.vision
    if tower is None:
        return 0.0
    ways = tower.ways(choice.tp)
    patches = _encoder_tokens(shape, choice) * _PATCHES
    inner = tower.matrices * tower.intermediate // ways
    widest = 2 * tower.hidden + max(inner, 4 * tower.hidden // ways)
    return patches * widest * BITS[choice.dtype] / 8 + encoder_output(shape, choice)


def _encoder_tokens(shape: ModelShape, choice: Choice) -> int:
    """Return the encoder's tokens of one step: a batch of them, or the largest image.

    The largest image may be longer than the context (``qwen2_vl.py``, get_max_image_tokens).
    """
    largest = _LARGEST_IMAGE if shape.model_type.startswith("qwen") and shape.vision else 0
    return max(choice.max_num_batched_tokens, largest)


def _context(shape: ModelShape, choice: Choice) -> float:
    """Return the context that MLA up-projects in the profile; 0 for other attention."""
    latent = shape.cached_latent
    if latent is None:
        return 0.0
    wanted = max(8 * choice.max_model_len, 4 * choice.max_num_seqs * (choice.block or 64))
    heads = shape.heads.query // choice.tp
    tokens = min(wanted, _CONTEXT)
    return tokens * heads * (latent.nope + latent.value) * BITS[choice.dtype] / 8


def _aligned(shape: ModelShape, choice: Choice) -> bool:
    """Return whether DeepGEMM runs the experts: FP8 blocks on Hopper or Blackwell."""
    packed = shape.quantization
    capability = choice.gpu.capability
    return bool(packed and packed.block and packed.of("experts") and 90 <= capability < 120)
