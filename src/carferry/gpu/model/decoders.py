"""Decoders by ``model_type``: the traits that their configs do not spell out.

Sources: transformers 5.24 ``models/*``; vLLM 0.33 ``model_executor/models`` and ``models``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from carferry.gpu.model.family import Family

_TIED = {"tie_word_embeddings": True}
_GEMMA = {"head_dim": 256, **_TIED}
_GEMMA3 = {**_GEMMA, "sliding_window": 4096}
_MISTRAL = {"num_key_value_heads": 8}
_LINEAR = {
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "full_attention_interval": 4,
    "head_dim": 256,
}

_LLAMA = Family()
_LATENT = Family(defaults={"q_lora_rank": None})
_QWEN2 = Family(sliding="switch", bias=True, defaults={"sliding_window": 4096})
_QWEN3 = Family(sliding="switch", defaults={"head_dim": 128})
_QWEN_STATE = Family(defaults=_LINEAR, state="delta", output_gate=True)
_QWEN35 = replace(_QWEN_STATE, defaults={**_LINEAR, "mamba_ssm_dtype": "float32"})
_GEMMA_LAYERS = Family(norms=4, sliding="most", defaults=_GEMMA3)
_OLD = Family(gated=False, bias=True, norms=4)
_GPT2 = replace(_OLD, learned=True, defaults=_TIED)
_MAMBA2 = {"mamba_d_conv": 4, "mamba_n_groups": 1}
_GLM = Family(bias=True)
_NORM4 = Family(norms=4)

DECODERS: Mapping[str, Family] = {
    **dict.fromkeys(
        (
            "llama", "granite", "granite_swa", "granitemoe", "granitemoe_swa",
            "granitemoeshared", "mistral3", "ministral3", "smollm3", "exaone", "arctic",
            "olmo2", "olmoe", "flex_olmo", "internlm", "internlm2", "internlm3", "baichuan",
            "aquila", "xverse", "orion", "solar", "teleflm", "telechat",
            "telechat2", "telechat3", "iquestcoder", "hyperclovax", "cwm", "bitnet", "helium",
            "ernie4_5", "ernie4_5_moe", "ernie4_5_vl_moe_text", "hunyuan", "hunyuan_v1_dense",
            "hunyuan_v1_moe", "hunyuan_vl_text", "hy_v3", "step3_text", "grok-1",
            "minimax_m2", "minimax_m3_vl_text", "dbrx", "phi3small", "plamo",
            "bailing_moe", "bailing_moe_v2", "aria_text", "deepseek",
            "mllama_text_model", "paddleocr_vl_text",
            "voxtral_realtime_text", "qwen3_moe",
            "molmo", "molmo2_text", "sarvam_moe", "mellum", "kolibri1", "llama_bidirec",
            "chameleon", "solar_open",
        ),
        _LLAMA,
    ),
    **dict.fromkeys(
        (
            "deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2", "glm4_moe_lite",
            "glm_moe_dsa", "mistral4", "youtu", "sarvam_mla", "axk1",
            "pangu_ultra_moe", "deepseek_vl_v2", "deepseek_mtp",
        ),
        _LATENT,
    ),
    **dict.fromkeys(("qwen2", "qwen2_moe", "qwen2_5_vl", "qwen2_5_vl_text", "qwen2_vl",
                     "qwen2_vl_text", "qwen2_5_omni_text", "qwen2_audio",
                     "mimo", "dots_ocr"), _QWEN2),
    **dict.fromkeys(("qwen3", "qwen3_vl", "qwen3_vl_moe", "qwen3_vl_text",
                     "qwen3_vl_moe_text"), _QWEN3),
    "qwen3_omni_moe_text": Family(),
    "qwen3_next": _QWEN_STATE,
    **dict.fromkeys(("qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"), _QWEN35),
    "mistral": Family(defaults=_MISTRAL),
    "ministral": Family(defaults=_MISTRAL),
    "mixtral": Family(defaults=_MISTRAL),
    **dict.fromkeys(("phi4mm", "phi4_multimodal"), replace(_LLAMA, pipeline=False)),
    "phi3": _LLAMA,
    "phi": replace(_OLD, norms=2),
    "phimoe": Family(bias=True, norms=4),
    "phi3_v": _LLAMA,
    "glm": _GLM,
    "glm4": replace(_GLM, norms=4),
    "glm4v_text": replace(_GLM, norms=4),
    "glm_ocr_text": _NORM4,
    "glm4_moe": Family(),
    "glm4v_moe_text": _GLM,
    "chatglm": Family(bias=True),
    "minicpm": Family(defaults=_TIED),
    "minicpm3": replace(_LATENT, expanded=True, defaults={"q_lora_rank": None, **_TIED}),
    "gemma": Family(defaults=_GEMMA),
    "gemma2": Family(sliding="alternate", norms=4, defaults={**_GEMMA, "sliding_window": 4096}),
    "vaultgemma": Family(sliding="alternate", norms=2, defaults=_GEMMA3),
    **dict.fromkeys(("gemma3", "gemma3_text"), _GEMMA_LAYERS),
    **dict.fromkeys(("gemma4", "gemma4_text", "gemma4_unified_text"),
                    replace(_GEMMA_LAYERS, more="layer_embeddings",
                            defaults={**_GEMMA3, "global_head_dim": 512})),
    **dict.fromkeys(("gemma3n", "gemma3n_text"),
                    replace(_GEMMA_LAYERS, period=5, more="gemma3n", pipeline=False,
                            defaults={**_GEMMA, "sliding_window": 512})),
    "gpt_oss": Family(sliding="alternate", bias=True, defaults={"head_dim": 64}, copies_kv=False),
    "cohere": Family(norms=1, defaults=_TIED),
    "cohere2": Family(norms=1, sliding="most", period=4, defaults=_TIED),
    "cohere2_moe": Family(norms=1, sliding="most", period=4, defaults=_TIED),
    "exaone4": Family(sliding="most", period=4),
    "exaone_moe": Family(sliding="most", period=4),
    "exaone4_5_text": Family(sliding="most", period=4),
    "olmo": Family(norms=0),
    "olmo3": Family(sliding="most", period=4),
    "afmoe": Family(norms=4, output_gate=True, sliding="most", period=4),
    "seed_oss": Family(bias=True),
    "starcoder2": Family(gated=False, bias=True, norms=4),
    "arcee": Family(gated=False),
    "apertus": Family(gated=False),
    "apertus1p5_text": Family(gated=False),
    "nemotron": Family(gated=False, norms=4),
    "persimmon": replace(_OLD),
    "stablelm": Family(norms=4),
    "gpt2": _GPT2,
    "gpt-sw3": _GPT2,
    "gpt_bigcode": _GPT2,
    "opt": replace(_GPT2, offset=0),
    "gpt_neox": _OLD,
    "gptj": Family(gated=False, norms=2),
    "bloom": replace(_OLD, defaults=_TIED),
    "mpt": Family(gated=False, norms=2, defaults=_TIED),
    **dict.fromkeys(("falcon", "RefinedWeb", "RefinedWebModel"),
                    Family(gated=False, norms=2, defaults=_TIED)),
    "dots1": Family(sliding="switch", defaults={"sliding_window": 4096}),
    "llama4": Family(chunked=True),
    "llama4_text": Family(chunked=True),
    "deepseek_v4": Family(sliding="never", more="joined"),
    "minimax_m3": _LLAMA,
    "longcat_flash": replace(_LATENT, twice=True),
    "mimo_v2": _LLAMA,
    "mimo_v2_flash": _LLAMA,
    "step3p5": Family(more="step3p5"),
    "laguna": Family(),
    "minimax": Family(state="lightning", more="lightning"),
    "minimax_m1": Family(state="lightning", more="lightning"),
    "minimax_text_01": Family(state="lightning", more="lightning"),
    "kimi_linear": replace(_LATENT, state="kda"),
    "bailing_hybrid": replace(_LATENT, state="kda"),
    "bailing_moe_linear": Family(state="lightning", more="lightning"),
    "nemotron_h": Family(gated=False, norms=1, state="mamba2"),
    "nemotron-nas": Family(),
    "granitemoehybrid": Family(
        defaults={**_MAMBA2, "shared_intermediate_size": 1024}, state="mamba2"
    ),
    "bamba": Family(defaults=_MAMBA2, state="mamba2"),
    "falcon_h1": Family(defaults=_MAMBA2, state="mamba2"),
    "plamo2": Family(defaults=_MAMBA2, state="mamba2", norms=4),
    "jamba": Family(state="mamba1"),
    **dict.fromkeys(("mamba", "falcon_mamba"), Family(state="mamba1", norms=1)),
    "mamba2": Family(state="mamba2", norms=1),
    "lfm2": Family(state="conv", defaults=_TIED),
    "lfm2_moe": Family(state="conv", defaults=_TIED),
    "olmo_hybrid": Family(defaults={"full_attention_interval": 4}, state="delta"),
}  # fmt: skip
