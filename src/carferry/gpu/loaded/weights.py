"""Bytes of weights on the fullest GPU, from safetensors headers or counted from the config.

Sources: vLLM 0.33 ``model_executor/models`` and ``models/qwen3_vl.py`` (buffers for deepstack
features); ``distributed/utils.py`` (stages). What is cut how: ``cut.py``; what kernels add:
``kernels.py``; what the allocator adds: ``blocks.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.loaded.blocks import allocated, release_of
from carferry.gpu.loaded.cut import Ranks, ways
from carferry.gpu.loaded.kernels import absorbed, expert_padding
from carferry.gpu.loaded.params import WeightPart, weight_parts
from carferry.gpu.loaded.stages import largest_stage
from carferry.gpu.loaded.stored import Stored, read_stored
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.units import BITS, GIB
from carferry.gpu.vllm.version import VllmVersion
from carferry.weights.safetensors import Tensor

_EMBEDDINGS = ("embed_tokens.weight", "word_embeddings.weight", "tok_embeddings.weight")
_OTHERS = ("mtp.", "model.mtp.", "talker.", "model.visual", "model.vision", "vision", "audio")
_WHOLE = 0.9
"""Headers below this share of the counted weights are not all of a model's, if parts are absent."""

_HALF = 0.5
"""Headers below this share are another model's, or a part's: an adapter, a projector."""

_SMALL = 64 << 20
"""Bytes that no plan depends on: models for tests are not held to their configs."""


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
    expert_parallel: bool = False,
    data_parallel: int = 1,
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
        expert_parallel: Experts are dealt out whole.
        data_parallel: Engines that share the experts.
    """
    ranks = Ranks(tp, pp, expert_parallel, data_parallel)
    release = release_of(version)
    places = _from_tensors(shape, tensors, ranks, dtype) if tensors else {}
    places = places or _from_shape(shape, ranks, dtype)
    extra = expert_padding(shape, gpu, ranks, release) + absorbed(shape, ranks, dtype)
    levels = shape.vision.levels if shape.vision else 0
    buffers = (shape.rotary + levels * batched_tokens * shape.hidden) * BITS[dtype] / 8
    blocks = allocated(shape, gpu, tp, dtype, release)
    staged = largest_stage(len(shape.layers), pp) / len(shape.layers)
    layered = (places.get("layer", 0.0) + extra + blocks) * staged
    return int(layered + _ends(places, pp) + buffers)


def check_tensors(shape: ModelShape, tensors: Sequence[Tensor], subject: str) -> None:
    """Compare the headers with the config.

    Raises:
        InputError: The config claims another vocabulary, width or depth than the weights have, or
            the weights are not all there.
    """
    if not tensors:
        return
    stored = read_stored(shape, tensors, shape.dtype)
    _check_widths(shape, tensors, stored, subject)
    if not shape.unknown:
        _check_total(shape, stored, subject)


def _check_widths(
    shape: ModelShape, tensors: Iterable[Tensor], stored: Stored, subject: str
) -> None:
    own = (one for one in tensors if one.name.endswith(_EMBEDDINGS))
    embeds = next((one.shape for one in own if not one.name.startswith(_OTHERS)), None)
    if embeds and (len(embeds) != 2 or embeds[1] != shape.hidden or embeds[0] < shape.vocab):
        said = f"config.json says {shape.vocab} x {shape.hidden}"
        raise InputError("check config", subject, f"embeddings are {embeds}, {said}")
    depth = max(stored.layers, default=-1) + 1
    if depth and depth < len(shape.layers):
        said = f"config.json says {len(shape.layers)}"
        raise InputError("check config", subject, f"weights hold {depth} layers, {said}")


def _check_total(shape: ModelShape, stored: Stored, subject: str) -> None:
    """Refuse headers of a part of the weights: what the config counts, they must hold."""
    counted = sum(_part_bytes(shape, part, Ranks(1), shape.dtype) for part in weight_parts(shape))
    if counted <= _SMALL:
        return
    _check_absent(shape, stored, counted, subject)
    if stored.total < _HALF * counted:
        packed = shape.quantization.method if shape.quantization else shape.dtype
        said = f"config.json counts {_gib(counted)} GiB ({packed})"
        reason = f"weights come to {_gib(stored.total)} GiB, {said}"
        remedy = "take weights and config.json of one model; an adapter alone is none"
        raise InputError("check weights", subject, reason, remedy)


def _check_absent(shape: ModelShape, stored: Stored, counted: float, subject: str) -> None:
    """Refuse less than nearly all, where something is plainly absent.

    A total alone may be low for reasons we do not know, and names that we do not know say nothing.
    """
    absent = sorted(set(range(len(shape.layers))) - stored.layers)
    what = [f"layers {_spans(absent)}"] if absent else []
    what += [] if stored.embeds else ["the token embeddings"]
    known = stored.layers or stored.embeds
    if known and what and stored.total < _WHOLE * counted:
        share = 100 * stored.total / counted
        reason = (
            f"weights lack {' and '.join(what)}: they are {share:.0f}% of what config.json says"
        )
        remedy = "download the missing shards, or leave out --include and --exclude"
        raise InputError("check weights", subject, reason, remedy)


def _gib(size: float) -> str:
    return f"{size / GIB:.2f}" if size < GIB else f"{size / GIB:.1f}"


def _spans(numbers: Sequence[int]) -> str:
    """Return ascending numbers as text: ``0, 4 to 31``."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    said = [f"{one[0]} to {one[-1]}" if len(one) > 1 else f"{one[0]}" for one in spans]
    return ", ".join(said[:4]) + (", ..." if len(said) > 4 else "")


def _from_shape(shape: ModelShape, ranks: Ranks, dtype: str) -> dict[str, float]:
    """Return the counted bytes of one rank by place, all stages together."""
    places = {"layer": 0.0, "first": 0.0, "last": 0.0}
    for part in weight_parts(shape):
        place = "layer" if part.layered else "last" if part.name == "head" else "first"
        places[place] += _part_bytes(shape, part, ranks, dtype)
    return places


def _part_bytes(shape: ModelShape, part: WeightPart, ranks: Ranks, dtype: str) -> float:
    plain, packed = float(BITS[dtype]), shape.quantization
    share = packed.share(part.name) if packed else 0.0
    bits = (packed.of(part.name) or plain) if packed else plain
    split = "experts" if part.name == "experts" and part.split == "even" else part.split
    return part.count * (share * bits + (1 - share) * plain) / 8 / ways(shape, split, ranks)


def _from_tensors(
    shape: ModelShape, tensors: Sequence[Tensor], ranks: Ranks, dtype: str
) -> dict[str, float]:
    places: dict[str, float] = {}
    for (place, split), size in read_stored(shape, tensors, dtype).pieces.items():
        places[place] = places.get(place, 0.0) + size / ways(shape, split, ranks)
    return places


def _ends(places: dict[str, float], pp: int) -> float:
    """Return what is outside the layers: on one rank, or on the fuller end of the pipeline."""
    first, last = places.get("first", 0.0), places.get("last", 0.0)
    return first + last if pp == 1 else max(first, last)
