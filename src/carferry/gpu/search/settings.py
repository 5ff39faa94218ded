"""The settings a cut is tried with: from vLLM's own defaults to the most frugal worth serving.

The objective is the longest context, then the most sequences: memory for sequences that wait is
of no use to a request that is refused for its length. A context within a twentieth of the longest
counts as long as it, or a few hundred tokens would cost half of the sequences. Sequences go down
to 256, vLLM's own default on smaller GPUs; below, only if nothing worth serving fits otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from carferry.gpu.inventory.nodes import NodeGroup
from carferry.gpu.search.option import Cut
from carferry.gpu.search.scope import Scope, base_choice, batch_of
from carferry.gpu.sizing.estimate import (
    Choice,
    Estimate,
    Verdict,
    cache_of,
)
from carferry.gpu.sizing.limits import kv_dtype_reason, kv_dtypes

FLOOR = 8192
"""Shortest context worth serving if the user names none, tokens."""

SEQS = (1024, 512, 256, 128, 64, 32, 16, 8)
"""Sequence limits that are tried, from vLLM's largest default."""

_ENOUGH = 256
"""Sequences that are not given up for context."""
_FEW = 32
_STEP = 256  # tokens: a shorter context is a multiple of it
_AS_LONG = 0.95

Weigh = Callable[[Choice], Estimate]


def gentlest(scope: Scope, group: NodeGroup, cut: Cut, weigh: Weigh) -> Estimate:
    """Return the best settings that fit, else the first that are tight, else the closest."""
    base, tried = base_choice(scope, group, cut), list[Estimate]()
    if (least := weigh(_frugal(scope, group, base))).weights > least.requested:
        return least
    for kv_dtype in _caches(scope, group, base):
        for tier in _tiers(base, pinned=scope.goal.max_num_seqs is not None):
            works = list(_works(scope, group, replace(base, kv_dtype=kv_dtype), tier, weigh))
            if fitting := [work for work in works if work.verdict is Verdict.FITS]:
                return _widest(fitting)
            tried += works
    tight = [work for work in tried if work.verdict is Verdict.TIGHT]
    return tight[0] if tight else min(tried, key=lambda work: work.shortfall)


def _frugal(scope: Scope, group: NodeGroup, base: Choice) -> Choice:
    """Return the settings that ask for least: what does not fit with them fits with none."""
    goal = scope.goal
    seqs = goal.max_num_seqs or min(_FEW, base.max_num_seqs)
    length = goal.max_model_len or min(FLOOR, base.max_model_len)
    batch = batch_of(scope, group, seqs, length)
    return replace(
        base,
        kv_dtype=_caches(scope, group, base)[-1],
        max_num_seqs=seqs,
        max_model_len=length,
        max_num_batched_tokens=batch,
    )


def most_seqs(work: Estimate) -> int | None:
    """Return the most sequences that surely start: vLLM's limit at the low end of our error."""
    if work.most_seqs is None:
        return None
    sure = (work.kv - work.band) / work.kv if work.kv > 0 else 0.0
    return max(int(work.most_seqs * sure), 0)


def _works(
    scope: Scope, group: NodeGroup, base: Choice, tier: tuple[int, ...], weigh: Weigh
) -> Iterator[Estimate]:
    """Yield estimates from the whole context down; the first that fits ends it."""
    held: list[Estimate] = []
    for seqs in tier:
        work = _allowed(weigh(replace(base, max_num_seqs=seqs)), scope, weigh)
        held.append(work)
        if work.verdict is Verdict.FITS:
            break
    yield from held
    if scope.goal.max_model_len is None and held[-1].verdict is not Verdict.FITS:
        for work in held:
            yield from _shorter(scope, group, work, weigh)


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
    binding = f"states of {work.choice.max_num_seqs} sequences, of which {most} have a block"
    return replace(work, verdict=worse, binding=binding)


def _widest(fitting: list[Estimate]) -> Estimate:
    """Return the most sequences among those whose context is as long as the longest."""
    longest = max(work.choice.max_model_len for work in fitting)
    long = [work for work in fitting if work.choice.max_model_len >= _AS_LONG * longest]
    return max(long, key=lambda work: (work.choice.max_num_seqs, work.choice.max_model_len))


def _shorter(scope: Scope, group: NodeGroup, work: Estimate, weigh: Weigh) -> Iterator[Estimate]:
    """Yield the longest context that fits with the margin, if it is worth serving."""
    choice = work.choice
    if choice.max_model_len <= FLOOR:
        return
    pool = cache_of(scope.shape, choice, scope.version)
    spare = (work.kv - work.band - pool.bytes_per_block) / choice.concurrency
    longest = pool.longest(int(spare), choice.max_model_len) // _STEP * _STEP
    length = max(longest, FLOOR)
    batch = batch_of(scope, group, choice.max_num_seqs, length)
    shorter = replace(choice, max_model_len=length, max_num_batched_tokens=batch)
    yield _allowed(weigh(shorter), scope, weigh)


def _caches(scope: Scope, group: NodeGroup, base: Choice) -> tuple[str, ...]:
    """Return the types of cache to try: those of the GPU that vLLM takes for the model."""
    if scope.goal.kv_dtype:
        return (scope.goal.kv_dtype,)
    own, *others = kv_dtypes(scope.shape, group.gpu, scope.version)
    taken = (
        kv_dtype
        for kv_dtype in others
        if not kv_dtype_reason(scope.shape, replace(base, kv_dtype=kv_dtype), scope.version)
    )
    return (own, *taken)


def _tiers(base: Choice, *, pinned: bool) -> Iterator[tuple[int, ...]]:
    """Yield the sequence limits to try: enough first, then those below, but never too few.

    Too few are less than the requests that must run at once.
    """
    if pinned:
        yield (base.max_num_seqs,)
        return
    least = min(base.concurrency, base.max_num_seqs)
    tried = [seqs for seqs in SEQS if least <= seqs <= base.max_num_seqs] or [base.max_num_seqs]
    enough = tuple(seqs for seqs in tried if seqs >= _ENOUGH)
    few = tuple(seqs for seqs in tried if _FEW <= seqs < _ENOUGH)
    yield from filter(None, (enough, few, tuple(seqs for seqs in tried if seqs < _FEW)))
