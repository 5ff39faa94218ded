"""The KV cache as vLLM lays it out: layers in groups, groups in one pool of blocks.

Every group draws equal-sized blocks from one pool, so layers are grouped until all groups
hold the same number, short groups are padded, and pages of different size are made equal.
Counting blocks this way reproduces logged token counts; bytes per token times length does not.

Source: vLLM 0.33 ``v1/core/kv_cache_planning.py`` (get_kv_cache_groups, _uniform_page_size),
``v1/kv_cache_interface.py`` (blocks per request), ``platforms/interface.py`` (hybrid blocks);
0.15.1 ``v1/core/kv_cache_utils.py`` for the older log line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from carferry.gpu.memory.parallel import stage_layers
from carferry.gpu.memory.vllm_version import VllmVersion
from carferry.gpu.model.shape import Heads, LayerKind, ModelShape, RecurrentState
from carferry.gpu.units import BITS, ceil_div

BLOCK = 16
"""Tokens per block unless a larger block is needed."""

LATENT_BLOCK = 64
"""Tokens per block of the MLA kernels (assumed; matches the one logged row)."""


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that share one block table.

    Attributes:
        kind: ``full``, ``sliding``, ``state`` or ``cross``.
        block: Tokens per block.
        page: Bytes of one layer's part of a block.
        layers: Indices of the decoder layers in it.
    """

    kind: str
    block: int
    page: int
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cache:
    """The pool's layout on one rank, and how many blocks a request takes from it."""

    groups: tuple[Group, ...]
    bytes_per_block: int
    window: int
    in_flight: int
    encoder_tokens: int
    state_blocks: int
    context_ranks: int
    by_concurrency: bool

    def blocks(self, size_bytes: int) -> int:
        """Return how many blocks fit a budget; 0 if the model keeps no cache."""
        return max(size_bytes, 0) // self.bytes_per_block if self.groups else 0

    def blocks_per_request(self, length: int) -> int:
        """Return the blocks one request of ``length`` tokens holds at most."""
        return sum(self._group_blocks(group, length) for group in self.groups)

    def bytes_per_request(self, length: int) -> int:
        """Return the bytes one request of ``length`` tokens holds at most."""
        return self.blocks_per_request(length) * self.bytes_per_block

    def concurrency(self, size_bytes: int, length: int) -> float:
        """Return how many requests of ``length`` tokens fit a budget at once."""
        return self.blocks(size_bytes) / self.blocks_per_request(length) if self.groups else 0.0

    def tokens(self, size_bytes: int, length: int) -> int:
        """Return the token count vLLM logs for a budget."""
        if not self.groups:
            return 0
        if self.by_concurrency:
            return int(self.concurrency(size_bytes, length) * length)
        smallest = min(group.block for group in self.groups)
        return self.blocks(size_bytes) // len(self.groups) * smallest * self.context_ranks

    def longest(self, size_bytes: int, most: int) -> int:
        """Return the longest request that fits a budget, by bisection as vLLM does; 0 if none."""
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.bytes_per_request(middle) <= size_bytes
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    def _group_blocks(self, group: Group, length: int) -> int:
        if group.kind == "state":
            return self.state_blocks
        if group.kind == "cross":
            return ceil_div(self.encoder_tokens, group.block)
        if group.kind == "sliding":
            held = min(self.window - 1 + self.in_flight, length)
            return ceil_div(held, group.block) + 1
        return ceil_div(ceil_div(length, self.context_ranks), group.block)


def cache(
    shape: ModelShape,
    version: VllmVersion,
    *,
    tp: int,
    pp: int = 1,
    dtype: str,
    kv_dtype: str = "auto",
    max_num_batched_tokens: int,
    block: int | None = None,
    context_ranks: int = 1,
) -> Cache:
    """Lay out the cache of the fullest rank.

    Args:
        shape: The model.
        version: Decides grouping, state blocks and the log line.
        tp: Tensor parallel size.
        pp: Pipeline parallel size.
        max_num_batched_tokens: Tokens of one batch; a window must hold them too.
        kv_dtype: ``auto`` or ``fp8``.
        dtype: What the model runs in; the cache's own if ``kv_dtype`` is ``auto``.
        block: Tokens per block, if asked for (``--block-size``).
        context_ranks: Decode context parallel size.
    """
    width = BITS[dtype if kv_dtype == "auto" else kv_dtype] // 8
    small = block or (LATENT_BLOCK if shape.latent else BLOCK)
    kinds = tuple(_kinds(shape, tp, dtype, width, small))
    groups = tuple(_grouped(_equal_pages(kinds), version.padding_ratio))
    return Cache(
        groups=groups,
        bytes_per_block=_bytes_per_block(groups, len(shape.layers), pp),
        window=shape.window or 0,
        in_flight=max_num_batched_tokens * max(version.batches_in_flight, pp),
        encoder_tokens=max_num_batched_tokens,
        state_blocks=2 if version.aligned_states else 1,
        context_ranks=context_ranks,
        by_concurrency=version.tokens_by_concurrency,
    )


def _kinds(shape: ModelShape, tp: int, dtype: str, width: int, block: int) -> Iterator[Group]:
    """Yield one group per kind of layer, pages not yet equal."""
    full, state = shape.indices(LayerKind.FULL), shape.indices(LayerKind.STATE)
    per_token = _per_token(shape, tp, width)
    if state and shape.state:
        size = _state_bytes(shape.state, tp, BITS[dtype] // 8)
        block = max(block, block * ceil_div(size, block * per_token))
        yield Group("state", block, block * per_token, state)
    if full:
        yield Group("full", block, block * per_token, full)
    if sliding := shape.indices(LayerKind.SLIDING):
        yield Group("sliding", block, block * _heads_bytes(shape.heads, tp, width), sliding)
    if shape.encoder:
        yield Group("cross", block, block * per_token, full)


def _per_token(shape: ModelShape, tp: int, width: int) -> int:
    """Return the bytes per token of a full-attention layer on one rank; MLA is not divided."""
    if shape.latent:
        return (shape.latent.kv_rank + shape.latent.rope) * width
    return _heads_bytes(shape.global_heads, tp, width)


def _heads_bytes(heads: Heads, tp: int, width: int) -> int:
    return max(1, heads.kv // tp) * (heads.dim + heads.value_dim) * width


def _state_bytes(state: RecurrentState, tp: int, width: int) -> int:
    """Return the bytes of one layer's state on one rank: convolution tail plus recurrent matrix."""
    spread = 0 if state.groups % tp == 0 else tp - state.groups
    channels = (state.convolved + 2 * spread * state.size) // tp
    recurrent = BITS[state.dtype] // 8 if state.dtype in BITS else width
    matrix = state.heads // tp * state.head_dim * state.size
    return channels * (state.kernel - 1) * width + matrix * recurrent


def _equal_pages(kinds: tuple[Group, ...]) -> tuple[Group, ...]:
    """Grow the blocks of smaller pages by a whole ratio, or pad them."""
    largest = max((group.page for group in kinds), default=0)
    return tuple(_grown(group, largest) for group in kinds)


def _grown(group: Group, page: int) -> Group:
    ratio = page // group.page if page % group.page == 0 else 1
    return replace(group, page=page, block=group.block * ratio)


def _grouped(kinds: tuple[Group, ...], ratio: float) -> Iterator[Group]:
    """Split kinds into groups of one size: the rarest kind's, or the largest if all are close."""
    counts = [len(group.layers) for group in kinds]
    if not counts:
        return
    size = max(counts) if max(counts) < min(counts) * ratio else min(counts)
    for kind in kinds:
        parts = ceil_div(len(kind.layers), size)
        for index in range(parts):
            yield replace(kind, layers=kind.layers[index::parts])


def _bytes_per_block(groups: tuple[Group, ...], layers: int, pp: int) -> int:
    """Return the bytes of one block on the rank whose stage holds most layers of any group."""
    if not groups:
        return 0
    fullest = max(
        sum(first <= layer < end for layer in group.layers)
        for first, end in stage_layers(layers, pp)
        for group in groups
    )
    return fullest * groups[0].page
