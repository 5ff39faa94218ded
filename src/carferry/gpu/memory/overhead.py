"""Memory besides weights and KV cache: activations, non-torch, CUDA graphs.

The activation peak is the largest of three things that are not held at once: the sampler's
working set, one forward pass, and the image encoder's output during a forward pass.

Source: vLLM ``gpu_model_runner.profile_run``; constants measured on published logs
(benchmarks/GPU.md shows how far off each row is).
"""

from __future__ import annotations

from dataclasses import dataclass

from carferry.gpu.memory.vllm_version import VllmVersion
from carferry.gpu.model.shape import ModelShape
from carferry.gpu.units import BITS, GIB

NON_TORCH_GIB = 0.12
"""CUDA context and libraries on one GPU: 0.05 to 0.15 in the logs."""

PER_DOUBLING_GIB = 0.42
"""NCCL and all-reduce buffers per doubling of the ranks: 0.55 in all at TP2 in the logs."""

GRAPHS_TAKEN_GIB = 0.2, 0.01
"""What CUDA graphs took in the logs: a base, and so much per layer."""

GRAPHS_RESERVED_GIB = 0.4, 0.024
"""What vLLM sets aside for them from 0.20 on: its own estimate runs high."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """Bytes a rank needs besides weights and KV cache.

    Attributes:
        binding: Which activation is the largest: ``sampler``, ``forward`` or ``encoder``.
        graphs: CUDA graphs; outside the budget before vLLM 0.20.
    """

    activation: int
    non_torch: int
    graphs: int
    binding: str

    def budgeted(self, version: VllmVersion) -> int:
        """Return what comes out of the KV cache's share."""
        graphs = self.graphs if version.graphs_budgeted else 0
        return self.activation + self.non_torch + graphs


def overhead_of(
    shape: ModelShape,
    version: VllmVersion,
    *,
    tp: int,
    pp: int = 1,
    dtype: str,
    max_num_seqs: int,
    max_num_batched_tokens: int,
    eager: bool = False,
) -> Overhead:
    """Return the overhead of one rank, the last pipeline stage included."""
    width = BITS[dtype] // 8
    tokens = max_num_batched_tokens
    peaks = {
        "sampler": 0.0 if shape.pooling else version.sampler_bytes * max_num_seqs * shape.vocab,
        "forward": float(_forward(shape, tp, tokens, width)),
        "encoder": float(_encoder(shape, tp, tokens, width)),
    }
    binding = max(peaks, key=lambda name: peaks[name])
    ranks = tp * pp
    return Overhead(
        activation=int(peaks[binding]),
        non_torch=int((NON_TORCH_GIB + PER_DOUBLING_GIB * (ranks.bit_length() - 1)) * GIB),
        graphs=0 if eager or shape.pooling else _graphs(len(shape.layers), pp, version),
        binding=binding,
    )


def _forward(shape: ModelShape, tp: int, tokens: int, width: int) -> int:
    """Return what one batch takes in the widest layer: MLP input and output, residual and norms."""
    mlp = (3 if shape.gated else 2) * shape.intermediate // tp if shape.dense_layers else 0
    experts = 0
    if shape.experts:
        per_token = shape.experts.active * (3 * shape.experts.intermediate // tp + shape.hidden)
        experts = per_token + 3 * shape.experts.shared // tp
    heads = shape.global_heads
    attention = (2 * heads.query + 2 * heads.kv) * heads.dim // tp
    return tokens * width * (max(mlp, experts, attention) + 4 * shape.hidden)


def _encoder(shape: ModelShape, tp: int, tokens: int, width: int) -> int:
    """Return what a forward pass takes with the cached output of the image or audio encoder."""
    if shape.vision is None and shape.encoder is None:
        return 0
    return _forward(shape, tp, tokens, width) + tokens * width * shape.hidden


def _graphs(layers: int, pp: int, version: VllmVersion) -> int:
    base, per_layer = GRAPHS_RESERVED_GIB if version.graphs_budgeted else GRAPHS_TAKEN_GIB
    return int((base + per_layer * layers / pp) * GIB)
