"""The large tensors of one rank as vLLM creates them, fused, in order, by layer.

Only their rounding is taken from here; how many weights there are is counted in ``params`` or
read from headers.

Source: vLLM 0.33 ``layers/linear.py`` (fused projections) and ``layers/fused_moe`` (one tensor for
the experts of a layer).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carferry.gpu.memory.allocator import Allocator, Block
from carferry.gpu.memory.params import VOCAB_STEP
from carferry.gpu.model.modules import Module, modules_of
from carferry.gpu.model.shape import ModelShape, Tower
from carferry.gpu.units import BITS, round_up


@dataclass(frozen=True, slots=True)
class Buffer:
    """One tensor: its part of the model and its bytes on a rank; ``row`` is a row's bytes."""

    part: str
    size: int
    row: int = 0


def rounding(shape: ModelShape, tp: int, dtype: str) -> int:
    """Return the bytes that the allocator adds to the tensors of a whole model on one rank."""
    layers, ends = layer_buffers(shape, tp, dtype), end_buffers(shape, tp, dtype)
    device, total = Allocator(), 0
    for buffer in (*ends, *(one for layer in layers for one in layer)):
        device.take(buffer.size)
        total += buffer.size
    return device.allocated - total


def layer_buffers(shape: ModelShape, tp: int, dtype: str) -> list[list[Buffer]]:
    """Return the tensors of each layer."""
    layers: list[list[Buffer]] = [[] for _ in shape.layers]
    for fused in _fused(modules_of(shape)):
        first = fused[0]
        size = sum(_share(shape, module, tp, dtype) for module in fused)
        row = _row(shape, first, tp, dtype)
        for layer in first.layers:
            layers[layer].append(Buffer(first.part, size, row))
    return layers


def end_buffers(shape: ModelShape, tp: int, dtype: str) -> list[Buffer]:
    """Return the tensors outside the layers: embeddings, head, image or audio tower."""
    width = BITS[dtype]
    vocab = round_up(shape.vocab, VOCAB_STEP) * shape.hidden * width // 8 // tp
    found = [Buffer("embed", vocab)] * (1 if shape.tied or shape.pooling else 2)
    for tower in filter(None, (shape.vision, shape.encoder)):
        found += _tower(tower, tp, width)
    return found


def _tower(tower: Tower, tp: int, width: int) -> list[Buffer]:
    ways = 1 if tower.copied else tp
    mlp = tower.hidden * tower.intermediate
    first = (tower.matrices - 1) * mlp
    counts = (3 * tower.hidden**2, tower.hidden**2, first, mlp)
    return [Buffer("tower", count * width // 8 // ways) for count in counts] * tower.layers


def _fused(modules: tuple[Module, ...]) -> Iterator[list[Module]]:
    """Yield the modules of one tensor: neighbours that share a name."""
    group: list[Module] = []
    for module in modules:
        if not module.layers or not module.weight:
            continue
        same = group and group[0].part == module.part and group[0].layers == module.layers
        if group and not (same and set(group[0].names) & set(module.names)):
            yield group
            group = []
        group.append(module)
    if group:
        yield group


def _share(shape: ModelShape, module: Module, tp: int, dtype: str) -> int:
    """Return a module's bytes on one rank."""
    name = module.names[0].rpartition(".")[2]
    ways = min(tp, shape.heads.kv) if name in ("k_proj", "v_proj") else tp
    if name in ("q_a_proj", "kv_a_proj_with_mqa"):
        ways = 1
    packed = shape.quantization.of(module.part) if shape.quantization else None
    return int(module.weight * (packed or BITS[dtype]) / 8 / ways)


def _row(shape: ModelShape, module: Module, tp: int, dtype: str) -> int:
    """Return the bytes of one row: what a rank's share of the input is wide."""
    name = module.names[0].rpartition(".")[2]
    packed = shape.quantization.of(module.part) if shape.quantization else None
    width = shape.hidden
    if name in ("down_proj", "o_proj", "out_proj"):
        rows = {
            "mlp": shape.intermediate,
            "experts": shape.experts.intermediate if shape.experts else 0,
            "shared": shape.experts.shared if shape.experts else 0,
            "attention": shape.heads.query * shape.heads.dim,
            "state": shape.state.inner if shape.state else 0,
        }
        width = rows[module.part] // tp
    return int(width * (packed or BITS[dtype]) / 8)


def loaded_on_amd(shape: ModelShape, tp: int, dtype: str, *, counts_reserved: bool) -> int:
    """Return the bytes that padding experts adds on an AMD GPU, rounding included.

    vLLM pads each row of unquantized experts by 256 bytes where it is a multiple of 512, and so
    replaces the tensors after all have been loaded. Where the log counts what the allocator
    reserves, the holes that this leaves count as well.

    Args:
        shape: The model.
        tp: Tensor parallel size.
        dtype: What weights become when loaded.
        counts_reserved: Whether the log counts reserved memory.

    Source: vLLM ``layers/fused_moe/layer.py`` (``_maybe_pad_weight``), ``platforms/rocm.py``
    (``get_current_memory_usage``: total minus free until 0.20.2).
    """
    layers, device, total = layer_buffers(shape, tp, dtype), Allocator(), 0
    live: list[list[tuple[Buffer, Block]]] = []
    for buffer in end_buffers(shape, tp, dtype):
        device.take(buffer.size)
        total += buffer.size
    for layer in layers:
        live.append([(buffer, device.take(buffer.size)) for buffer in layer])
        total += sum(buffer.size for buffer in layer)
    for layer_blocks in live:
        for buffer, block in layer_blocks:
            if buffer.part == "experts" and buffer.row and buffer.row % 512 == 0:
                device.take(buffer.size // buffer.row * (buffer.row + 256))
                device.empty()
                device.release(block)
    return (device.reserved if counts_reserved else device.allocated) - total
