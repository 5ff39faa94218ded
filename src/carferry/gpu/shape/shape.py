"""The shape of a model, in the units of config.json: all that the GPU plan knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class LayerKind(Enum):
    """What one decoder layer keeps between tokens.

    ``BOTH`` is full attention beside a state. ``CHUNKED`` sees no further than its chunk of the
    request; vLLM keeps no more of it only from 0.14 on, so it counts as full where none asks.
    """

    FULL = "full"
    SLIDING = "sliding"
    CHUNKED = "chunked"
    STATE = "state"
    BOTH = "both"
    NOTHING = "nothing"


_ALSO = {
    LayerKind.FULL: (LayerKind.FULL, LayerKind.BOTH, LayerKind.CHUNKED),
    LayerKind.STATE: (LayerKind.STATE, LayerKind.BOTH),
}


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of one kind of attention; ``dim`` in elements.

    Attributes:
        value: Width of a value; 0 if it is that of a key.
        query_rank: Width that queries pass through; 0 if they are projected at once.
        out_rank: Width that each group of heads passes through on its way out; 0 as above.
        out_groups: Groups of heads with an ``out_rank``.
    """

    query: int
    kv: int
    dim: int
    value: int = 0
    query_rank: int = 0
    out_rank: int = 0
    out_groups: int = 0

    @property
    def value_dim(self) -> int:
        """Width of a value, in elements."""
        return self.value or self.dim


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention (DeepSeek): ranks and head widths in elements.

    Attributes:
        expanded: The cache keeps every head's keys and values, not what they are made from.
    """

    kv_rank: int
    rope: int
    nope: int
    value: int
    query_rank: int | None
    expanded: bool = False


@dataclass(frozen=True, slots=True)
class RecurrentState:
    """A recurrent layer's state: Mamba-2, or a gated delta net when ``delta``.

    Attributes:
        kind: What computes it: ``mamba2``, ``mamba1`` (heads of one channel, no groups), ``delta``,
            ``kda`` (a gate for each channel), ``conv`` (a short convolution, no matrix) or
            ``lightning`` (no convolution: a kernel of 1).
        rank: Width of the low-rank step size or gate; Mamba-1 and KDA.
        dtype: Of the recurrent matrix; empty if it is the model's.
        chunk: Tokens the Mamba-2 kernel scans at once.
    """

    heads: int
    head_dim: int
    groups: int
    size: int
    kernel: int
    delta: bool
    dtype: str
    chunk: int = 256
    kind: str = "mamba2"
    rank: int = 0

    @property
    def inner(self) -> int:
        """Width of the values, in elements."""
        return self.heads * self.head_dim

    @property
    def convolved(self) -> int:
        """Channels of the causal convolution, in elements."""
        return self.inner + 2 * self.groups * self.size


@dataclass(frozen=True, slots=True)
class Experts:
    """Routed experts; widths are per expert, ``shared`` is the sum over shared experts.

    Attributes:
        latent: Width the routed experts read and write; 0 if it is the model's.
    """

    count: int
    active: int
    intermediate: int
    shared: int
    layers: int
    latent: int = 0


@dataclass(frozen=True, slots=True)
class Tower:
    """An image or audio encoder beside the decoder.

    ``extra`` counts the parameters outside the blocks (patches, positions, projector).

    Attributes:
        copied: Every rank holds the whole tower under tensor parallelism.
        copyable: It may, if it is asked for (``--mm-encoder-tp-mode data``).
        levels: Features of how many of its layers reach into the decoder (Qwen3-VL).
    """

    layers: int
    heads: int
    hidden: int
    intermediate: int
    matrices: int
    extra: int
    copied: bool = False
    levels: int = 0
    copyable: bool = False

    def must_copy(self, tp: int) -> bool:
        """Return whether the tower can only run whole on every rank, and must be asked to."""
        return self.copyable and not self.copied and bool(self.heads % tp or self.intermediate % tp)

    def ways(self, tp: int) -> int:
        """Return into how many shares tensor parallelism cuts the tower."""
        return 1 if self.copied or self.must_copy(tp) else tp

    @property
    def weights(self) -> int:
        """Return its weights, biases and norms included."""
        block = 4 * self.hidden**2 + self.matrices * self.hidden * self.intermediate
        small = 9 * self.hidden + self.intermediate
        return self.layers * (block + small) + self.extra


@dataclass(frozen=True, slots=True)
class Quantization:
    """How the stored weights are packed.

    ``bits`` maps a part of the model (``attention``, ``mlp``, ``shared``, ``experts``,
    ``state``, ``head``) to bits per weight with its scales; a part that is missing is not
    quantized. ``shares`` maps a part to the share of its weights that is quantized, from 0 to 1,
    where an exclusion names only some layers; a part that is missing there is quantized whole.
    ``needs`` are the methods, as vLLM names them, that a release must have to load it.
    """

    method: str
    bits: tuple[tuple[str, float], ...]
    group_size: int | None = None
    block: tuple[int, int] | None = None
    shares: tuple[tuple[str, float], ...] = ()
    needs: tuple[str, ...] = ()

    def of(self, part: str) -> float | None:
        """Return bits per weight of a part; None if it keeps the model's dtype."""
        return dict(self.bits).get(part)

    def share(self, part: str) -> float:
        """Return the share of a part's weights that is quantized, from 0 to 1."""
        return dict(self.shares).get(part, 1.0 if self.of(part) else 0.0)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A model as vLLM will see it, parsed from config.json; widths in elements.

    Attributes:
        indexer_dim: Width of a sparse-attention indexer's key, cached beside a layer's own.
        indexed: Last layers that have an indexer; 0 if all have.
        spare_layers: Multi-token-prediction layers that only speculative decoding loads.
        kv_shared: Last layers that read an earlier layer's cache and keep none.
        layer_embedding: Elements of per-layer embeddings, all layers together.
        chunk: Tokens of a chunk of the ``CHUNKED`` layers.
        ratios: Tokens that each layer's cache joins into one entry (DeepSeek V4); 0 for a layer
            that only slides; empty for models that join none.
        mlp_widths: Sum of the dense MLPs' widths where layers differ; 0 if all are
            ``intermediate`` wide.
        more: Weights beyond the plain layers: (part, elements in all, split), as WeightPart's.
        unknown: What the plan does not know of the model, in words; empty if it knows it.
        assumed: What its config does not say, and a stand-in's number was taken for.
        rotary: Elements of cached rotary angles.
    """

    model_type: str
    architecture: str
    dtype: str
    hidden: int
    intermediate: int
    vocab: int
    positions: int
    layers: tuple[LayerKind, ...]
    heads: Heads
    full_heads: Heads | None = None
    shared_kv: bool = False
    window: int | None = None
    latent: Latent | None = None
    state: RecurrentState | None = None
    experts: Experts | None = None
    dense_layers: int = 0
    gated: bool = True
    output_gate: bool = False
    attention_bias: bool = False
    tied: bool = False
    norms: int = 2
    learned_positions: int = 0
    encoder: Tower | None = None
    vision: Tower | None = None
    pooling: bool = False
    quantization: Quantization | None = None
    kv_dtype: str | None = None
    indexer_dim: int = 0
    indexed: int = 0
    spare_layers: int = 0
    kv_shared: int = 0
    layer_embedding: int = 0
    chunk: int = 0
    ratios: tuple[int, ...] = ()
    mlp_widths: int = 0
    more: tuple[tuple[str, int, str], ...] = ()
    unknown: str = ""
    assumed: tuple[str, ...] = ()
    rotary: int = 0

    def indices(self, kind: LayerKind) -> tuple[int, ...]:
        """Return the decoder layers of a kind; a layer of two kinds is of each."""
        kinds = _ALSO.get(kind, (kind,))
        return tuple(index for index, layer in enumerate(self.layers) if layer in kinds)

    def count(self, kind: LayerKind) -> int:
        """Return how many decoder layers are of a kind; a layer of two kinds is of each."""
        return len(self.indices(kind))

    @property
    def global_heads(self) -> Heads:
        """Heads of the full-attention layers (Gemma 4 widens them)."""
        return self.full_heads or self.heads

    @property
    def cached_latent(self) -> Latent | None:
        """Latent attention whose cache is latent too."""
        return None if self.latent and self.latent.expanded else self.latent

    @property
    def family(self) -> str:
        """Name of the cache family: mla, hybrid, sliding, encoder-decoder, encoder or gqa."""
        tests = (
            ("encoder", self.pooling and not self.count(LayerKind.FULL)),
            ("encoder-decoder", self.encoder is not None),
            ("mla", self.cached_latent is not None),
            ("hybrid", self.state is not None),
            ("sliding", self.count(LayerKind.SLIDING) > 0),
        )
        return next((name for name, holds in tests if holds), "gqa")
