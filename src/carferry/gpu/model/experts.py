"""Routed experts: how many, how wide, in which layers, under the names that models use.

Sources: vLLM 0.33 ``model_executor/models`` (which layers are sparse) and
``transformers_utils/config.py`` (CONFIG_FIELD_ALIASES).
"""

from __future__ import annotations

from typing import Any

from carferry.gpu.model.family import Family
from carferry.gpu.model.layers import letters_of
from carferry.gpu.shape.fields import Fields
from carferry.gpu.shape.shape import Experts, LayerKind

_COUNTS = (
    "num_local_experts",
    "n_routed_experts",
    "num_experts",
    "moe_num_experts",
    "num_moe_experts",
)
_WIDTHS = ("moe_intermediate_size", "intermediate_size")
_SHARED_WIDTHS = (
    "shared_intermediate_size",
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "share_expert_dim",
)
_SHARED_COUNTS = (
    "n_shared_experts",
    "num_shared_experts",
    "num_shared_expert",
    "moe_num_shared_experts",
)


def experts_of(
    fields: Fields, kind: str, traits: Family, layers: tuple[LayerKind, ...]
) -> Experts | None:
    """Return the routed experts; None for a dense model."""
    held = _firsts(fields)
    count = held.maybe(*_COUNTS) or held.section("ffn_config").maybe("moe_num_experts")
    if not count or count == 1 or (_is_gemma4(kind) and not fields.flag("enable_moe_block")):
        return None
    sparse = len(sparse_layers(fields, layers)) // (2 if traits.twice else 1)
    if not sparse:
        return None
    return Experts(
        count=count,
        active=held.maybe("num_experts_per_tok")
        or held.section("ffn_config").number("moe_top_k", default=1),
        intermediate=_width(held),
        shared=_shared(held, kind),
        layers=sparse,
        latent=held.maybe("moe_latent_size", "routed_expert_hidden_size") or 0,
    )


def dense_layers(
    fields: Fields,
    kind: str,
    traits: Family,
    layers: tuple[LayerKind, ...],
    experts: Experts | None,
) -> int:
    """Count the layers with a dense MLP of ``intermediate`` width."""
    letters = letters_of(fields)
    if letters:
        return letters.count("-")
    if experts is None or _is_gemma4(kind) or traits.twice:
        return len(layers)
    return len(layers) - experts.layers


def sparse_layers(fields: Fields, layers: tuple[LayerKind, ...]) -> tuple[int, ...]:
    """Return the layers whose feed-forward is made of experts."""
    letters = letters_of(fields)
    if letters:
        return tuple(index for index, letter in enumerate(letters) if letter == "E")
    listed = _listed(fields, len(layers))
    if listed is not None:
        return listed
    return tuple(index for index in range(len(layers)) if _is_sparse(fields, index))


def _is_gemma4(kind: str) -> bool:
    return kind.startswith("gemma4")


def _firsts(fields: Fields) -> Fields:
    """Return the fields with the first of each list: Ernie and Hunyuan give one for each part."""
    names = (*_COUNTS, *_WIDTHS, *_SHARED_WIDTHS, *_SHARED_COUNTS, "num_experts_per_tok")
    firsts = {name: _first(fields.values[name]) for name in names if name in fields.values}
    each = fields.values.get("moe_intermediate_size")
    if isinstance(each, list) and each and all(type(one) is int for one in each):
        firsts["moe_intermediate_size"] = sum(each)  # Ernie VL: text and image experts
    return fields.with_({**fields.values, **firsts})


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _width(fields: Fields) -> int:
    inside = fields.section("ffn_config").maybe("ffn_hidden_size")
    return inside or fields.number(*_WIDTHS)


def _shared(fields: Fields, kind: str) -> int:
    """Return the width of all shared experts together."""
    if kind.startswith("llama4"):
        return fields.number("intermediate_size")
    named = fields.maybe(*_SHARED_WIDTHS)
    count = fields.maybe(*_SHARED_COUNTS) or 0
    if named is not None:
        per_expert = "moe_shared_expert_intermediate_size" in fields.values
        return named * (max(count, 1) if per_expert else 1)
    return fields.number(*_WIDTHS) * count if count else 0


def _listed(fields: Fields, count: int) -> tuple[int, ...] | None:
    """Return the sparse layers a config lists, in one of four ways; None if it lists none."""
    kinds = fields.items("mlp_layer_types")
    if kinds:
        return tuple(index for index, one in enumerate(kinds[:count]) if one != "dense")
    for key in ("moe_layer_freq", "is_moe_list"):
        each = fields.values.get(key)
        if isinstance(each, list):
            return tuple(index for index, one in enumerate(each[:count]) if one)
    numbers = fields.values.get("moe_layers", fields.values.get("moe_layers_enum"))
    if isinstance(numbers, str):
        numbers = numbers.split(",")
    if not isinstance(numbers, list | tuple):
        return None
    named = {str(one).strip() for one in numbers}
    return tuple(index for index in range(count) if str(index) in named)


def _is_sparse(fields: Fields, index: int) -> bool:
    period = fields.maybe("expert_layer_period")
    if period:
        return index % period == fields.integer("expert_layer_offset", default=0)
    first = fields.maybe(
        "first_k_dense_replace", "num_dense_layers", "moe_layer_num_skipped",
        "moe_layer_start_index", "n_dense_layers",
    ) or 0  # fmt: skip
    last = fields.integer("moe_layer_end_index", default=index, least=-1)
    dense = fields.items("mlp_only_layers")
    step = fields.maybe(
        "decoder_sparse_step", "moe_layer_freq", "interleave_moe_layer_step", "moe_layer_interval"
    )
    inside = index >= first and (last < 0 or index <= last) and index not in dense
    return inside and (index + 1) % (step or 1) == 0
