"""What a comparison teaches for later plans: only the terms that another model would share.

Weights and the layout of the KV cache come from a model's own files: if they are off, that is a
fault of the plan, and no correction of one model may hide it in another (docs/adr/0050).
"""

from __future__ import annotations

from carferry.gpu.log.compare import (
    ACTIVATION,
    GRAPHS,
    NON_TORCH,
    OVERHEAD,
    WEIGHTS,
    Comparison,
)
from carferry.gpu.memory.calibration import Calibration
from carferry.gpu.units import GIB, gib

LEAST, MOST = 0.25, 4.0
"""A ratio beyond these is no correction: something else is wrong."""

_MOST_GIB = 8.0


def why_not(found: Comparison, unknown: str = "") -> str:
    """Return why a comparison teaches nothing; empty if it does.

    Args:
        found: The comparison.
        unknown: What the plan does not know of the model.
    """
    weights = found.line(WEIGHTS)
    terms = [found.line(term) for term in (ACTIVATION, NON_TORCH, OVERHEAD, GRAPHS)]
    if unknown:
        return f"the plan does not know {unknown}"
    if weights and not weights.is_within:
        return "the weights are not the ones that were predicted"
    if not any(terms):
        return "the log tells neither activations, non-torch memory nor CUDA graphs"
    if any(line and abs(line.off) > _most(line.predicted) for line in terms):
        return "a term is off by more than a correction may be"
    return ""


def calibration_of(
    found: Comparison, *, image: str, gpu: str, model: str, date: str
) -> Calibration:
    """Return what a comparison corrects.

    Args:
        found: The comparison; ``why_not`` must have nothing against it.
        image: Image that served the model, or ``vLLM`` and its version.
        gpu: Name in the catalogue.
        model: Name of the model.
        date: Of today, as in 2026-11-26.
    """
    activation, non_torch = _overhead(found)
    over, graphs = found.best.overhead, found.line(GRAPHS)
    return Calibration(
        image=image,
        gpu=gpu,
        model=model,
        date=date,
        ranks=found.best.choice.tp * found.best.choice.pp,
        non_torch=int(non_torch * GIB),
        activation=_ratio(activation, gib(over.activation)),
        binding=over.binding,
        graphs=_ratio(graphs.logged, graphs.predicted) if graphs else 1.0,
    )


def _overhead(found: Comparison) -> tuple[float, float]:
    """Return (activations as logged, non-torch beyond the prediction), GiB.

    What is told only together goes to the activations, as far as a ratio may carry it: on one
    rank non-torch memory hardly differs. What is left is non-torch memory.
    """
    activation, non_torch = found.line(ACTIVATION), found.line(NON_TORCH)
    both, predicted = found.line(OVERHEAD), gib(found.best.overhead.activation)
    if activation or not both:
        logged = activation.logged if activation else predicted
        return logged, -non_torch.off if non_torch else 0.0
    beyond = -non_torch.off if non_torch else 0.0
    wanted = predicted - both.off - beyond
    carried = min(max(wanted, LEAST * predicted), MOST * predicted)
    return carried, beyond + wanted - carried


def _ratio(logged: float, predicted: float) -> float:
    """Return logged by predicted, rounded; 1 where nothing was predicted."""
    return round(min(max(logged / predicted, LEAST), MOST), 4) if predicted > 0 else 1.0


def _most(predicted: float) -> float:
    return max(_MOST_GIB, (MOST - 1) * predicted)
