"""The settings a cut is tried with: from vLLM's own defaults to the most frugal worth serving.

The objective is the longest context, then the most sequences: memory for sequences that wait is
of no use to a request that is refused for its length. A context within a twentieth of the longest
counts as long as it, or a few hundred tokens would cost half of the sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from carferry.gpu.inventory.nodes import NodeGroup
from carferry.gpu.memory.calibration import calibration_for
from carferry.gpu.memory.estimate import (
    Choice,
    Estimate,
    Verdict,
    cache_of,
    default_choice,
)
from carferry.gpu.memory.limits import kv_dtypes
from carferry.gpu.search.option import Cut
from carferry.gpu.search.rules import Scope

FLOOR = 8192
"""Shortest context worth serving if the user names none, tokens."""

SEQS = (1024, 512, 256, 128, 64, 32, 16, 8)
"""Sequence limits that are tried, from vLLM's largest default."""

_USUAL = 32
"""Fewer are tried only if vLLM does not start with these."""
_STEP = 256  # tokens: a shorter context is a multiple of it
_AS_LONG = 0.95

Weigh = Callable[[Choice], Estimate]


def gentlest(scope: Scope, group: NodeGroup, cut: Cut, weigh: Weigh) -> Estimate:
    """Return the best settings that fit, else the first that are tight, else the closest."""
    base, tried = base_choice(scope, group, cut), list[Estimate]()
    for kv_dtype in _caches(scope, group):
        works = list(_works(scope, replace(base, kv_dtype=kv_dtype), weigh))
        if fitting := [work for work in works if work.verdict is Verdict.FITS]:
            return _widest(fitting)
        tried += works
    tight = [work for work in tried if work.verdict is Verdict.TIGHT]
    return tight[0] if tight else min(tried, key=lambda work: work.shortfall)


def base_choice(scope: Scope, group: NodeGroup, cut: Cut) -> Choice:
    """Return what the user wants of a cut, completed by vLLM's own defaults."""
    goal, base = scope.goal, default_choice(scope.shape, group.gpu, scope.version)
    seqs = goal.max_num_seqs or base.max_num_seqs
    return replace(
        base,
        tp=cut.tp,
        pp=cut.pp,
        dtype=goal.dtype or base.dtype,
        utilization=_share(goal.utilization or base.utilization, group.replicas),
        quantization=goal.quantization,
        max_model_len=goal.max_model_len or base.max_model_len,
        max_num_seqs=seqs,
        # vLLM refuses a batch of fewer tokens than sequences (config/scheduler.py).
        max_num_batched_tokens=max(base.max_num_batched_tokens, seqs),
        concurrency=goal.concurrency,
        calibration=calibration_for(goal.calibrations, group.gpu.name, cut.tp * cut.pp),
        expert_parallel=cut.experts,
        data_parallel=cut.dp,
        speculative_tokens=goal.speculative_tokens or 0,
        lora_rank=goal.lora_rank or 0,
        loras=(goal.loras or 1) if goal.lora_rank else 0,
    )


def most_seqs(work: Estimate) -> int | None:
    """Return the most sequences that surely start: vLLM's limit at the low end of our error."""
    if work.most_seqs is None:
        return None
    sure = (work.kv - work.band) / work.kv if work.kv > 0 else 0.0
    return max(int(work.most_seqs * sure), 0)


def _works(scope: Scope, base: Choice, weigh: Weigh) -> Iterator[Estimate]:
    """Yield estimates from the whole context down; the first that fits ends it."""
    held: list[Estimate] = []
    for seqs in _sequences(base, pinned=scope.goal.max_num_seqs is not None):
        work = _allowed(weigh(replace(base, max_num_seqs=seqs)), scope, weigh)
        held.append(work)
        if work.verdict is Verdict.FITS or work.choice.max_num_seqs < min(seqs, _USUAL):
            break
    yield from held
    if scope.goal.max_model_len is None and held[-1].verdict is not Verdict.FITS:
        for work in held:
            yield from _shorter(scope, work, weigh)


def _allowed(work: Estimate, scope: Scope, weigh: Weigh) -> Estimate:
    """Return a choice with no more sequences than there are blocks for their states."""
    most, seqs = most_seqs(work), work.choice.max_num_seqs
    if most is None or seqs <= most:
        return work
    if scope.goal.max_num_seqs is not None or most < 1:
        return _refused(work)
    fewer = next((count for count in SEQS if count <= most), most)
    return weigh(replace(work.choice, max_num_seqs=fewer))


def _refused(work: Estimate) -> Estimate:
    """Return an estimate that vLLM does not start, or may not: more sequences than state blocks."""
    most = work.most_seqs or 0
    verdict = Verdict.NO if work.choice.max_num_seqs > most else Verdict.TIGHT
    worse = max(verdict, work.verdict, key=list(Verdict).index)
    binding = f"blocks for the states of {most} sequences"
    return replace(work, verdict=worse, binding=binding)


def _widest(fitting: list[Estimate]) -> Estimate:
    """Return the most sequences among those whose context is as long as the longest."""
    longest = max(work.choice.max_model_len for work in fitting)
    long = [work for work in fitting if work.choice.max_model_len >= _AS_LONG * longest]
    return max(long, key=lambda work: (work.choice.max_num_seqs, work.choice.max_model_len))


def _shorter(scope: Scope, work: Estimate, weigh: Weigh) -> Iterator[Estimate]:
    """Yield the longest context that fits with the margin, if it is worth serving."""
    choice = work.choice
    if choice.max_model_len <= FLOOR:
        return
    pool = cache_of(scope.shape, choice, scope.version)
    spare = (work.kv - work.band - pool.bytes_per_block) / choice.concurrency
    longest = pool.longest(int(spare), choice.max_model_len) // _STEP * _STEP
    shorter = weigh(replace(choice, max_model_len=max(longest, FLOOR)))
    yield _allowed(shorter, scope, weigh)


def _caches(scope: Scope, group: NodeGroup) -> tuple[str, ...]:
    wanted = scope.goal.kv_dtype
    return (wanted,) if wanted else kv_dtypes(scope.shape, group.gpu)


def _sequences(base: Choice, pinned: bool) -> tuple[int, ...]:
    """Return the sequence limits to try, never below the requests that must run at once."""
    if pinned:
        return (base.max_num_seqs,)
    least = min(max(base.concurrency, _USUAL), base.max_num_seqs)
    return tuple(seqs for seqs in SEQS if least <= seqs <= base.max_num_seqs)


def _share(utilization: float, replicas: int) -> float:
    """Divide the share among the pods of a time-sliced GPU, rounded down to a short number."""
    return utilization if replicas == 1 else int(utilization / replicas * 1000) / 1000
