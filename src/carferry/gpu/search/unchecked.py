"""What can be said of a model that the plan does not know: its weights against the memory.

Nothing but the weights is certain, so nothing but the weights can refuse it (ADR 49).
"""

from __future__ import annotations

from dataclasses import replace

from carferry.gpu.inventory.nodes import NodeGroup
from carferry.gpu.search.goal import Goal
from carferry.gpu.search.option import Cut
from carferry.gpu.search.scope import Scope, base_choice
from carferry.gpu.search.settings import FLOOR
from carferry.gpu.sizing.estimate import Estimate, Model, Verdict, estimate
from carferry.gpu.sizing.served import doubt
from carferry.gpu.units import GIB
from carferry.gpu.vllm.version import VllmVersion, find_version

SEQUENCES = 64
"""Sequences at once if the user names none: states and samplers of any model have room for them."""

_BAND = 0.15
"""Share of the weights that an unknown model may hold more than its files: packing, copies."""
_AUTO_SINCE = 0, 16


def as_served(model: Model, goal: Goal) -> Model:
    """Return a model as a release of vLLM knows it: unknown where nobody can say if it runs."""
    reason = doubt(model.shape, find_version(goal.vllm))
    if not reason or model.shape.unknown:
        return model
    return replace(model, shape=replace(model.shape, unknown=reason))


def takes_auto(version: VllmVersion) -> bool:
    """Return whether vLLM takes ``--max-model-len=auto``: the longest context that fits.

    Source: vLLM 0.16 ``engine/arg_utils.py`` (human_readable_int_or_auto); 0.13 has none.
    """
    return version.since >= _AUTO_SINCE


def weigh_unknown(scope: Scope, group: NodeGroup, cut: Cut) -> Estimate:
    """Return the weights of an unknown model against the memory of a cut.

    The sum of the headers, spread evenly, is the least that each GPU holds: beyond vLLM's share
    the answer is no. Without headers nothing is certain.
    """
    base = base_choice(scope, group, cut)
    goal, seqs = scope.goal, scope.goal.max_num_seqs or SEQUENCES
    length = goal.max_model_len or min(base.max_model_len, FLOOR)
    choice = replace(
        base, kv_dtype=goal.kv_dtype or "auto", max_num_seqs=seqs, max_model_len=length
    )
    work = estimate(scope.model, choice, scope.version)
    stored = sum(tensor.size_bytes for tensor in scope.model.tensors)
    share = 0.5 if goal.quantization else 1.0
    weights = int(stored * share / (cut.tp * cut.pp)) if stored else work.weights
    left = work.requested - weights
    verdict = Verdict.NO if stored and left < 0 else Verdict.UNCHECKED
    kv = left if verdict is Verdict.NO else max(left - work.overhead.budgeted(scope.version), 0)
    return replace(
        work,
        weights=weights,
        kv=kv,
        needed=0 if verdict is Verdict.NO else min(work.needed, kv),
        band=int(_BAND * weights + GIB),
        verdict=verdict,
        binding="weights",
    )


def is_roomy(work: Estimate) -> bool:
    """Return whether an unknown model has room beyond what its files may turn out to need."""
    return work.kv > work.band
