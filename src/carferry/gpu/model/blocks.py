"""What the decoder's layers are made of: kinds of layers, heads, states and experts.

Sources: vLLM 0.33 ``config/model.py`` (layer types) and ``model_executor/models``; transformers
config classes for the names of the fields.
"""

from __future__ import annotations

from carferry.errors import InputError, UnsupportedModel
from carferry.gpu.model.families import Family
from carferry.gpu.model.fields import Fields
from carferry.gpu.model.shape import Experts, Heads, Latent, LayerKind, RecurrentState

_MOST_LAYERS = 1024
_NAMES = {
    "full_attention": LayerKind.FULL,
    "attention": LayerKind.FULL,
    "sliding_attention": LayerKind.SLIDING,
    "linear_attention": LayerKind.STATE,
    "mamba": LayerKind.STATE,
}
_LETTERS = {
    "*": LayerKind.FULL,
    "M": LayerKind.STATE,
    "-": LayerKind.NOTHING,
    "E": LayerKind.NOTHING,
}


def heads_of(fields: Fields) -> Heads:
    """Return the attention heads; a width the config leaves out is hidden / heads."""
    query = fields.number("num_attention_heads")
    kv = fields.number("num_key_value_heads", default=query)
    dim = fields.maybe("head_dim", "attention_head_dim")
    return Heads(query, kv, dim or fields.number("hidden_size") // query or 1)


def global_heads(fields: Fields, heads: Heads) -> Heads | None:
    """Return the heads of full-attention layers; None if they do not differ (only Gemma 4's do)."""
    dim = fields.maybe("global_head_dim")
    if dim is None:
        return None
    return Heads(heads.query, fields.number("num_global_key_value_heads", default=heads.kv), dim)


def layer_count(fields: Fields, key: str = "num_hidden_layers") -> int:
    """Return the number of layers.

    Raises:
        InputError: More than any model has.
    """
    count = fields.number(key)
    if count > _MOST_LAYERS:
        raise InputError("read config", fields.subject, f"{key} is {count}, over {_MOST_LAYERS}")
    return count


def layers_of(fields: Fields, traits: Family) -> tuple[LayerKind, ...]:
    """Return the kind of every layer, as listed or as vLLM derives it.

    Raises:
        InputError: A list that is longer or shorter than the layers.
        UnsupportedModel: A kind of layer the plan does not know.
    """
    count = layer_count(fields)
    listed = fields.items("layer_types", "layers_block_type")
    letters = fields.text("hybrid_override_pattern")
    if letters:
        listed, table = tuple(letters), _LETTERS
    else:
        table = _NAMES
    if not listed:
        return tuple(_derived(index, count, fields, traits) for index in range(count))
    if len(listed) != count:
        reason = f"{len(listed)} layer types for {count} layers"
        raise InputError("read config", fields.subject, reason, "take config.json from the hub")
    unknown = next((name for name in listed if str(name) not in table), None)
    if unknown is not None:
        raise UnsupportedModel("plan model", fields.subject, f"unknown layer type {unknown!r}")
    return tuple(table[name] for name in listed)


def _derived(index: int, count: int, fields: Fields, traits: Family) -> LayerKind:
    """Return what vLLM makes of a layer that the config does not name."""
    if traits.state == "delta":
        step = fields.number("full_attention_interval")
        return LayerKind.FULL if (index + 1) % step == 0 else LayerKind.STATE
    step = fields.maybe("sliding_window_pattern") or 6
    slides = {
        "set": True,
        "alternate": index % 2 == 0,
        "sixth": (index + 1) % step != 0,
        "switch": fields.flag("use_sliding_window")
        and index >= fields.number("max_window_layers", default=count),
    }.get(traits.sliding, False)
    return LayerKind.SLIDING if slides and fields.maybe("sliding_window") else LayerKind.FULL


def latent_of(fields: Fields) -> Latent | None:
    """Return the latent attention; None if keys and values are cached whole."""
    rank = fields.maybe("kv_lora_rank")
    if rank is None:
        return None
    return Latent(
        kv_rank=rank,
        rope=fields.number("qk_rope_head_dim"),
        nope=fields.number("qk_nope_head_dim"),
        value=fields.number("v_head_dim"),
        query_rank=fields.maybe("q_lora_rank"),
    )


def state_of(fields: Fields, traits: Family) -> RecurrentState | None:
    """Return the recurrent state of hybrid layers; None for a pure attention model."""
    if traits.state == "delta":
        return RecurrentState(
            heads=fields.number("linear_num_value_heads"),
            head_dim=fields.number("linear_value_head_dim"),
            groups=fields.number("linear_num_key_heads"),
            size=fields.number("linear_key_head_dim"),
            kernel=fields.number("linear_conv_kernel_dim"),
            delta=True,
            dtype=fields.text("mamba_ssm_dtype"),
        )
    if traits.state != "mamba" or not _has_state(fields):
        return None
    return RecurrentState(
        heads=fields.number("mamba_n_heads", "mamba_num_heads"),
        head_dim=fields.number("mamba_d_head", "mamba_head_dim"),
        groups=fields.number("mamba_n_groups", "n_groups"),
        size=fields.number("mamba_d_state", "ssm_state_size"),
        kernel=fields.number("mamba_d_conv", "conv_kernel"),
        delta=False,
        dtype=fields.text("mamba_ssm_cache_dtype"),
        chunk=fields.number("mamba_chunk_size", "chunk_size", default=256),
    )


def _has_state(fields: Fields) -> bool:
    listed = fields.items("layer_types", "layers_block_type")
    return "mamba" in listed or "M" in fields.text("hybrid_override_pattern")


def experts_of(fields: Fields, kind: str, layers: tuple[LayerKind, ...]) -> Experts | None:
    """Return the routed experts; None for a dense model."""
    count = fields.maybe("num_local_experts", "n_routed_experts", "num_experts")
    if count is None or (kind.startswith("gemma4") and not fields.flag("enable_moe_block")):
        return None
    width = fields.number("moe_intermediate_size", "intermediate_size")
    shared = fields.maybe(
        "shared_intermediate_size",
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
    )
    if shared is None:
        shared = width * (fields.maybe("n_shared_experts") or 0)
    return Experts(
        count=count,
        active=fields.number("num_experts_per_tok", "top_k_experts", default=1),
        intermediate=width,
        shared=shared,
        layers=_expert_layers(fields, layers),
    )


def _expert_layers(fields: Fields, layers: tuple[LayerKind, ...]) -> int:
    letters = fields.text("hybrid_override_pattern")
    if letters:
        return letters.count("E")
    first = fields.maybe("first_k_dense_replace") or 0
    dense = fields.items("mlp_only_layers")
    step = fields.maybe("decoder_sparse_step", "moe_layer_freq") or 1
    return sum(
        index >= first and index not in dense and (index + 1) % step == 0
        for index in range(len(layers))
    )


def dense_layers(
    fields: Fields, kind: str, layers: tuple[LayerKind, ...], experts: Experts | None
) -> int:
    """Count the layers with a dense MLP of ``intermediate`` width."""
    letters = fields.text("hybrid_override_pattern")
    if letters:
        return letters.count("-")
    if experts is None or kind.startswith("gemma4"):
        return len(layers)
    return len(layers) - experts.layers
