"""The vLLM releases with a model's class: the first, where no other can run it, and the last.

A plain decoder, dense or of experts, runs through vLLM's Transformers classes if it has none of its
own; those with recurrent layers, latent or sparse attention do not, and are named here. An
encoder-decoder does not either.

Source: ``model_executor/models/registry.py`` of every minor release from 0.8 to 0.33; for the last
release, its ``_PREVIOUSLY_SUPPORTED_MODELS``, save those that transformers has a class for, which
vLLM runs through its Transformers classes.
"""

from __future__ import annotations

from collections.abc import Mapping

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.vllm.releases import Release, VllmVersion

_CLASSES: Mapping[Release, tuple[str, ...]] = {
    (0, 9, 0): ("FalconH1ForCausalLM", "GraniteMoeHybridForCausalLM"),
    (0, 9, 1): ("NemotronHForCausalLM",),
    (0, 9, 2): ("MiniMaxM1ForCausalLM",),
    (0, 10, 0): ("MiniMaxForCausalLM", "Phi4FlashForCausalLM"),
    (0, 10, 2): ("Lfm2ForCausalLM", "NemotronH_Nano_VL", "Qwen3NextForCausalLM"),
    (0, 11, 0): ("DeepseekV32ForCausalLM", "LongcatFlashForCausalLM", "NemotronH_Nano_VL_V2"),
    (0, 11, 1): ("KimiLinearForCausalLM", "Lfm2MoeForCausalLM"),
    (0, 12, 0): ("MistralLarge3ForCausalLM",),
    (0, 14, 0): ("Lfm2VlForConditionalGeneration",),
    (0, 15, 0): (
        "Glm4MoeLiteForCausalLM",
        "GlmMoeDsaForCausalLM",
        "KimiK25ForConditionalGeneration",
        "NemotronHPuzzleForCausalLM",
    ),
    (0, 17, 0): (
        "AXK1ForCausalLM",
        "BailingMoeV2_5ForCausalLM",
        "Qwen3_5ForConditionalGeneration",
        "Qwen3_5MoeForConditionalGeneration",
    ),
    (0, 18, 0): ("OlmoHybridForCausalLM", "SarvamMLAForCausalLM"),
    (0, 20, 0): ("DeepseekV4ForCausalLM", "NemotronH_Nano_Omni_Reasoning_V3"),
    (0, 23, 0): ("Step3p7ForConditionalGeneration",),
    (0, 24, 0): ("MiniMaxM3SparseForCausalLM", "MiniMaxM3SparseForConditionalGeneration"),
    (0, 27, 0): (
        "KimiK3ForConditionalGeneration",
        "Qwen3_5ForCausalLM",
        "Qwen3_5MoeForCausalLM",
    ),
    (0, 28, 0): ("BailingMoeV3ForCausalLM",),
    (0, 29, 0): ("Qwen4ExpForCausalLM", "Qwen4ExpForConditionalGeneration"),
    (0, 30, 0): (
        "DeepseekV41ForCausalLM",
        "DeepseekV4ForConditionalGeneration",
        "Glm5NextForCausalLM",
        "Glm5NextForConditionalGeneration",
    ),
}
_FIRST = {name: release for release, names in _CLASSES.items() for name in names}

_LAST: Mapping[Release, tuple[str, ...]] = {
    (0, 9, 2): ("Phi3SmallForCausalLM",),
    (0, 10, 2): (
        "BartForConditionalGeneration",
        "BartModel",
        "DonutForConditionalGeneration",
        "Florence2ForConditionalGeneration",
        "MBartForConditionalGeneration",
        "MllamaForConditionalGeneration",
        "MotifForCausalLM",
        "Phi4FlashForCausalLM",
    ),
    (0, 22, 1): ("JAISLMHeadModel",),
    (0, 23, 0): (
        "BaiChuanForCausalLM",
        "BaichuanForCausalLM",
        "BambaForCausalLM",
        "InternLM2VEForCausalLM",
        "InternLMForCausalLM",
        "MiniMaxForCausalLM",
        "MiniMaxM1ForCausalLM",
        "MiniMaxText01ForCausalLM",
        "MiniMaxVL01ForConditionalGeneration",
        "QWenLMHeadModel",
        "QwenVLForConditionalGeneration",
        "XverseForCausalLM",
    ),
    (0, 24, 0): (
        "AquilaForCausalLM",
        "AquilaModel",
        "Grok1ForCausalLM",
        "Grok1ModelForCausalLM",
        "MantisForConditionalGeneration",
    ),
    (0, 25, 0): ("TeleChatForCausalLM",),
    (0, 26, 0): ("OuroForCausalLM", "Plamo2ForCausalLM"),
    (0, 28, 0): (
        "ArcticForCausalLM",
        "HCXVisionForCausalLM",
        "RWForCausalLM",
        "StableLMEpochForCausalLM",
    ),
}
_ENDED = {name: release for release, names in _LAST.items() for name in names}


def first_release(shape: ModelShape) -> Release | None:
    """Return the first release that can run a model; None if any known one may."""
    return _FIRST.get(shape.architecture)


def architecture_reason(shape: ModelShape, gpu: Gpu, version: VllmVersion) -> str:
    """Return why a release cannot run a model: its class came later or is gone; empty if it can.

    Images for other vendors' GPUs are built from forks that may be a minor release ahead.
    """
    last = _ENDED.get(shape.architecture)
    if last and version.release and version.release[:2] > last[:2]:
        left = ".".join(map(str, last))
        return f"vLLM {version.dated} no longer has {shape.architecture}: {left} was the last"
    first = first_release(shape)
    if first is None or version.release is None:
        return ""
    major, minor, patch = version.release
    ahead = (major, minor, patch) if gpu.vendor == "nvidia" else (major, minor + 1, 99)
    if first <= ahead:
        return ""
    came = ".".join(map(str, first))
    return f"vLLM {version.dated} has no {shape.architecture}: it came with {came}"
