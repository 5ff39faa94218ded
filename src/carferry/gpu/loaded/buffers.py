"""The large tensors of one rank as vLLM creates them, fused, in order, by layer.

Only their rounding is taken from here; how many weights there are is counted in ``params`` or
read from headers.

Source: vLLM 0.33 ``layers/linear.py`` (fused projections) and ``layers/fused_moe`` (one tensor for
the experts of a layer).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carferry.gpu.loaded.params import VOCAB_STEP
from carferry.gpu.packing.modules import Module, modules_of
from carferry.gpu.shape.shape import ModelShape, Tower
from carferry.gpu.units import BITS, round_up


@dataclass(frozen=True, slots=True)
class Buffer:
    """One tensor: its part of the model and its bytes on a rank; ``row`` is a row's bytes."""

    part: str
    size: int
    row: int = 0


def layer_buffers(shape: ModelShape, tp: int, dtype: str) -> list[list[Buffer]]:
    """Return the tensors of each layer."""
    layers: list[list[Buffer]] = [[] for _ in shape.layers]
    for fused in _fused(modules_of(shape)):
        first = fused[0]
        size = sum(_share(shape, module, tp, dtype) for module in fused)
        made = [Buffer(first.part, size, _row(shape, first, tp, dtype))]
        if first.part == "experts":
            made = _experts(shape, size, tp, dtype)
        for layer in first.layers:
            layers[layer] += made
    return layers


def _experts(shape: ModelShape, size: int, tp: int, dtype: str) -> list[Buffer]:
    """Return the two tensors that hold the experts of a layer."""
    if shape.experts is None:
        return []
    packed = shape.quantization.of("experts") if shape.quantization else None
    bits = packed or BITS[dtype]
    down = size // (3 if shape.gated else 2)
    wide = int((shape.experts.latent or shape.hidden) * bits / 8)
    narrow = int(shape.experts.intermediate // tp * bits / 8)
    return [Buffer("experts", size - down, wide), Buffer("experts", down, narrow)]


def end_buffers(shape: ModelShape, tp: int, dtype: str) -> list[Buffer]:
    """Return the tensors outside the layers: embeddings, head, image or audio tower."""
    width = BITS[dtype]
    vocab = round_up(shape.vocab, VOCAB_STEP) * shape.hidden * width // 8 // tp
    found = [Buffer("embed", vocab)] * (1 if shape.tied or shape.pooling else 2)
    for tower in filter(None, (shape.vision, shape.encoder)):
        found += _tower(tower, tp, width)
    return found


def _tower(tower: Tower, tp: int, width: int) -> list[Buffer]:
    ways = tower.ways(tp)
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
            "shared": shape.experts.shared if shape.experts else 0,
            "attention": shape.heads.query * shape.heads.dim,
            "state": shape.state.inner if shape.state else 0,
        }
        width = rows[module.part] // tp
    return int(width * (packed or BITS[dtype]) / 8)
