"""What a log of vLLM has corrected: the terms of the overhead that other models share.

Weights and the layout of the KV cache are counted from a model's own files, and what was off for
one says nothing of another, so neither is here (docs/adr/0050).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from carferry.gpu.memory.terms import Overhead
from carferry.gpu.units import GIB

_LEAST = 0.005 * GIB  # bytes; less is not told


@dataclass(frozen=True, slots=True)
class Calibration:
    """The corrections that one log of one model gave, for an image on a GPU.

    Attributes:
        image: Image that served it, or ``vLLM`` and its version.
        gpu: Name of the GPU, as the catalogue has it.
        model: Model that the log is of.
        date: Day on which it was compared, as in 2026-11-26.
        ranks: GPUs that the model ran on.
        non_torch: Bytes a rank holds more than was predicted; counts for as many ranks only.
        activation: Logged by predicted activations; 1 if the log does not tell them.
        binding: What peaked then: ``sampler``, ``forward`` or ``encoder``; the ratio counts where
            the same thing peaks.
        graphs: Logged by predicted CUDA graphs; 1 if the log does not tell them.
    """

    image: str
    gpu: str
    model: str
    date: str
    ranks: int = 1
    non_torch: int = 0
    activation: float = 1.0
    binding: str = ""
    graphs: float = 1.0

    def corrected(self, overhead: Overhead, ranks: int) -> Overhead:
        """Return an overhead with what carries over to a model on so many ranks."""
        ratio = self.activation if overhead.binding == self.binding else 1.0
        added = self.non_torch if ranks == self.ranks else 0
        return replace(
            overhead,
            activation=int(overhead.activation * ratio),
            non_torch=max(overhead.non_torch + added, 0),
            graphs=int(overhead.graphs * self.graphs),
        )

    @property
    def terms(self) -> str:
        """What it corrects, in words."""
        ratios = ((f"activation ({self.binding})", self.activation), ("CUDA graphs", self.graphs))
        words = [f"{name} x{ratio:.2f}" for name, ratio in ratios if abs(ratio - 1) >= 0.005]
        if abs(self.non_torch) >= _LEAST:
            plural = "s" if self.ranks > 1 else ""
            words.append(f"non-torch {self.non_torch / GIB:+.2f} GiB on {self.ranks} GPU{plural}")
        return ", ".join(words) or "no term is off"

    def told(self, before: Overhead, after: Overhead) -> str:
        """Return the note of a plan that was corrected: by whom, and what each term became."""
        terms = (
            ("activation", after.activation - before.activation),
            ("non-torch", after.non_torch - before.non_torch),
            ("CUDA graphs", after.graphs - before.graphs),
        )
        words = [f"{name} {size / GIB:+.2f} GiB" for name, size in terms if abs(size) >= _LEAST]
        source = f"calibrated for {self.image} on {self.gpu} from the log of {self.model}"
        return f"{source}, {self.date}: {', '.join(words) or 'nothing changed'}"


def calibration_for(known: tuple[Calibration, ...], gpu: str, ranks: int) -> Calibration | None:
    """Return the latest for a GPU, one of as many ranks before others; None if there is none."""
    fitting = [each for each in known if each.gpu == gpu]
    return max(fitting, key=lambda each: (each.ranks == ranks, each.date), default=None)
