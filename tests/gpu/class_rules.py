"""What vLLM's classes refuse, told again without any code of the plan; for ``matrix``.

Rows: ``quant_method`` (with ModelOpt's algorithm) -> least capability up to a minor release of
vLLM, and the dtypes; names of classes without stages or adapters in 0.24 and what came later.

Sources: vLLM's class lines and ``get_min_capability`` / ``get_supported_act_dtypes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_LAST = 999
_LEAST: Mapping[str, tuple[tuple[int, int], ...]] = {
    # method: (last minor release, least capability), ...
    "fp8": ((13, 80), (_LAST, 75)),
    "modelopt FP8": ((26, 89), (_LAST, 80)),
    "modelopt NVFP4": ((8, 100), (13, 80), (_LAST, 75)),
    "modelopt MIXED_PRECISION": ((23, 89), (_LAST, 75)),
    "mxfp4": ((_LAST, 80),),
    "awq": ((_LAST, 75),),
    "gptq": ((_LAST, 60),),
    "bitsandbytes": ((_LAST, 70),),
}
_BRAIN_ONLY = ("mxfp4", "gpt_oss_mxfp4", "fp_quant", "modelopt MXFP8")
_WIDE = ("bitsandbytes", "torchao")
_WHOLE = {
    "Gemma3nForConditionalGeneration", "Phi4MMForCausalLM", "WhisperForConditionalGeneration",
    "BertModel", "ModernBertModel", "XLMRobertaModel", "Mamba2ForCausalLM",
}  # fmt: skip
"""Without ``SupportsPP`` in 0.24 and 0.33."""

_PLAIN: Mapping[str, int] = {
    "BertModel": 32, "DeepseekV4ForCausalLM": 29, "Starcoder2ForCausalLM": 25,
    "LlavaNextForConditionalGeneration": 29, "WhisperForConditionalGeneration": 18,
    "FalconForCausalLM": _LAST, "BloomForCausalLM": _LAST, "GPT2LMHeadModel": _LAST,
    "StableLmForCausalLM": _LAST, "Gemma3nForConditionalGeneration": _LAST,
    "KimiK25ForConditionalGeneration": _LAST, "MiMoV2FlashForCausalLM": _LAST,
}  # fmt: skip
"""Without ``SupportsLoRA`` before this minor release."""


def class_violations(
    config: Mapping[str, Any], capability: int, given: Mapping[str, Any], minor: int
) -> Iterator[str]:
    """Yield what a class refuses of arguments for vLLM 0.``minor``.

    Args:
        config: The checkpoint's config.json.
        capability: Of the card, times ten; 0 if it is not NVIDIA's.
        given: The arguments as vLLM's parser reads them.
        minor: Of vLLM's release.
    """
    name = str((config.get("architectures") or [""])[0])
    if int(given.get("pipeline_parallel_size") or 1) > 1 and name in _WHOLE:
        yield f"stages of {name}"
    if given.get("enable_lora") and minor < _PLAIN.get(name, 0):
        yield f"adapters of {name}"
    method, dtype = _method(config, given), str(given.get("dtype") or "auto")
    if method and capability:
        least = next((least for last, least in _LEAST.get(method, ()) if minor <= last), 0)
        if capability < least:
            yield f"{method} below {least}"
    if method and dtype not in ("auto", *_taken(method)):
        yield f"{method} in {dtype}"
    sparse = name.startswith(("DeepseekV32", "DeepseekV4", "GlmMoeDsa"))
    if sparse and capability and capability // 10 not in (9, 10, 12 if minor >= 24 else 10):
        yield f"sparse attention on {capability}"


def _taken(method: str) -> tuple[str, ...]:
    if method in _BRAIN_ONLY:
        return ("bfloat16",)
    return ("bfloat16", "float16", "float32") if method in _WIDE else ("bfloat16", "float16")


def _method(config: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    text = config.get("text_config") or {}
    section = config.get("quantization_config") or text.get("quantization_config") or {}
    if not section:
        return str(given.get("quantization") or "")
    method = str(section.get("quant_method") or "modelopt")
    return f"{method} {section.get('quant_algo')}" if method == "modelopt" else method
