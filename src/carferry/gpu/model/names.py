"""Other names of the fields of config.json, and stand-ins for those a config does not give.

Sources: ``attribute_map`` of transformers 5.24's config classes; vLLM 0.33
``transformers_utils/config.py`` (CONFIG_FIELD_ALIASES).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "hidden_size": ("n_embd", "d_model", "dim"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers", "decoder_layers"),
    "num_attention_heads": ("n_head", "n_heads", "num_heads", "decoder_attention_heads"),
    "num_key_value_heads": (
        "n_head_kv",
        "num_kv_heads",
        "multi_query_group_num",
        "num_attention_groups",
        "num_query_groups",
    ),
    "intermediate_size": ("n_inner", "ffn_dim", "ffn_hidden_size", "hidden_dim", "d_ff"),
    "head_dim": ("attention_head_dim", "hidden_size_per_head", "kv_channels"),
    "vocab_size": ("padded_vocab_size", "n_vocab"),
    "max_position_embeddings": (
        "n_positions",
        "model_max_length",
        "max_seq_len",
        "max_sequence_length",
        "seq_length",
        "max_position_embedding",
        "max_target_positions",
    ),
    "num_experts_per_tok": (
        "num_experts_per_token",
        "top_k_experts",
        "moe_topk",
        "moe_top_k",
        "moe_k",
        "num_experts_per_topk",
    ),
    "moe_intermediate_size": ("expert_ffn_hidden_size", "moe_ffn_hidden_size"),
}
_STAND_INS: Mapping[str, object] = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
}
"""A 7B decoder: what an unknown architecture is taken for where its config says nothing."""

_HEAD = 128
"""Width of a head where only that of all is known; the cache depends on all alone."""


def plain(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section's fields that are set, each under its common name too."""
    known = {str(key): value for key, value in section.items() if value is not None}
    for name, others in _ALIASES.items():
        found = next((known[other] for other in others if other in known), None)
        if name not in known and found is not None:
            known[name] = found
    return known


def with_stand_ins(
    fields: Mapping[str, Any], measured: Mapping[str, int]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return fields that can be planned, and the names of those that were made up.

    Only for an architecture the plan does not know, whose config may use any name.

    Args:
        fields: What the config says.
        measured: What the headers say of sizes; it counts where the config says nothing.
    """
    told = {**measured, **_heads(fields, measured)}
    lacking = {
        name: size
        for name, size in told.items()
        if _is_count(size) and not _is_count(fields.get(name))
    }
    fields = {**fields, **lacking}
    missing = tuple(name for name in _STAND_INS if not _is_count(fields.get(name)))
    whole = {**fields, **{name: _STAND_INS[name] for name in missing}}
    if not _is_count(whole.get("intermediate_size")):
        whole["intermediate_size"] = 4 * whole["hidden_size"]
    return whole, missing


def _heads(fields: Mapping[str, Any], measured: Mapping[str, int]) -> dict[str, int]:
    """Return the widths of all queries and keys as heads; nothing if they do not come out even."""
    queries, keys = measured.get("query_width", 0), measured.get("key_width", 0)
    width, count = fields.get("head_dim"), fields.get("num_attention_heads")
    dim = _HEAD
    if isinstance(width, int) and _is_count(width):
        dim = width
    elif isinstance(count, int) and _is_count(count):
        dim = max(queries // count, 1)
    if not keys or queries % dim or keys % dim or queries % keys:
        return {}
    heads = queries // dim, keys // dim
    return {"head_dim": dim, "num_attention_heads": heads[0], "num_key_value_heads": heads[1]}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
