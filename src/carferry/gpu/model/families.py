"""The model families the plan knows: what config.json leaves out about each.

Defaults are what transformers' config classes assume when a key is absent; traits are what
vLLM's model code builds. A family that is not here is refused, unless the caller forces one.

Sources: transformers 5.23 ``models/*/configuration_*.py``; vLLM 0.33 ``model_executor/models``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Family:
    """How one ``model_type`` is built.

    Attributes:
        sliding: Which layers slide when the config lists none: ``set`` (all, if a window is
            set), ``alternate`` (even layers), ``sixth`` (all but each sixth), ``switch``
            (those from max_window_layers on, if use_sliding_window) or ``never``.
        norms: Norm vectors per layer, in units of the hidden width.
        output_gate: Queries come with a gate of the same width.
        state: ``mamba`` or ``delta`` if layers keep a recurrent state.
        offset: Positions the embedding table keeps for padding; no token can use them.
        copies_kv: KV heads may be copied to more ranks than there are heads.
    """

    defaults: Mapping[str, object] = field(default_factory=dict)
    sliding: str = "never"
    gated: bool = True
    bias: bool = False
    norms: int = 2
    output_gate: bool = False
    state: str = ""
    pooling: bool = False
    pipeline: bool = True
    copies_kv: bool = True
    offset: int = 0


_GEMMA = {"head_dim": 256, "tie_word_embeddings": True, "num_attention_heads": 8}
_GEMMA_KV = {"num_key_value_heads": 4, "max_position_embeddings": 131072}
_GEMMA3 = {**_GEMMA, **_GEMMA_KV, "vocab_size": 262208, "sliding_window": 4096}
_GEMMA3_SIZE = {"hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26}
_MISTRAL = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
_LINEAR = {
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "full_attention_interval": 4,
    "head_dim": 256,
}
_BERT = {"max_position_embeddings": 512, "type_vocab_size": 2, "tie_word_embeddings": True}

_LLAMA = Family()
_QWEN2 = Family(sliding="switch", bias=True, defaults={"sliding_window": 4096})
_QWEN3 = Family(sliding="switch", defaults={"head_dim": 128})
_QWEN_STATE = Family(defaults=_LINEAR, state="delta", output_gate=True)
_QWEN35 = Family(
    defaults={**_LINEAR, "mamba_ssm_dtype": "float32"}, state="delta", output_gate=True
)
_DEEPSEEK = Family(defaults={"q_lora_rank": None})
_ENCODER = Family(defaults=_BERT, gated=False, bias=True, norms=4, pooling=True)
_ROBERTA = replace(_ENCODER, offset=2)

FAMILIES: Mapping[str, Family] = {
    "llama": _LLAMA,
    "olmo2": Family(norms=2),
    "granite": _LLAMA,
    "granitemoe": _LLAMA,
    "granitemoehybrid": Family(
        defaults={"mamba_d_conv": 4, "mamba_n_groups": 1, "shared_intermediate_size": 1024},
        state="mamba",
    ),
    "mistral": Family(sliding="set", defaults=_MISTRAL),
    "mixtral": Family(sliding="set", defaults={"num_key_value_heads": 8}),
    "phi3": Family(sliding="set"),
    "glm4": Family(bias=True, norms=4),
    "qwen2": _QWEN2,
    "qwen2_moe": _QWEN2,
    "qwen2_5_vl": _QWEN2,
    "qwen2_5_vl_text": _QWEN2,
    "qwen3": _QWEN3,
    "qwen3_moe": _QWEN3,
    "qwen3_vl": _QWEN3,
    "qwen3_vl_moe": _QWEN3,
    "qwen3_vl_text": _QWEN3,
    "qwen3_vl_moe_text": _QWEN3,
    "qwen3_next": _QWEN_STATE,
    "qwen3_5": _QWEN35,
    "qwen3_5_text": _QWEN35,
    "qwen3_5_moe": _QWEN35,
    "qwen3_5_moe_text": _QWEN35,
    "gemma2": Family(sliding="alternate", norms=4, defaults={**_GEMMA, "sliding_window": 4096}),
    "gemma3": Family(sliding="sixth", norms=4, defaults={**_GEMMA3, **_GEMMA3_SIZE}),
    "gemma3_text": Family(sliding="sixth", norms=4, defaults={**_GEMMA3, **_GEMMA3_SIZE}),
    "gemma4": Family(sliding="sixth", norms=4, defaults={**_GEMMA3, "vocab_size": 262144}),
    "gemma4_text": Family(sliding="sixth", norms=4, defaults={**_GEMMA3, "vocab_size": 262144}),
    "gpt_oss": Family(sliding="alternate", bias=True, defaults={"head_dim": 64}, copies_kv=False),
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK,
    "kimi_k2": _DEEPSEEK,
    "nemotron_h": Family(gated=False, norms=1, state="mamba"),
    "llava": _LLAMA,
    "llava_next": _LLAMA,
    "mistral3": _LLAMA,
    "pixtral": _LLAMA,
    "whisper": Family(gated=False, bias=True, norms=6, pipeline=False),
    "bert": _ENCODER,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}

FORCED = "gqa"
"""What a user forces for an unknown architecture: a plain decoder with grouped attention."""
