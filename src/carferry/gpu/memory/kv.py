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

from carferry.gpu.loaded.stages import stage_layers
from carferry.gpu.memory import joined
from carferry.gpu.memory.choice import Choice
from carferry.gpu.memory.groups import Group
from carferry.gpu.memory.pages import (
    cache_width,
    heads_bytes,
    indexer_bytes,
    state_bytes,
    token_bytes,
)
from carferry.gpu.shape.shape import LayerKind, ModelShape
from carferry.gpu.units import ceil_div
from carferry.gpu.vllm.releases import VllmVersion

BLOCK = 16
"""Tokens per block unless a larger block is needed."""

LATENT_BLOCK = 64
"""Tokens per block of the MLA kernels (``platforms/cuda.py``; matches the one logged row)."""

SPARSE_BLOCK = 128
"""Tokens per block of MiniMax-M3's sparse kernels."""

LATENT_HYBRID_BLOCK = 128
"""The same beside recurrent layers: blocks are split for the kernels in multiples of it."""


@dataclass(frozen=True, slots=True)
class Cache:
    """The pool's layout on one rank, and how many blocks a request takes from it.

    Attributes:
        by_bytes: The log weighs a request's blocks by the bytes of their groups, though each
            takes as much of the pool (DeepSeek V4 before 0.27).
    """

    groups: tuple[Group, ...]
    bytes_per_block: int
    window: int
    chunk: int
    in_flight: int
    encoder_tokens: int
    state_blocks: int
    context_ranks: int
    by_concurrency: bool
    by_bytes: bool = False

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
        return self.blocks(size_bytes) / self._logged(length) if self.groups else 0.0

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

    @property
    def state_block(self) -> int | None:
        """Tokens per block beside recurrent layers; None if there are none."""
        return next((group.block for group in self.groups if group.kind == "state"), None)

    def _logged(self, length: int) -> int:
        """Return the blocks one request takes by the log's account."""
        if not self.by_bytes:
            return self.blocks_per_request(length)
        held = sum(self._group_blocks(group, length) * group.page for group in self.groups)
        return ceil_div(held, self.groups[0].page)

    def _group_blocks(self, group: Group, length: int) -> int:
        if group.kind == "state":
            return self.state_blocks
        if group.kind == "cross":
            return ceil_div(self.encoder_tokens, group.block)
        if group.kind == "sliding":
            held = min((group.window or self.window) - 1 + self.in_flight, length)
            return ceil_div(held, group.block) + 1
        if group.kind == "chunked":
            return ceil_div(min(self.chunk + self.in_flight, length), group.block)
        return ceil_div(ceil_div(length, self.context_ranks), group.block)


def cache(shape: ModelShape, choice: Choice, version: VllmVersion) -> Cache:
    """Lay out the cache of the fullest rank."""
    is_joined = joined.is_joined(shape)
    groups, size = _layout(shape, choice, version)
    aligned = version.aligned_states if choice.prefix_caching is None else choice.prefix_caching
    return Cache(
        groups=groups,
        bytes_per_block=size,
        window=shape.window or 0,
        chunk=shape.chunk,
        in_flight=choice.max_num_batched_tokens * max(version.batches_in_flight, choice.pp),
        encoder_tokens=choice.max_num_batched_tokens,
        state_blocks=(2 if aligned else 1) + choice.speculative_tokens,
        context_ranks=choice.context_ranks,
        by_concurrency=version.tokens_by_concurrency or (is_joined and version.release is None),
        by_bytes=is_joined and version.packing != "dense",
    )


def _layout(
    shape: ModelShape, choice: Choice, version: VllmVersion
) -> tuple[tuple[Group, ...], int]:
    """Return the groups and the bytes of one block."""
    if joined.is_joined(shape):
        pool = joined.pool(shape, choice, version, draft_layers(shape, choice))
        return pool.groups, pool.bytes_per_block
    kinds = tuple(_kinds(shape, choice, version))
    groups = tuple(_grouped(_equal_pages(kinds), version.padding_ratio))
    return groups, _bytes_per_block(groups, shape, choice.pp)


def draft_layers(shape: ModelShape, choice: Choice) -> int:
    """Return the layers of a draft that keep a cache; an unknown draft counts as one layer."""
    return (shape.spare_layers or 1) if choice.speculative_tokens else 0


def _kinds(shape: ModelShape, choice: Choice, version: VllmVersion) -> Iterator[Group]:
    """Yield one group per kind of layer, pages not yet equal."""
    attending = _attending(shape, choice, version)
    state = _kept(shape, LayerKind.STATE)
    per_token, block = token_bytes(shape, choice), choice.block or _smallest_block(shape)
    if state and shape.state:
        size = state_bytes(shape, choice, version)
        block = max(block, block * ceil_div(size, block * per_token))
        yield Group("state", block, block * per_token if any(attending.values()) else size, state)
    for kind, layers in attending.items():
        each = heads_bytes(shape.heads, choice.tp, cache_width(choice))
        if layers:
            yield Group(kind, block, block * (each if kind == "sliding" else per_token), layers)
    if shape.encoder:
        yield Group("cross", block, block * per_token, attending["full"])


def _attending(
    shape: ModelShape, choice: Choice, version: VllmVersion
) -> dict[str, tuple[int, ...]]:
    """Return the layers that keep whole requests, a draft's after the model's; windows; chunks."""
    count = len(shape.layers)
    drafts = tuple(range(count, count + draft_layers(shape, choice)))
    sliding, chunked = _kept(shape, LayerKind.SLIDING), _kept(shape, LayerKind.CHUNKED)
    if version.sliding_as_full or not shape.window:
        whole, sliding = sliding, ()
    else:
        whole = ()
    if version.chunks_as_full or not shape.chunk:
        chunked = ()
    full = tuple(index for index in _kept(shape, LayerKind.FULL) if index not in chunked)
    return {"full": full + drafts + whole, "sliding": sliding, "chunked": chunked}


def _kept(shape: ModelShape, kind: LayerKind) -> tuple[int, ...]:
    """Return the layers of a kind that keep a cache of their own."""
    last = len(shape.layers) - shape.kv_shared
    return tuple(index for index in shape.indices(kind) if index < last)


def _smallest_block(shape: ModelShape) -> int:
    if not shape.cached_latent:
        return SPARSE_BLOCK if shape.indexer_dim else BLOCK
    return LATENT_HYBRID_BLOCK if shape.count(LayerKind.STATE) else LATENT_BLOCK


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


def _bytes_per_block(groups: tuple[Group, ...], shape: ModelShape, pp: int) -> int:
    """Return the bytes of one block on the rank whose stage holds most layers of any group."""
    if not groups:
        return 0
    layers, page = len(shape.layers), groups[0].page
    stages = stage_layers(layers, pp)
    drafts = 1 + max(layer for group in groups for layer in group.layers)
    stages = (*stages[:-1], (stages[-1][0], max(layers, drafts)))
    return max(
        sum(first <= layer < end for layer in group.layers) * page
        + groups[0].block * _indexed(shape, first, end)
        for first, end in stages
        for group in groups
    )


def _indexed(shape: ModelShape, first: int, end: int) -> int:
    """Return the bytes a token of a stage's indexers, where they are no part of the pages."""
    if shape.latent or not shape.indexer_dim:
        return 0
    start = len(shape.layers) - shape.indexed if shape.indexed else 0
    return max(min(end, len(shape.layers)) - max(first, start), 0) * indexer_bytes(shape)
