"""Weights that a model has beside its plain layers: indexers, per-layer embeddings and the like.

Sources: transformers 5.24 ``models/*/modeling_*.py`` for the shapes; vLLM 0.33
``model_executor/models`` and ``models`` for how tensor parallelism cuts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from carferry.gpu.shape.fields import Fields
from carferry.gpu.shape.shape import ModelShape

Weights = tuple[str, int, str]
"""(part, elements in all, split), as ``WeightPart`` has them."""

_INDEXED = 4
"""Tokens that a layer of DeepSeek V4 joins where an indexer chooses among its entries."""


def extras_of(fields: Fields, shape: ModelShape, rule: str) -> tuple[Weights, ...]:
    """Return the other weights of a decoder.

    Args:
        fields: Its section of the config.
        shape: What has been read of it.
        rule: Of its family; empty if it has none of its own.
    """
    own = _RULES.get(rule)
    return (*_indexer(fields, shape), *_common(fields, shape), *(own(fields, shape) if own else ()))


def layer_embedding(fields: Fields, layers: int) -> int:
    """Return the elements of Gemma's per-layer embedding table; 0 if the model has none."""
    width = fields.maybe("hidden_size_per_layer_input")
    if not width:
        return 0
    return fields.number("vocab_size_per_layer_input", "vocab_size") * width * layers


def _common(fields: Fields, shape: ModelShape) -> Iterator[Weights]:
    if fields.flag("lm_head_bias"):
        yield "small", shape.vocab, "copy"
    if fields.values.get("model_type") in ("gptj", "phi", "codegen"):
        yield "small", shape.vocab, "copy"


def _indexer(fields: Fields, shape: ModelShape) -> Iterator[Weights]:
    """Yield the indexer of sparse latent attention (DeepSeek V3.2), whole on every rank."""
    dim, latent = fields.maybe("index_head_dim"), shape.latent
    if dim is None or latent is None:
        return
    kinds = fields.items("indexer_types")
    layers = sum(kind == "full" for kind in kinds) if kinds else len(shape.layers)
    heads = fields.number("index_n_heads")
    queries = (latent.query_rank or shape.hidden) * heads * dim
    yield "attention", layers * (queries + shape.hidden * (dim + heads) + 2 * dim), "copy"


def _layer_embeddings(fields: Fields, shape: ModelShape) -> Iterator[Weights]:
    """Yield what reads and gates the per-layer embeddings of Gemma 4-E."""
    width = fields.maybe("hidden_size_per_layer_input")
    if width:
        layers = len(shape.layers)
        yield "small", layers * (3 * width * shape.hidden + shape.hidden), "copy"


def _gemma3n(fields: Fields, shape: ModelShape) -> Iterator[Weights]:
    """Yield Gemma 3n's alternating updates, learned residuals and per-layer embeddings."""
    yield from _layer_embeddings(fields, shape)
    layers, hidden = len(shape.layers), shape.hidden
    rank = fields.number("laurel_rank", default=64)
    inputs = fields.number("altup_num_inputs", default=4)
    yield "small", layers * (2 * rank * hidden + hidden), "copy"
    yield "small", layers * (inputs * hidden + inputs**3 + inputs**2 + 2 * hidden), "copy"
    yield "small", 2 * (inputs - 1) * hidden**2, "copy"


def _joined(fields: Fields, shape: ModelShape) -> Iterator[Weights]:
    """Yield what joins the cache of DeepSeek V4, its indexers, and the mixing of residuals."""
    hidden, dim, width = shape.hidden, shape.indexer_dim, shape.heads.dim
    heads = fields.maybe("index_n_heads") or 0
    for ratio in shape.ratios:
        if ratio == _INDEXED:
            yield "attention", shape.heads.query_rank * heads * dim, "copy"
            yield "small", hidden * (4 * (width + dim) + heads), "copy"
        elif ratio > 1:
            yield "small", hidden * 2 * width, "copy"
    streams = fields.maybe("hc_mult") or 0
    yield "small", len(shape.layers) * 2 * streams * hidden * (streams + 2) * streams, "copy"


_RULES: Mapping[str, Callable[[Fields, ModelShape], Iterator[Weights]]] = {
    "layer_embeddings": _layer_embeddings,
    "gemma3n": _gemma3n,
    "joined": _joined,
}
