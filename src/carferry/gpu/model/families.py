"""Every family the plan knows, and which decoder a wrapper holds if its config does not say."""

from __future__ import annotations

from collections.abc import Mapping

from carferry.gpu.model.decoders import DECODERS
from carferry.gpu.model.encoders import ENCODERS
from carferry.gpu.model.family import FORCED, Family

FAMILIES: Mapping[str, Family] = {**DECODERS, **ENCODERS}

INSIDE: Mapping[str, str] = {
    "aria": "aria_text",
    "cohere2_vision": "cohere2",
    "deepseek_vl_v2": "deepseek_v2",
    "ernie4_5_vl_moe": "ernie4_5_vl_moe_text",
    "exaone4_5": "exaone4",
    "gemma3": "gemma3_text",
    "gemma3n": "gemma3n_text",
    "gemma4": "gemma4_text",
    "gemma4_unified": "gemma4_unified_text",
    "glm4v": "glm4v_text",
    "glm46v": "glm4v_text",
    "glm4v_moe": "glm4v_moe_text",
    "glm_ocr": "glm_ocr_text",
    "granite_speech": "granite",
    "h2ovl_chat": "mistral",
    "idefics3": "llama",
    "interns1": "qwen3",
    "keye": "qwen3",
    "keye_vl1_5": "qwen3",
    "KeyeVL1_5": "qwen3",
    "Keye": "qwen3",
    "llama_nemotron_vl": "llama",
    "internvl": "qwen2",
    "internvl_chat": "qwen2",
    "kimi_k25": "deepseek_v3",
    "kimi_k3": "kimi_linear",
    "kimi_vl": "deepseek_v3",
    "lfm2_vl": "lfm2",
    "llama4": "llama4_text",
    "llava": "llama",
    "llava_next": "llama",
    "llava_next_video": "llama",
    "llava_onevision": "qwen2",
    "minicpmo": "qwen2",
    "minicpmv": "qwen2",
    "minimax_m3_vl": "minimax_m3_vl_text",
    "mistral3": "mistral",
    "mllama": "mllama_text_model",
    "nvlm_d": "qwen2",
    "NemotronH_Nano_VL_V2": "nemotron_h",
    "ovis": "qwen2",
    "ovis2_5": "qwen3",
    "ovis2_6": "qwen3",
    "ovis2_6_moe": "qwen3_moe",
    "phi4-siglip": "phi3",
    "paddleocr_vl": "ernie4_5",
    "paligemma": "gemma",
    "phi4-multimodal": "phi4mm",
    "pixtral": "mistral",
    "qwen2_5_omni": "qwen2_5_omni_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen2_audio": "qwen2",
    "qwen2_vl": "qwen2_vl_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen3_asr": "qwen3",
    "qwen3_omni_moe": "qwen3_omni_moe_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "skywork_chat": "qwen2",
    "smolvlm": "llama",
    "step3_vl": "step3_text",
    "step3p7": "step3p5",
    "ultravox": "llama",
    "voxtral": "llama",
}
"""The decoder of a wrapper, where a nested section gives no ``model_type`` of its own."""

_BY_ARCHITECTURE: Mapping[str, str] = {
    "BaiChuanForCausalLM": "baichuan",
    "BaichuanForCausalLM": "baichuan",
    "DeciLMForCausalLM": "nemotron-nas",
    "DeepseekV32ForCausalLM": "deepseek_v32",
    "GteNewForSequenceClassification": "gte",
    "GteNewModel": "gte",
    "LongcatFlashForCausalLM": "longcat_flash",
    "MiniMaxText01ForCausalLM": "minimax_text_01",
    "NewForSequenceClassification": "gte",
    "NewModel": "gte",
    "Qwen2VLForConditionalGeneration": "qwen2_vl",
    "StableLMEpochForCausalLM": "stablelm",
}
"""Whose configs give no ``model_type``, or one that others use as well."""


def known_type(model_type: str, architecture: str) -> str:
    """Return the name of the family a config is of; what it calls itself if there is none."""
    if model_type in FAMILIES:
        return model_type
    if model_type in INSIDE:
        return INSIDE[model_type]
    return _BY_ARCHITECTURE.get(architecture, model_type)


__all__ = ["FAMILIES", "FORCED", "INSIDE", "Family", "known_type"]
