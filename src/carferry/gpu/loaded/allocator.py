"""PyTorch's caching allocator: what tensors take besides their own bytes, and what it keeps.

``Model loading took`` counts blocks, not tensors. A tensor of 10 MiB and more gets a segment of
whole 2 MiB of its own, and what is left of it stays with the tensor if it is at most 1 MiB;
smaller ones share segments of 20 MiB, those up to 1 MiB segments of 2 MiB.

Source: PyTorch ``c10/cuda/CUDACachingAllocator.cpp`` (``get_allocation_size``, ``should_split``),
without expandable segments, which vLLM does not turn on.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from carferry.gpu.units import round_up

_MIB = 1 << 20
_GRAIN = 512
_SMALL, _SMALL_SEGMENT = _MIB, 2 * _MIB
_LARGE_FROM, _MIDDLE_SEGMENT, _LARGE_STEP = 10 * _MIB, 20 * _MIB, 2 * _MIB


@dataclass(slots=True)
class Block:
    """A piece of a segment: live or free, between its neighbours."""

    size: int
    small: bool
    before: Block | None = None
    after: Block | None = None
    free: bool = False
    number: int = 0


@dataclass(slots=True)
class Allocator:
    """One device's allocator; sizes in bytes.

    Attributes:
        allocated: Bytes of live blocks.
        reserved: Bytes of all segments.
    """

    allocated: int = 0
    reserved: int = 0
    _free: list[tuple[bool, int, int]] = field(default_factory=list)
    _blocks: dict[int, Block] = field(default_factory=dict)
    _count: int = 0

    def take(self, size: int) -> Block:
        """Allocate a tensor; the smallest free block that holds it is used."""
        wanted = max(round_up(size, _GRAIN), _GRAIN)
        block = self._found(wanted) or self._segment(wanted)
        left = block.size - wanted
        if left >= _GRAIN if block.small else left > _SMALL:
            rest = self._numbered(Block(left, block.small, block, block.after))
            if block.after:
                block.after.before = rest
            block.after, block.size = rest, wanted
            self._put(rest)
        self.allocated += block.size
        return block

    def release(self, block: Block) -> None:
        """Free a block and join it with free neighbours."""
        self.allocated -= block.size
        for other in (block.before, block.after):
            if other and other.free:
                self._drop(other)
                block = _joined(block, other)
        self._put(block)

    def empty(self) -> None:
        """Return segments that are wholly free, as ``empty_cache`` does."""
        for _, _, number in list(self._free):
            block = self._blocks[number]
            if not block.before and not block.after:
                self._drop(block)
                self.reserved -= block.size

    def _found(self, size: int) -> Block | None:
        small = size <= _SMALL
        at = bisect_left(self._free, (small, size, 0))
        if at == len(self._free) or self._free[at][0] is not small:
            return None
        block = self._blocks[self._free[at][2]]
        self._drop(block)
        return block

    def _segment(self, size: int) -> Block:
        small = size <= _SMALL
        large = _MIDDLE_SEGMENT if size < _LARGE_FROM else round_up(size, _LARGE_STEP)
        length = _SMALL_SEGMENT if small else large
        self.reserved += length
        return self._numbered(Block(length, small))

    def _numbered(self, block: Block) -> Block:
        self._count += 1
        block.number = self._count
        return block

    def _put(self, block: Block) -> None:
        block.free = True
        self._blocks[block.number] = block
        insort(self._free, (block.small, block.size, block.number))

    def _drop(self, block: Block) -> None:
        block.free = False
        del self._free[bisect_left(self._free, (block.small, block.size, block.number))]


def _joined(block: Block, other: Block) -> Block:
    """Return one block for two neighbours; the left one survives."""
    left, right = (other, block) if block.before is other else (block, other)
    left.size += right.size
    left.after = right.after
    if right.after:
        right.after.before = left
    return left


def held(sizes: Iterable[int]) -> int:
    """Return the bytes of the blocks that hold tensors of these sizes, taken in order."""
    device = Allocator()
    for size in sizes:
        device.take(size)
    return device.allocated
