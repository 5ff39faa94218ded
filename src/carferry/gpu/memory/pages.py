"""What one layer keeps in the KV cache: bytes per token, or bytes per state.

Sources: vLLM 0.33 ``v1/kv_cache_interface.py`` (page sizes), ``layers/mamba/mamba_utils.py``
(states), ``models/config.py`` (their types), ``models/deepseek_v2.py`` (the indexer's keys: fp8 and
one fp32 scale per 128), ``models/minimax_m3/common/indexer.py`` (16 bits), ``models/minicpm3.py``.
"""

from __future__ import annotations

from dataclasses import replace

from carferry.gpu.memory.choice import Choice
from carferry.gpu.shape.shape import Heads, ModelShape, RecurrentState
from carferry.gpu.units import BITS, ceil_div
from carferry.gpu.vllm.releases import VllmVersion

_SPARSE_FP8 = 656
"""Bytes a token of DeepSeek-V3.2's fp8 format: 512 values, their scales, 64 in 16 bits."""

_EXACT = ("nemotron_h", "nemotron_h_puzzle")
"""Families whose states vLLM keeps in float32 unless the config says otherwise."""

_SCALE = 4, 128
"""Bytes of a scale of the indexer's keys, and how many elements share it."""


def cache_width(choice: Choice) -> int:
    """Return the bytes of one cached element."""
    return BITS[choice.dtype if choice.kv_dtype == "auto" else choice.kv_dtype] // 8


def token_bytes(shape: ModelShape, choice: Choice) -> int:
    """Return the bytes per token of a full-attention layer on one rank; MLA is not divided."""
    width = cache_width(choice)
    latent = shape.latent
    if latent is None:
        return heads_bytes(shape.global_heads, choice.tp, width)
    if latent.expanded:
        dim = latent.nope + latent.rope
        return heads_bytes(replace(shape.heads, dim=dim, value=0), choice.tp, width)
    plain = (latent.kv_rank + latent.rope) * width
    if not shape.indexer_dim:
        return plain
    scale, shared = _SCALE
    keys = shape.indexer_dim + scale * ceil_div(shape.indexer_dim, shared)
    return (_SPARSE_FP8 if choice.kv_dtype == "fp8" else plain) + keys


def indexer_bytes(shape: ModelShape) -> int:
    """Return the bytes a token of an indexer beside whole keys and values: 16-bit keys."""
    return 2 * shape.indexer_dim


def heads_bytes(heads: Heads, tp: int, width: int) -> int:
    """Return the bytes per token of keys and values; heads are copied if ranks outnumber them."""
    return max(1, heads.kv // tp) * (heads.dim + heads.value_dim) * width


def state_bytes(shape: ModelShape, choice: Choice, version: VllmVersion) -> int:
    """Return the bytes of one layer's state on one rank: convolution tail plus recurrent matrix."""
    state = shape.state
    if state is None:
        return 0
    tp, width = choice.tp, BITS[choice.dtype] // 8
    spread = 0 if state.groups % tp == 0 else tp - state.groups
    channels = (state.convolved + 2 * spread * state.size) // tp
    tail = state.kernel - 1 + choice.speculative_tokens
    matrix = state.heads // tp * state.head_dim * state.size
    return channels * tail * width + matrix * _matrix_bits(shape, state, choice, version) // 8


def _matrix_bits(
    shape: ModelShape, state: RecurrentState, choice: Choice, version: VllmVersion
) -> int:
    """Return the bits of an element of the recurrent matrix, as said or as vLLM decides."""
    if state.dtype in BITS:
        return BITS[state.dtype]
    exact = version.exact_states and shape.model_type in _EXACT
    return BITS["float32" if exact else choice.dtype]
