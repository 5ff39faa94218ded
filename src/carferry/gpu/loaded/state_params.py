"""The weights of one layer that keeps a recurrent state, by what computes the state.

Source: vLLM 0.33 ``layers/mamba`` and ``model_executor/models`` {jamba,lfm2,minimax_text_01}.py,
``models/kimi_k3``; checked against instantiated models (tests/gpu/test_families.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from carferry.gpu.shape.shape import RecurrentState


def state_weights(state: RecurrentState, hidden: int) -> int:
    """Return the elements of one layer; its norms over the hidden width not counted."""
    return _COUNTERS[state.kind](state, hidden)


def _mamba2(state: RecurrentState, hidden: int) -> int:
    gates = 2 * state.heads if state.delta else state.heads
    inputs = hidden * (state.inner + state.convolved + gates)
    small = state.convolved * (state.kernel + 1) + 3 * state.heads + state.inner
    return inputs + small + state.inner * hidden


def _mamba1(state: RecurrentState, hidden: int) -> int:
    inner, width = state.inner, state.rank + 2 * state.size
    small = inner * (state.kernel + 1 + state.size + 2)
    return 3 * hidden * inner + inner * (width + state.rank) + small


def _kda(state: RecurrentState, hidden: int) -> int:
    """Count queries, keys, values, output, two low-rank gates and one gate per head."""
    inner = state.inner
    gates = 2 * state.rank * (hidden + inner) + hidden * state.heads
    return 4 * hidden * inner + gates + 3 * inner * state.kernel + inner + state.heads


def _conv(state: RecurrentState, hidden: int) -> int:
    return 4 * hidden * state.inner + state.inner * state.kernel


def _lightning(state: RecurrentState, hidden: int) -> int:
    return 5 * hidden * state.inner + state.inner


_COUNTERS: Mapping[str, Callable[[RecurrentState, int], int]] = {
    "mamba2": _mamba2,
    "delta": _mamba2,
    "mamba1": _mamba1,
    "kda": _kda,
    "conv": _conv,
    "lightning": _lightning,
}
