"""The cache of DeepSeek V4, whose layers join several tokens into one entry.

Each layer keeps a window of tokens as they are; a layer that joins keeps the joined entries, with
an indexer's keys if it joins four, and the sums of the entries it has not finished. These states
count as windows of their own with small blocks, so that they, and not the entries, take most of a
request. Blocks of all groups lie in one pool: a block is as large as the widest group.

Source: vLLM ``models/deepseek_v4/attention.py`` and ``compressor.py`` (pages), 0.20 to 0.33
``v1/core/kv_cache_utils.py`` (_get_kv_cache_groups_uniform_groups, _pool_bytes_per_block).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carferry.gpu.loaded.stages import stage_layers
from carferry.gpu.memory.choice import Choice
from carferry.gpu.memory.groups import Group, least_padding
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.units import ceil_div, round_up
from carferry.gpu.vllm.releases import VllmVersion

_BLOCK, _WINDOW_BLOCK = 256, 64
"""Tokens per block of the entries and of the windows."""

_ENTRY, _ALIGNED = 584, 576
"""Bytes of an entry in the kernels' fp8 format, and what pages are rounded up to."""

_INDEXED = 4
"""Tokens joined where an indexer chooses among the entries; two spans overlap there."""

_SCALED = 128
"""Elements of an indexer's key that share a scale of 4 bytes."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What one layer keeps of one kind: pages of ``page`` bytes; no window if it keeps all."""

    layer: int
    block: int
    page: int
    window: int = 0


@dataclass(frozen=True, slots=True)
class Pool:
    """Groups, and the bytes of a block that any of them may take."""

    groups: tuple[Group, ...]
    bytes_per_block: int


def is_joined(shape: ModelShape) -> bool:
    """Return whether any layer joins tokens."""
    return any(ratio > 1 for ratio in shape.ratios)


def pool(shape: ModelShape, choice: Choice, version: VllmVersion, drafts: int) -> Pool:
    """Lay out the cache on the fullest stage; drafts keep windows only."""
    groups = tuple(_split(tuple(_kept(shape, drafts)), version.packing != "dense"))
    stages = stage_layers(len(shape.layers), choice.pp)
    stages = (*stages[:-1], (stages[-1][0], len(shape.layers) + drafts))
    largest = max(
        _block(tuple(_within(group, first, end) for group in groups), version.packing)
        for first, end in stages
    )
    return Pool(tuple(_group(group) for group in groups), largest)


def _kept(shape: ModelShape, drafts: int) -> Iterator[_Kept]:
    for layer in range(len(shape.layers) + drafts):
        page = round_up(_WINDOW_BLOCK * _ENTRY, _ALIGNED)
        yield _Kept(layer, _WINDOW_BLOCK, page, max(shape.window or 0, 1))
    for layer, ratio in enumerate(shape.ratios):
        if ratio > 1:
            yield from _joined(shape, layer, ratio)


def _joined(shape: ModelShape, layer: int, ratio: int) -> Iterator[_Kept]:
    """Yield the entries and unfinished sums of a layer, and those of its indexer."""
    spans, block = (2, 4) if ratio == _INDEXED else (1, 8)
    entries, width = max(_BLOCK // ratio, 1), shape.indexer_dim
    key = width + 4 * ceil_div(width, _SCALED)
    caches = [(_ENTRY, shape.heads.dim)]
    if ratio == _INDEXED and width:
        caches.append((key, width))
    for entry, dim in caches:
        yield _Kept(layer, _BLOCK, round_up(entries * entry, _ALIGNED))
        sums = block * 2 * spans * dim * 4
        yield _Kept(layer, block, round_up(sums, _ALIGNED), spans * ratio)


def _split(kept: tuple[_Kept, ...], padded: bool) -> Iterator[tuple[_Kept, ...]]:
    """Split windows into groups of about as many layers as keep everything."""
    whole = tuple(one for one in kept if not one.window)
    keys = dict.fromkeys((one.block, one.window) for one in kept if one.window)
    sizes = {one.page for one in whole}
    windows = [tuple(o for o in kept if (o.block, o.window) == key) for key in keys]
    counts = [_slots(group) for group in (whole, *windows)]
    size = least_padding(counts, counts[0])
    yield whole
    for group, count in zip(windows, counts[1:], strict=True):
        parts = ceil_div(count, size)
        layers = list(dict.fromkeys(one.layer for one in group))
        for part in range(parts):
            held = set(layers[part::parts])
            chosen = (one for one in group if one.layer in held)
            yield tuple(_padded(one, sizes) if padded else one for one in chosen)


def _padded(one: _Kept, sizes: set[int]) -> _Kept:
    """Pad a page to the next size of those that keep everything."""
    page = min((size for size in sizes if size >= one.page), default=one.page)
    return _Kept(one.layer, one.block, page, one.window)


def _slots(group: tuple[_Kept, ...]) -> int:
    """Return how many layers have the page that most have."""
    pages = [one.page for one in group]
    return max((pages.count(page) for page in set(pages)), default=0)


def _within(group: tuple[_Kept, ...], first: int, end: int) -> tuple[_Kept, ...]:
    return tuple(one for one in group if first <= one.layer < end)


def _block(groups: tuple[tuple[_Kept, ...], ...], packing: str) -> int:
    """Return the bytes of a block: the widest group's, or room for every size of page."""
    if packing == "dense":
        return max(sum(one.page for one in group) for group in groups)
    most = max(_slots(group) for group in groups)
    slots: dict[int, int] = {}
    for group in groups:
        pages = [one.page for one in group]
        for page in set(pages):
            slots[page] = max(slots.get(page, 0), pages.count(page))
    if packing == "tuples":
        return most * sum({one.page for one in groups[0]})
    return sum(page * count for page, count in slots.items())


def _group(group: tuple[_Kept, ...]) -> Group:
    first = group[0]
    kind = "sliding" if first.window else "full"
    layers = tuple(sorted({one.layer for one in group}))
    return Group(kind, first.block, sum(one.page for one in group), layers, first.window)
