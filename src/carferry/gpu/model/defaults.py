"""What config classes assume for keys that a nested section leaves out.

A wrapper's config is saved as the difference from its classes' defaults, so a ``text_config`` may
say hardly anything. Figures only, read from transformers 5.24 ``models/*/configuration_*.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

_COLUMNS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
)
_ROWS: Mapping[str, str] = {
    "llama": "4096 11008 32 32 - - 32000 2048 F",
    "mistral": "4096 14336 32 32 8 - 32000 131072 F",
    "ministral3": "4096 14336 34 32 8 128 131072 262144 F",
    "mixtral": "4096 14336 32 32 8 - 32000 131072 F",
    "qwen2": "4096 22016 32 32 32 - 151936 32768 F",
    "qwen2_vl_text": "8192 29568 80 64 8 - 152064 32768 -",
    "qwen2_5_vl_text": "8192 29568 80 64 8 - 152064 32768 -",
    "qwen2_5_omni_text": "3584 18944 28 28 4 - 152064 32768 T",
    "qwen3": "4096 22016 32 32 32 128 151936 32768 F",
    "qwen3_moe": "2048 6144 24 32 4 - 151936 32768 F",
    "qwen3_vl_text": "4096 22016 32 32 32 128 151936 128000 -",
    "qwen3_vl_moe_text": "2048 5632 24 16 16 - 151936 128000 T",
    "qwen3_omni_moe_text": "2048 18944 28 28 4 - 3584 32768 -",
    "qwen3_5_text": "4096 12288 32 16 4 256 248320 32768 F",
    "qwen3_5_moe_text": "2048 - 40 16 2 256 248320 32768 F",
    "gemma": "3072 24576 28 16 16 256 256000 8192 T",
    "gemma2": "2304 9216 26 8 4 256 256000 8192 T",
    "gemma3_text": "2304 9216 26 8 4 256 262208 131072 T",
    "gemma3n_text": "2048 16384 35 8 2 256 262400 32768 T",
    "gemma4_text": "2304 9216 30 8 4 256 262144 131072 T",
    "gemma4_unified_text": "2304 9216 30 8 4 256 262144 262144 T",
    "llama4_text": "5120 8192 48 40 8 128 202048 131072 F",
    "mllama_text_model": "4096 14336 40 32 8 - 128256 131072 F",
    "cohere2": "8192 22528 40 64 - - 256000 8192 T",
    "granite": "4096 11008 32 32 - - 32000 2048 F",
    "granitemoehybrid": "4096 11008 32 32 - - 32000 2048 F",
    "smollm3": "2048 11008 36 16 4 - 128256 32768 T",
    "deepseek_v2": "4096 11008 32 32 - - 102400 2048 F",
    "deepseek_v3": "7168 18432 61 128 128 - 129280 4096 F",
    "glm4v_text": "4096 13696 40 32 2 - 151552 32768 -",
    "glm4v_moe_text": "4096 10944 46 96 8 - 151424 65536 F",
    "glm_ocr_text": "1024 4096 16 16 8 - 59392 131072 -",
    "ernie4_5": "1024 3072 18 16 2 128 103424 131072 T",
    "ernie4_5_vl_moe_text": "2560 12288 28 20 4 - 103424 131072 T",
    "minimax_m3_vl_text": "6144 3072 60 64 4 128 200064 524288 F",
    "lfm2": "2560 12288 32 32 8 - 65536 128000 T",
    "aria_text": "4096 4096 32 32 - - 32000 2048 F",
    "exaone4": "4096 16384 32 32 32 - 102400 2048 F",
    "hunyuan_vl_text": "4096 11008 32 32 - - 290943 2048 T",
}
"""A row for each class: the columns above, then whether embeddings are tied; ``-`` if not set."""

_MORE: Mapping[str, Mapping[str, int]] = {
    "mistral": {"sliding_window": 4096},
    "mixtral": {"num_local_experts": 8, "num_experts_per_tok": 2},
    "qwen2": {"sliding_window": 4096},
    "qwen2_vl_text": {"sliding_window": 4096},
    "qwen2_5_vl_text": {"sliding_window": 4096},
    "qwen2_5_omni_text": {"sliding_window": 32768},
    "qwen3": {"sliding_window": 4096},
    "qwen3_moe": {
        "moe_intermediate_size": 768,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "sliding_window": 4096,
    },
    "qwen3_vl_moe_text": {
        "moe_intermediate_size": 1408,
        "num_experts": 60,
        "num_experts_per_tok": 4,
    },
    "qwen3_omni_moe_text": {
        "moe_intermediate_size": 768,
        "num_experts": 128,
        "num_experts_per_tok": 8,
    },
    "qwen3_5_moe_text": {
        "moe_intermediate_size": 512,
        "num_experts": 256,
        "num_experts_per_tok": 8,
        "shared_expert_intermediate_size": 512,
    },
    "gemma2": {"sliding_window": 4096},
    "gemma3_text": {"sliding_window": 4096},
    "gemma3n_text": {
        "sliding_window": 512,
        "num_kv_shared_layers": 15,
        "hidden_size_per_layer_input": 256,
        "vocab_size_per_layer_input": 262144,
    },
    "gemma4_text": {
        "sliding_window": 512,
        "num_kv_shared_layers": 0,
        "hidden_size_per_layer_input": 256,
        "vocab_size_per_layer_input": 262144,
    },
    "gemma4_unified_text": {"sliding_window": 1024, "num_kv_shared_layers": 0},
    "llama4_text": {
        "num_local_experts": 16,
        "num_experts_per_tok": 1,
        "intermediate_size_mlp": 16384,
    },
    "cohere2": {"sliding_window": 4096},
    "granitemoehybrid": {
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 1024,
    },
    "deepseek_v2": {
        "moe_intermediate_size": 1407,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "q_lora_rank": 1536,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
        "first_k_dense_replace": 0,
    },
    "deepseek_v3": {
        "moe_intermediate_size": 2048,
        "n_routed_experts": 256,
        "num_experts_per_tok": 8,
        "n_shared_experts": 1,
        "q_lora_rank": 1536,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
        "first_k_dense_replace": 3,
    },
    "glm4v_moe_text": {
        "moe_intermediate_size": 1408,
        "n_routed_experts": 128,
        "num_experts_per_tok": 8,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
    },
    "ernie4_5_vl_moe_text": {"moe_num_experts": 64},
    "minimax_m3_vl_text": {
        "num_local_experts": 128,
        "num_experts_per_tok": 4,
        "dense_intermediate_size": 12288,
        "shared_intermediate_size": 3072,
    },
    "lfm2": {"conv_L_cache": 3},
    "aria_text": {"moe_num_experts": 8},
    "exaone4": {"sliding_window": 4096},
}


def class_defaults(model_type: str) -> dict[str, object]:
    """Return the keys that a class of this ``model_type`` gives a value; none for others."""
    if model_type not in _ROWS:
        return {}
    *sizes, tied = _ROWS[model_type].split()
    numbers = {name: int(size) for name, size in zip(_COLUMNS, sizes, strict=True) if size != "-"}
    ties: dict[str, object] = {} if tied == "-" else {"tie_word_embeddings": tied == "T"}
    return {**numbers, **ties, **_MORE.get(model_type, {})}
