"""The terms of the sum: what a rank holds besides weights and KV cache."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Overhead:
    """Bytes a rank needs besides weights and KV cache.

    Attributes:
        activation: Peak of a step; given back after it, but planned for.
        non_torch: CUDA context, libraries, communication buffers.
        binding: Which activation is the largest: ``sampler``, ``forward`` or ``encoder``.
        graphs: CUDA graphs; outside the budget before vLLM 0.20.
        adapters: Buffers of LoRA adapters.
        reserved: The graphs are in the budget.
    """

    activation: int
    non_torch: int
    graphs: int
    binding: str
    adapters: int = 0
    reserved: bool = False

    def budgeted(self) -> int:
        """Return what comes out of the KV cache's share."""
        graphs = self.graphs if self.reserved else 0
        return self.activation + self.non_torch + self.adapters + graphs
