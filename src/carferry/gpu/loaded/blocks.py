"""What loading takes besides the bytes of the weights: the blocks that hold them, and padding.

Source: vLLM ``utils/mem_utils.py`` (``DeviceMemoryProfiler``), ``platforms/cuda.py`` and
``platforms/rocm.py`` (``get_current_memory_usage``), ``layers/fused_moe`` (``_maybe_pad_weight``),
``layers/quantization/utils/fp8_utils.py`` (``_maybe_pad_fp8_weight``).
"""

from __future__ import annotations

from functools import lru_cache

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.loaded.allocator import Allocator, Block
from carferry.gpu.loaded.buffers import Buffer, end_buffers, layer_buffers
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.vllm.version import LATEST, VllmVersion

_COUNTS_RESERVED = (0, 21)
"""Before this release an AMD GPU's log counts total minus free memory, holes included."""

_PADS_EXPERTS = (0, 30)
"""Before this release an AMD GPU keeps the padded copy of unquantized experts."""

_PAD, _PADDED_ROW = 256, 512


def release_of(version: VllmVersion | None) -> tuple[int, ...]:
    """Return the (major, minor, ...) of a version; the newest if none is given."""
    dated = getattr(version, "dated", "") or ""
    if version and not dated:
        return version.since
    return tuple(int(part) for part in (dated or LATEST).split(".")[:3] if part.isdigit())


@lru_cache(maxsize=512)
def allocated(shape: ModelShape, gpu: Gpu, tp: int, dtype: str, release: tuple[int, ...]) -> int:
    """Return the bytes that loading takes besides the weights themselves, on one rank.

    Args:
        shape: The model.
        gpu: Its vendor decides.
        tp: Tensor parallel size.
        dtype: What unquantized weights become when loaded.
        release: (major, minor) of vLLM.
    """
    layers, ends = layer_buffers(shape, tp, dtype), end_buffers(shape, tp, dtype)
    device = Allocator()
    for buffer in ends:
        device.take(buffer.size)
    live = [[(buffer, device.take(buffer.size)) for buffer in layer] for layer in layers]
    if gpu.vendor == "amd":
        _pad(device, shape, live, release)
    total = sum(buffer.size for layer in (ends, *layers) for buffer in layer)
    counts_reserved = gpu.vendor == "amd" and release < _COUNTS_RESERVED
    return (device.reserved if counts_reserved else device.allocated) - total


def _pad(
    device: Allocator,
    shape: ModelShape,
    live: list[list[tuple[Buffer, Block]]],
    release: tuple[int, ...],
) -> None:
    """Replace tensors by copies whose rows are 256 bytes longer, one after the other."""
    for layer in live:
        for buffer, block in layer:
            if buffer.row and buffer.row % _PADDED_ROW == 0 and _padded(shape, buffer, release):
                device.take(buffer.size // buffer.row * (buffer.row + _PAD))
                device.empty()
                device.release(block)


def _padded(shape: ModelShape, buffer: Buffer, release: tuple[int, ...]) -> bool:
    packed = shape.quantization.of(buffer.part) if shape.quantization else None
    if buffer.part == "experts":
        return packed is None and release < _PADS_EXPERTS
    fp8 = shape.quantization is not None and shape.quantization.method == "fp8"
    return fp8 and packed is not None
