"""What the decoder's attention and dense layers are made of: heads, ranks and widths.

Sources: vLLM 0.33 ``model_executor/models``, ``transformers_utils/model_arch_config_convertor.py``
(heads); transformers 5.24 config classes for the names of the fields.
"""

from __future__ import annotations

from carferry.gpu.model import nas
from carferry.gpu.model.family import Family
from carferry.gpu.shape.fields import Fields
from carferry.gpu.shape.shape import Heads, Latent, LayerKind


def heads_of(fields: Fields) -> Heads:
    """Return the attention heads; a width the config leaves out is hidden / heads."""
    if fields.values.get("state_size") is not None:  # Mamba: nothing attends
        return Heads(1, 1, 1)
    query = fields.number("num_attention_heads")
    dim = fields.maybe("head_dim") or max(fields.number("hidden_size") // query, 1)
    latent = fields.maybe("kv_lora_rank") is not None
    return Heads(
        query,
        _kv_heads(fields, query),
        dim,
        0 if latent else _other(fields.maybe("v_head_dim"), dim),
        0 if latent else fields.maybe("q_lora_rank", "share_q_dim") or 0,
        fields.maybe("o_lora_rank") or 0,
        fields.maybe("o_groups") or 0,
    )


def _other(width: int | None, dim: int) -> int:
    return 0 if width is None or width == dim else width


def _kv_heads(fields: Fields, query: int) -> int:
    grouped = nas.kv_heads(fields, query)
    if grouped:
        return grouped
    old = not fields.flag("new_decoder_architecture")
    if fields.flag("multi_query") and old:
        return 1
    inside = fields.section("attn_config").maybe("kv_n_heads")
    return inside or fields.number("num_key_value_heads", default=query)


def sliding_heads(fields: Fields, heads: Heads) -> Heads:
    """Return the heads of sliding layers, where a model gives them others (MiMo V2, Step 3.5)."""
    other = fields.section("attention_other_setting")
    if other.values:
        query = other.number("num_attention_heads", default=heads.query)
        kv = other.number("num_attention_groups", "num_key_value_heads", default=heads.kv)
        return Heads(query, kv, other.number("head_dim", default=heads.dim))
    return Heads(
        fields.number(
            "swa_num_attention_heads", "num_sliding_attention_heads", default=heads.query
        ),
        fields.number("swa_num_key_value_heads", default=heads.kv),
        fields.number("swa_head_dim", default=heads.dim),
        _other(fields.maybe("swa_v_head_dim"), heads.dim) or heads.value,
        heads.query_rank,
        heads.out_rank,
        heads.out_groups,
    )


def global_heads(fields: Fields, heads: Heads, sliding: Heads) -> Heads | None:
    """Return the heads of full-attention layers; None if they are those of sliding ones."""
    dim = fields.maybe("global_head_dim")
    if dim is not None:
        return Heads(
            heads.query, fields.number("num_global_key_value_heads", default=heads.kv), dim
        )
    return None if heads == sliding else heads


def latent_of(fields: Fields, traits: Family) -> Latent | None:
    """Return the latent attention; None if keys and values are projected at once."""
    rank = fields.maybe("kv_lora_rank")
    if rank is None:
        return None
    return Latent(
        kv_rank=rank,
        rope=fields.integer("qk_rope_head_dim"),
        nope=fields.number("qk_nope_head_dim"),
        value=fields.number(
            "v_head_dim",
            default=max(fields.number("hidden_size") // fields.number("num_attention_heads"), 1),
        ),
        query_rank=fields.maybe("q_lora_rank"),
        expanded=traits.expanded,
    )


def intermediate_of(fields: Fields, kind: str) -> int:
    """Return the width of the dense MLP, the widest one where layers differ."""
    widths = _width_list(fields)
    if widths:
        return max(widths)
    if nas.is_variable(fields):
        return max((*nas.mlp_widths(fields), 1))
    if kind == "granitemoehybrid" and fields.maybe("num_local_experts") is None:
        return fields.number("shared_intermediate_size")
    wide = fields.maybe("intermediate_size_mlp", "dense_intermediate_size", "block_ff_dim")
    wide = wide or fields.maybe("intermediate_size", "moe_intermediate_size")
    wide = wide or fields.section("ffn_config").maybe("ffn_hidden_size")
    return _adjusted(fields, wide or 4 * fields.number("hidden_size"))


def mlp_widths(fields: Fields, layers: tuple[LayerKind, ...], intermediate: int) -> int:
    """Return the sum of the dense MLPs' widths where layers differ; 0 if they do not."""
    widths = _width_list(fields)
    if widths:
        return sum((widths * len(layers))[: len(layers)])
    if nas.is_variable(fields):
        return sum(nas.mlp_widths(fields))
    if fields.flag("use_double_wide_mlp"):
        shared = min(fields.maybe("num_kv_shared_layers") or 0, len(layers))
        return intermediate * (len(layers) + shared)
    return 0


def _width_list(fields: Fields) -> tuple[int, ...]:
    listed = fields.values.get("intermediate_size")
    if not isinstance(listed, list) or not listed:
        return ()
    return tuple(fields.with_({"width": one}).number("width") for one in listed)


def _adjusted(fields: Fields, width: int) -> int:
    """Return LFM2's width: two thirds of what it says, in whole multiples."""
    if not fields.flag("block_auto_adjust_ff_dim"):
        return width
    step = fields.number("block_multiple_of", default=256)
    factor = fields.values.get("block_ffn_dim_multiplier")
    scaled = 2 * width // 3
    if isinstance(factor, int | float) and 0 < factor < 16:
        scaled = int(factor * scaled)
    return step * -(-scaled // step)
