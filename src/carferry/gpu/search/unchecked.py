"""What can be said of a model or a GPU that the plan does not know: weights against memory.

Nothing but the weights is certain, so nothing but the weights can refuse it (ADR 49).
"""

from __future__ import annotations

from dataclasses import replace

from carferry.gpu.inventory.catalogue import Gpu
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
_AUTO_SINCE = 0, 14
_PLATFORMS = frozenset({"nvidia", "amd", "intel"})


def as_served(model: Model, goal: Goal) -> Model:
    """Return a model as a release of vLLM knows it: unknown where nobody can say if it runs."""
    reason = doubt(model.shape, find_version(goal.vllm))
    if not reason or model.shape.unknown:
        return model
    return replace(model, shape=replace(model.shape, unknown=reason))


def takes_auto(version: VllmVersion) -> bool:
    """Return whether vLLM takes ``--max-model-len=auto``: the longest context that fits.

    Source: vLLM 0.14 ``engine/arg_utils.py`` (human_readable_int_or_auto); 0.13 has none.
    """
    return version.since >= _AUTO_SINCE


def unserved(gpu: Gpu) -> str:
    """Return why nothing but weights is certain on a GPU; empty where vLLM itself serves.

    Source: vLLM 0.33 ``platforms``; 0.9.2 was the last with Gaudi's, whose memory nobody logged.
    """
    if gpu.vendor in _PLATFORMS:
        return ""
    return f"{gpu.name}: vLLM serves it through a plugin, whose rules and memory are its own"


def unknown_of(model: Model, gpu: Gpu | None) -> str:
    """Return what the plan does not know, of a model or of the GPU; empty if it knows both."""
    return model.shape.unknown or (unserved(gpu) if gpu else "")


def weigh_unknown(scope: Scope, group: NodeGroup, cut: Cut) -> Estimate:
    """Return the weights against the memory of a cut, where the model or the GPU is not known.

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
    stored = sum(tensor.size_bytes for tensor in scope.model.tensors) if scope.shape.unknown else 0
    share = 0.5 if goal.quantization else 1.0
    weights = int(stored * share / (cut.tp * cut.pp)) if stored else work.weights
    left = work.requested - weights
    verdict = Verdict.NO if (stored or not scope.shape.unknown) and left < 0 else Verdict.UNCHECKED
    kv = left if verdict is Verdict.NO else max(left - work.overhead.budgeted(), 0)
    return replace(
        work,
        weights=weights,
        kv=kv,
        needed=0 if verdict is Verdict.NO else min(work.needed, kv),
        band=int(_BAND * weights + GIB),
        verdict=verdict,
        binding="weights",
        is_weighed=bool(stored) or not scope.shape.assumed,
        is_sized=False,
    )


def is_roomy(work: Estimate) -> bool:
    """Return whether an unknown model has room beyond what its files may turn out to need."""
    return work.kv > work.band
