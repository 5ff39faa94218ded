"""Models whose layers differ one by one (Nemotron NAS): attention or MLP narrower, or left out.

Source: vLLM 0.33 ``model_executor/models/nemotron_nas.py``.
"""

from __future__ import annotations

from carferry.gpu.shape.fields import Fields
from carferry.gpu.shape.shape import LayerKind

_STEP = 256


def is_variable(fields: Fields) -> bool:
    """Return whether the config describes each block by itself."""
    return any(block.section("attention").values for block in _blocks(fields))


def layers(fields: Fields) -> tuple[LayerKind, ...]:
    """Return the kind of every layer: those without attention keep nothing."""
    return tuple(
        LayerKind.NOTHING if _is_left_out(block.section("attention")) else LayerKind.FULL
        for block in _blocks(fields)
    )


def kv_heads(fields: Fields, query: int) -> int:
    """Return the KV heads of the first layer that attends, as vLLM takes them; 0 if none says."""
    for block in _blocks(fields):
        group = block.section("attention").maybe("n_heads_in_group")
        if group:
            return max(query // group, 1)
    return 0


def mlp_widths(fields: Fields) -> tuple[int, ...]:
    """Return the width of every layer's MLP; 0 where it is left out."""
    hidden = fields.number("hidden_size")
    return tuple(_width(block.section("ffn"), hidden) for block in _blocks(fields))


def _blocks(fields: Fields) -> tuple[Fields, ...]:
    listed = fields.items("block_configs")
    return tuple(fields.with_({"block": one}).section("block") for one in listed)


def _is_left_out(part: Fields) -> bool:
    return part.flag("no_op") or part.flag("replace_with_linear")


def _width(part: Fields, hidden: int) -> int:
    if part.flag("no_op"):
        return 0
    named = part.maybe("intermediate_size")
    factor = part.values.get("ffn_mult")
    if named or not isinstance(factor, int | float) or not 0 < factor < 64:
        return named or 0
    return -(-int(2 * factor * hidden / 3) // _STEP) * _STEP
