"""The kind of every decoder layer, as a config lists it or as vLLM derives it.

Sources: vLLM 0.33 ``config/model.py`` (layer types), ``model_executor/models`` and ``models``;
transformers 5.24 config classes for the names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from carferry.gpu.model import nas
from carferry.gpu.model.family import Family
from carferry.gpu.shape.fields import Fields
from carferry.gpu.shape.shape import LayerKind

_NAMES = {
    "full_attention": LayerKind.FULL,
    "attention": LayerKind.FULL,
    "full": LayerKind.FULL,
    "global": LayerKind.FULL,
    "chunked_attention": LayerKind.CHUNKED,
    "indexed_attention": LayerKind.FULL,
    "deepseek_sparse_attention": LayerKind.FULL,
    "minimax_m3_sparse": LayerKind.FULL,
    "cross_attention": LayerKind.FULL,
    "compressed_sparse_attention": LayerKind.FULL,
    "heavily_compressed_attention": LayerKind.FULL,
    "sliding_attention": LayerKind.SLIDING,
    "local_attention": LayerKind.SLIDING,
    "sliding": LayerKind.SLIDING,
    "linear_attention": LayerKind.STATE,
    "mamba": LayerKind.STATE,
    "mamba2": LayerKind.STATE,
    "conv": LayerKind.STATE,
    "kda": LayerKind.STATE,
    "recurrent": LayerKind.STATE,
    "hybrid": LayerKind.BOTH,
    "moe": LayerKind.NOTHING,
    "mlp": LayerKind.NOTHING,
    "none": LayerKind.NOTHING,
}
_LETTERS = {
    "linear_attention": "M",
    "mamba": "M",
    "mamba2": "M",
    "full_attention": "*",
    "attention": "*",
    "moe": "E",
    "mlp": "-",
}
_OF_LETTER = {
    "*": LayerKind.FULL,
    "M": LayerKind.STATE,
    "-": LayerKind.NOTHING,
    "E": LayerKind.NOTHING,
}


def letters_of(fields: Fields) -> str:
    """Return a pattern whose layers are each a mixer or a feed-forward (Nemotron-H), in letters.

    ``M`` is a state, ``*`` attention, ``-`` a dense MLP, ``E`` experts; empty for the usual
    layers, which hold a mixer and a feed-forward.
    """
    named = fields.text("hybrid_override_pattern")
    listed = tuple(str(name) for name in fields.items("layers_block_type", "layer_types"))
    if named or not {"moe", "mlp"} & set(listed):
        return named
    return "".join(_LETTERS.get(name, "?") for name in listed)


def layer_count(fields: Fields) -> int:
    """Return the number of layers, which a pattern may give.

    Raises:
        InputError: More than any model has.
    """
    implied = len(letters_of(fields)) or None
    return fields.layers("num_hidden_layers", default=implied)


def layers_of(fields: Fields, traits: Family) -> tuple[tuple[LayerKind, ...], str]:
    """Return the kind of every layer, and the name of one the plan does not know.

    A layer of an unknown kind counts as full attention, which keeps the most.

    Raises:
        InputError: A list that is longer or shorter than the layers.
    """
    count = layer_count(fields)
    if traits.twice and count == fields.maybe("num_layers"):
        count *= 2
    letters = letters_of(fields)
    listed: tuple[Any, ...] = tuple(letters) or fields.items("layer_types", "layers_block_type")
    if nas.is_variable(fields) and len(nas.layers(fields)) == count:
        return nas.layers(fields), ""
    if not listed:
        return _derived(fields, traits, count), ""
    if len(listed) != count:
        reason = f"{len(listed)} layer types for {count} layers"
        raise fields.refused(reason)
    table = _OF_LETTER if letters else _NAMES
    strange = next((str(name) for name in listed if str(name) not in table), "")
    kinds = tuple(table.get(str(name), LayerKind.FULL) for name in listed)
    return kinds if strange else _windowed(kinds, fields), strange


def _windowed(kinds: tuple[LayerKind, ...], fields: Fields) -> tuple[LayerKind, ...]:
    """Return layers that slide as full ones where no window is set."""
    if window_of(fields):
        return kinds
    return tuple(LayerKind.FULL if kind is LayerKind.SLIDING else kind for kind in kinds)


def window_of(fields: Fields) -> int | None:
    """Return the tokens a sliding layer sees; None if no window is set."""
    return fields.maybe("sliding_window", "sliding_window_size", "local_attention")


def _derived(fields: Fields, traits: Family, count: int) -> tuple[LayerKind, ...]:
    """Return what vLLM makes of layers that the config does not name."""
    for rule in (_numbered, _by_state, _chunked):
        found = rule(fields, traits, count)
        if found is not None:
            return found
    slides = _SLIDING.get(traits.sliding, _never)
    if not window_of(fields):
        return (LayerKind.FULL,) * count
    return tuple(
        LayerKind.SLIDING if slides(fields, traits, index, count) else LayerKind.FULL
        for index in range(count)
    )


def _numbered(fields: Fields, traits: Family, count: int) -> tuple[LayerKind, ...] | None:
    """Read lists of numbers: which layers attend fully, counted from 0, or a 0/1 for each."""
    kda = fields.section("linear_attn_config")
    if kda.values:
        full = {int(one) - 1 for one in kda.items("full_attn_layers") if isinstance(one, int)}
        return _either(full, count, LayerKind.STATE)
    for key, other in (
        ("full_attn_idxs", LayerKind.STATE),
        ("attn_layer_indices", LayerKind.STATE),
    ):
        if fields.values.get(key) is not None and traits.state:
            return _either(set(map(str, fields.items(key))), count, other)
    attends = fields.items("attn_type_list")
    if len(attends) >= count:  # MiniMax: 0 is lightning attention
        marked = {index for index, one in enumerate(attends) if one != 0}
        return _either(marked, count, LayerKind.STATE if traits.state else LayerKind.FULL)
    slides = fields.items("hybrid_layer_pattern")
    if len(slides) < count:
        return None
    return _either(
        {index for index, one in enumerate(slides) if one != 1}, count, LayerKind.SLIDING
    )


def _either(full: set[Any], count: int, other: LayerKind) -> tuple[LayerKind, ...]:
    named = {str(one) for one in full}
    return tuple(LayerKind.FULL if str(index) in named else other for index in range(count))


def _by_state(fields: Fields, traits: Family, count: int) -> tuple[LayerKind, ...] | None:
    """Derive the layers of a model that keeps states."""
    if not traits.state:
        return None
    period = fields.maybe("attn_layer_period")
    if period:
        offset = fields.integer("attn_layer_offset", default=0)
        return _either({i for i in range(count) if i % period == offset}, count, LayerKind.STATE)
    step = fields.maybe("full_attention_interval", "layer_group_size")
    if step:
        return _either({i for i in range(count) if (i + 1) % step == 0}, count, LayerKind.STATE)
    if fields.values.get("mamba_d_ssm") is not None:
        return (LayerKind.BOTH,) * count
    return (LayerKind.STATE,) * count


def _chunked(fields: Fields, traits: Family, count: int) -> tuple[LayerKind, ...] | None:
    """Derive Llama 4's layers: those without rotary positions see everything."""
    if not traits.chunked or fields.maybe("attention_chunk_size") is None:
        return None
    rotary = fields.items("no_rope_layers")
    step = fields.number("no_rope_layer_interval", default=4)
    flags = rotary if len(rotary) == count else [(i + 1) % step for i in range(count)]
    return tuple(LayerKind.CHUNKED if one else LayerKind.FULL for one in flags)


def _never(fields: Fields, traits: Family, index: int, count: int) -> bool:
    return False


def _most(fields: Fields, traits: Family, index: int, count: int) -> bool:
    pattern = fields.values.get("sliding_window_pattern")
    if isinstance(pattern, str) and pattern:
        return pattern[index % len(pattern)] == "L"
    step = fields.maybe("sliding_window_pattern", "global_attn_every_n_layers")
    return (index + 1) % (step or traits.period) != 0


def _after(fields: Fields, traits: Family, index: int, count: int) -> bool:
    step = fields.maybe("global_attn_every_n_layers", "sliding_window_pattern")
    return index % (step or traits.period) != 0


def _switch(fields: Fields, traits: Family, index: int, count: int) -> bool:
    first = fields.integer("max_window_layers", default=count)
    return fields.flag("use_sliding_window") and index >= first


_SLIDING: Mapping[str, Callable[[Fields, Family, int, int], bool]] = {
    "set": lambda fields, traits, index, count: (
        fields.values.get("use_sliding_window") is not False
    ),
    "alternate": lambda fields, traits, index, count: index % 2 == 0,
    "most": _most,
    "after": _after,
    "switch": _switch,
}
