"""How many GPUs a model can be cut across: vLLM's start-up checks, each with its reason.

Sources: vLLM 0.33 ``config/model.py`` (heads), ``layers/linear.py`` (KV heads, ``divide``),
``layers/vocab_parallel_embedding.py``, ``quantization/utils/fp8_utils.py`` (blocks),
``layers/mamba/mamba_mixer2.py``, ``models/*`` (image towers), ``distributed/utils.py`` (stages).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from carferry.gpu.loaded.params import VOCAB_STEP
from carferry.gpu.model.families import FAMILIES
from carferry.gpu.shape.shape import LayerKind, ModelShape, Quantization, RecurrentState
from carferry.gpu.units import round_up
from carferry.gpu.vllm.interfaces import runs_in_stages
from carferry.gpu.vllm.releases import VllmVersion


def tensor_reason(
    shape: ModelShape, tp: int, expert_ranks: int | None = None, data_parallel: int = 1
) -> str:
    """Return why vLLM would refuse a tensor parallel size; empty if it starts.

    Args:
        shape: The model.
        tp: Tensor parallel size.
        expert_ranks: Ranks that the experts are dealt out to whole; None if each is cut.
        data_parallel: Engines; experts that are cut are cut across all of them.
    """
    experts = shape.experts
    if expert_ranks is not None and experts is None:
        return "expert parallel, and the model has no experts"
    if expert_ranks is not None and experts and expert_ranks > experts.count:
        return f"{expert_ranks} ranks for {experts.count} experts"
    spread = 1 if expert_ranks is not None else tp * data_parallel
    reasons = (*_reasons(shape, tp), *_expert_reasons(shape, spread))
    return next(iter(reasons), "")


def context_reason(shape: ModelShape, tp: int, ranks: int) -> str:
    """Return why vLLM would refuse to spread the cache of a request over ranks; empty if not."""
    if ranks == 1:
        return ""
    if tp % ranks:
        return f"{tp} ranks do not divide by {ranks} for the context"
    kv = shape.heads.kv
    if shape.latent is None and tp // kv < ranks:
        return f"context over {ranks} ranks needs {kv * ranks} of them for {kv} KV heads"
    if shape.latent is None and shape.heads.query // kv % ranks:
        return f"{shape.heads.query // kv} heads per KV head do not divide by {ranks}"
    return ""


def valid_tensor_sizes(shape: ModelShape, most: int = 16) -> tuple[int, ...]:
    """Return every tensor parallel size up to ``most`` that vLLM accepts."""
    return tuple(tp for tp in range(1, most + 1) if not tensor_reason(shape, tp))


def pipeline_reason(shape: ModelShape, pp: int, version: VllmVersion) -> str:
    """Return why vLLM would refuse a pipeline parallel size; empty if it starts."""
    if pp > 1 and (shape.pooling or not runs_in_stages(shape.architecture, version)):
        return f"{shape.architecture or shape.model_type} has no pipeline parallelism"
    if pp > len(shape.layers):
        return f"{len(shape.layers)} layers cannot fill {pp} stages"
    return ""


def _reasons(shape: ModelShape, tp: int) -> Iterator[str]:
    """Yield every reason but those of the experts."""
    if tp == 1:
        return
    yield from _head_reasons(shape, tp)
    yield from _width_reasons(shape, tp)
    if shape.state and shape.count(LayerKind.STATE):
        yield from _state_reasons(shape.state, tp)
    if shape.quantization:
        yield from _block_reasons(shape, shape.quantization, tp)
        yield from _group_reasons(shape.quantization, tp, _sharded_widths(shape))


def _expert_reasons(shape: ModelShape, ways: int) -> Iterator[str]:
    """Yield why routed experts cannot be cut so many ways."""
    experts, packed = shape.experts, shape.quantization
    if experts is None or ways == 1:
        return
    width = experts.intermediate
    if ways > experts.count:
        yield f"{ways} ranks for {experts.count} experts"
    if width % ways:
        yield f"expert width {width} does not divide by {ways}"
    if packed is None or not packed.of("experts"):
        return
    if packed.block and width // ways % max(packed.block):
        yield f"experts width {width} / {ways} is not whole FP8 blocks of {max(packed.block)}"
    yield from _group_reasons(packed, ways, [("experts", width)])


def _head_reasons(shape: ModelShape, tp: int) -> Iterator[str]:
    family = FAMILIES.get(shape.model_type)
    for heads in {shape.heads, shape.global_heads}:
        if heads.query % tp:
            yield f"{heads.query} attention heads do not divide by {tp}"
        kv = heads.kv
        if shape.latent is None and (kv % tp if tp < kv else tp % kv):
            yield f"{kv} KV heads neither divide by nor into {tp}"
        if family and not family.copies_kv and tp > kv:
            yield f"{kv} KV heads cannot be copied to {tp} ranks by this model's code"
    for tower in (shape.vision, shape.encoder):
        if tower and tower.heads % tower.ways(tp):
            yield f"{tower.heads} encoder heads do not divide by {tp}"


def _width_reasons(shape: ModelShape, tp: int) -> Iterator[str]:
    experts = shape.experts
    widths = (
        (shape.dense_layers, shape.intermediate, "MLP width"),
        (experts, experts.shared if experts else 0, "shared expert width"),
        (shape.vision and shape.vision.ways(tp) > 1, _tower_width(shape), "image MLP width"),
        (True, round_up(shape.vocab, VOCAB_STEP), "padded vocabulary"),
    )
    for used, width, name in widths:
        if used and width % tp:
            yield f"{name} {width} does not divide by {tp}"


def _state_reasons(state: RecurrentState, tp: int) -> Iterator[str]:
    if state.heads % tp:
        yield f"{state.heads} state heads do not divide by {tp}"
    if state.groups % tp and (state.delta or state.groups != 1):
        yield f"{state.groups} state groups do not divide by {tp}"


def _block_reasons(shape: ModelShape, packed: Quantization, tp: int) -> Iterator[str]:
    """Check FP8 blocks: each rank's share must hold whole blocks."""
    if packed.block is None:
        return
    block = max(packed.block)
    keys = max(1, shape.heads.kv // tp) * shape.heads.dim
    if shape.latent is None and packed.of("attention") and keys % block:
        yield f"KV width {keys} per rank is not whole FP8 blocks of {block}"
    for part, width in _sharded_widths(shape):
        if packed.of(part) and width // tp % block:
            yield f"{part} width {width} / {tp} is not whole FP8 blocks of {block}"


def _group_reasons(
    packed: Quantization, tp: int, widths: Iterable[tuple[str, int]]
) -> Iterator[str]:
    """Check grouped integers: each rank's share of an input must hold whole groups."""
    group = packed.group_size
    if group is None or packed.method == "mxfp4":
        return
    for part, width in widths:
        if packed.of(part) and width // tp % group:
            yield f"{part} width {width} / {tp} is not whole groups of {group}"


def _sharded_widths(shape: ModelShape) -> Iterator[tuple[str, int]]:
    """Return the widths that row-parallel layers cut."""
    if shape.latent is None:
        yield "attention", shape.heads.query * shape.heads.dim
    if shape.dense_layers:
        yield "mlp", shape.intermediate
    if shape.experts and shape.experts.shared:
        yield "shared", shape.experts.shared


def _tower_width(shape: ModelShape) -> int:
    return shape.vision.intermediate if shape.vision else 0
