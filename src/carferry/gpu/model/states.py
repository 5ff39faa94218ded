"""The recurrent state of hybrid and attention-free models, by what computes it.

Source: vLLM 0.33 ``layers/mamba/mamba_utils.py`` (shapes of every kind of state) and
``model_executor/models`` for which widths a model takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from carferry.gpu.model.family import Family
from carferry.gpu.shape.fields import Fields
from carferry.gpu.shape.shape import LayerKind, RecurrentState

_MIXERS = (LayerKind.STATE, LayerKind.BOTH)


def state_of(
    fields: Fields, traits: Family, layers: tuple[LayerKind, ...]
) -> RecurrentState | None:
    """Return the state of the layers that keep one; None for a pure attention model."""
    reader = _READERS.get(traits.state)
    if reader is None or not any(kind in layers for kind in _MIXERS):
        return None
    return reader(fields)


def _delta(fields: Fields) -> RecurrentState:
    return RecurrentState(
        heads=fields.number("linear_num_value_heads"),
        head_dim=fields.number("linear_value_head_dim"),
        groups=fields.number("linear_num_key_heads"),
        size=fields.number("linear_key_head_dim"),
        kernel=fields.number("linear_conv_kernel_dim"),
        delta=True,
        dtype=fields.text("mamba_ssm_dtype"),
        kind="delta",
    )


def _kda(fields: Fields) -> RecurrentState:
    """Read Kimi delta attention: keys and values of one width, each with its convolution."""
    section = fields.section("linear_attn_config")
    within = fields.with_({**fields.values, **section.values})
    heads = within.number("linear_num_heads", "num_heads", "num_attention_heads")
    dim = within.number("linear_head_dim", "head_dim", default=128)
    return RecurrentState(
        heads=heads,
        head_dim=dim,
        groups=heads,
        size=dim,
        kernel=within.number("linear_conv_kernel_dim", "short_conv_kernel_size", default=4),
        delta=True,
        dtype="float32",
        kind="kda",
        rank=dim,
    )


def _mamba2(fields: Fields) -> RecurrentState:
    inner = _inner(fields)
    heads = fields.number("mamba_n_heads", "mamba_num_heads", "n_mamba_heads", "num_heads")
    return RecurrentState(
        heads=heads,
        head_dim=fields.number(
            "mamba_d_head", "mamba_head_dim", "mamba_headdim", "head_dim",
            default=max(inner // heads, 1),
        ),
        groups=fields.number("mamba_n_groups", "mamba_ngroups", "n_groups", default=1),
        size=fields.number("mamba_d_state", "ssm_state_size", "state_size"),
        kernel=fields.number("mamba_d_conv", "conv_kernel", default=4),
        delta=False,
        dtype=fields.text("mamba_ssm_cache_dtype"),
        chunk=fields.number("mamba_chunk_size", "chunk_size", default=256),
    )  # fmt: skip


def _mamba1(fields: Fields) -> RecurrentState:
    """Read Mamba-1: every channel is a head of its own, and there are no groups."""
    hidden = fields.number("hidden_size")
    return RecurrentState(
        heads=_inner(fields),
        head_dim=1,
        groups=0,
        size=fields.number("mamba_d_state", "state_size"),
        kernel=fields.number("mamba_d_conv", "conv_kernel", default=4),
        delta=False,
        dtype=fields.text("mamba_ssm_cache_dtype"),
        kind="mamba1",
        rank=fields.number("mamba_dt_rank", "time_step_rank", default=-(-hidden // 16)),
    )


def _conv(fields: Fields) -> RecurrentState:
    """Read LFM2's short convolution, which has a tail and no matrix."""
    return RecurrentState(
        heads=fields.number("conv_dim", "hidden_size"),
        head_dim=1,
        groups=0,
        size=0,
        kernel=fields.number("conv_L_cache", default=3),
        delta=False,
        dtype="",
        kind="conv",
    )


def _lightning(fields: Fields) -> RecurrentState:
    """Read MiniMax's lightning attention: a matrix for each head, no convolution."""
    heads = fields.number("num_attention_heads")
    dim = fields.number("head_dim", default=max(fields.number("hidden_size") // heads, 1))
    return RecurrentState(
        heads=heads,
        head_dim=dim,
        groups=0,
        size=dim,
        kernel=1,
        delta=False,
        dtype="float32",
        kind="lightning",
    )


def _inner(fields: Fields) -> int:
    expand = fields.number("mamba_expand", "expand", default=2)
    expanded = expand * fields.number("hidden_size")
    return fields.number("mamba_d_ssm", "mamba_intermediate_size", default=expanded)


_READERS: Mapping[str, Callable[[Fields], RecurrentState]] = {
    "delta": _delta,
    "kda": _kda,
    "mamba2": _mamba2,
    "mamba1": _mamba1,
    "conv": _conv,
    "lightning": _lightning,
}
