"""What vLLM's model classes can do: run in stages, and take adapters.

A class says so of itself by the interfaces it inherits; vLLM refuses ``--pipeline-parallel-size``
and ``--enable-lora`` for the others. Its Transformers classes have both.

Source: the class lines of ``model_executor/models`` and ``models``, inherited ones included, in
every minor release from 0.8.5 to 0.33.0: ``SupportsPP`` and ``SupportsLoRA``.
"""

from __future__ import annotations

from collections.abc import Mapping

from carferry.gpu.vllm.releases import Release, VllmVersion

_NEWEST: Release = (1 << 15, 0, 0)
NEVER: Release = (1 << 16, 0, 0)

_STAGED_SINCE: Mapping[Release, tuple[str, ...]] = {
    (0, 9, 1): ("Ovis",),
    (0, 10, 1): ("Plamo2ForCausalLM",),
    (0, 10, 2): (
        "GptOssForCausalLM", "HunYuanDenseV1ForCausalLM", "HunYuanMoEV1ForCausalLM",
        "KimiVLForConditionalGeneration",
    ),
    (0, 21, 0): ("DeepseekV4ForCausalLM",),
    (0, 25, 0): ("MiniMaxM3SparseForCausalLM", "MiniMaxM3SparseForConditionalGeneration"),
    NEVER: (
        "AliceAIForCausalLM", "AriaForConditionalGeneration", "BartForConditionalGeneration",
        "BartModel", "BertForMaskedLM", "BertForSequenceClassification",
        "BertForTokenClassification", "BertModel", "BertSpladeSparseEmbeddingModel",
        "BgeM3EmbeddingModel", "CLIPModel", "CohereAsrForConditionalGeneration",
        "ColBERTJinaRobertaModel", "ColBERTLfm2Model", "ColBERTModernBertModel",
        "ColModernVBertForRetrieval", "ColUltraVBertForRetrieval", "D3ForSequenceClassification",
        "DiffusionGemmaForBlockDiffusion", "DomynEdgeForCausalLM", "DonutForConditionalGeneration",
        "DoryForCausalLM", "EmbeddingGemma2Model", "ErnieForSequenceClassification",
        "ErnieForTokenClassification", "ErnieModel", "FireRedASR2ForConditionalGeneration",
        "FireRedLIDForConditionalGeneration", "Florence2ForConditionalGeneration",
        "FunASRForConditionalGeneration", "GPT2ForSequenceClassification", "Gemma3TextModel",
        "Gemma3nForCausalLM", "Gemma3nForConditionalGeneration", "GteModel",
        "GteNewForSequenceClassification", "GteNewModel", "HF_ColBERT", "HrmTextForCausalLM",
        "IQuestLoopCoderForCausalLM", "Idefics3ForConditionalGeneration", "JinaForRanking",
        "Lfm2BidirectionalModel", "LlamaBidirectionalForSequenceClassification",
        "LlamaBidirectionalModel", "MBartForConditionalGeneration", "Mamba2ForCausalLM",
        "MiniMaxForCausalLM", "MiniMaxM1ForCausalLM", "MiniMaxText01ForCausalLM",
        "MllamaForConditionalGeneration", "ModernBertForSequenceClassification",
        "ModernBertForTokenClassification", "ModernBertModel", "ModernVBertModel",
        "NemotronH_Nano_Omni_Reasoning_V3", "NemotronH_Nano_VL", "NemotronH_Nano_VL_V2",
        "NemotronH_Omni_Reasoning_V3", "NemotronH_Super_Omni_Reasoning_V3",
        "NemotronParseForConditionalGeneration", "NomicBertModel",
        "OpenAIPrivacyFilterForTokenClassification", "OuroForCausalLM",
        "PaddleOCRVLForConditionalGeneration", "Phi4FlashForCausalLM", "Phi4MMForCausalLM",
        "Phi4MultimodalForCausalLM", "PrithviGeoSpatialMAE", "RadioMBartPrefixForCausalLM",
        "RobertaForMaskedLM", "RobertaForSequenceClassification", "RobertaForTokenClassification",
        "RobertaModel", "SiglipModel", "SmolVLMForConditionalGeneration", "Terratorch",
        "VoyageQwen3BidirectionalEmbedModel", "WhisperForConditionalGeneration",
        "XLMRobertaForSequenceClassification", "XLMRobertaForTokenClassification",
        "XLMRobertaModel", "Zamba2ForCausalLM",
    ),
}  # fmt: skip
"""Classes without stages before a release."""

_ADAPTED_SINCE: Mapping[Release, tuple[str, ...]] = {
    (0, 9, 0): ("Mistral3ForConditionalGeneration",),
    (0, 9, 1): ("H2OVLChatModel", "InternVLChatModel", "NVLM_D"),
    (0, 10, 0): (
        "Ernie4_5_MoeForCausalLM", "HunYuanMoEV1ForCausalLM", "Qwen2MoeForCausalLM",
        "Qwen3MoeForCausalLM",
    ),
    (0, 10, 1): ("Dots1ForCausalLM", "Glm4MoeForCausalLM"),
    (0, 10, 2): (
        "DeepseekForCausalLM", "DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", "Olmo2ForCausalLM",
        "OlmoForCausalLM", "Qwen2_5OmniForConditionalGeneration", "Qwen2_5OmniModel",
        "VoxtralForConditionalGeneration",
    ),
    (0, 11, 1): (
        "GptOssForCausalLM", "Llama4ForConditionalGeneration", "OPTForCausalLM", "OlmoeForCausalLM",
    ),
    (0, 14, 0): (
        "Blip2ForConditionalGeneration", "DeepseekOCRForCausalLM", "LlavaForConditionalGeneration",
        "MantisForConditionalGeneration", "PaliGemmaForConditionalGeneration",
        "PixtralForConditionalGeneration", "Plamo2ForCausalLM", "Plamo3ForCausalLM",
    ),
    (0, 16, 0): ("MiniMaxM2ForCausalLM",),
    (0, 18, 0): ("WhisperForConditionalGeneration",),
    (0, 20, 0): (
        "Gemma4ForConditionalGeneration", "Qwen3ASRForConditionalGeneration",
        "Qwen3ASRForcedAlignerForTokenClassification", "Qwen3ASRRealtimeGeneration",
    ),
    (0, 25, 0): ("MiniCPMV4_6ForConditionalGeneration", "Starcoder2ForCausalLM"),
    (0, 26, 0): ("LlavaNextVideoForConditionalGeneration",),
    (0, 29, 0): (
        "DeepseekV4ForCausalLM", "LlavaNextForConditionalGeneration",
        "Qwen3OmniMoeForConditionalGeneration",
    ),
    (0, 31, 0): (
        "ModernBertModel", "NemotronH_Nano_Omni_Reasoning_V3", "NemotronH_Nano_VL_V2",
        "NemotronH_Omni_Reasoning_V3", "NemotronH_Super_Omni_Reasoning_V3",
        "RobertaForSequenceClassification", "VoyageQwen3BidirectionalEmbedModel",
        "XLMRobertaForSequenceClassification",
    ),
    (0, 32, 0): (
        "BertModel", "BertSpladeSparseEmbeddingModel", "BgeM3EmbeddingModel", "GPTNeoXForCausalLM",
        "HF_ColBERT", "RobertaForMaskedLM", "RobertaModel", "XLMRobertaModel",
    ),
    (0, 33, 0): ("BertForSequenceClassification", "BertForTokenClassification"),
    NEVER: (
        "ArcticForCausalLM", "AriaForConditionalGeneration", "AyaVisionForConditionalGeneration",
        "BailingMoeV2_5ForCausalLM", "BailingMoeV3ForCausalLM",
        "BailingMoeV3VLForConditionalGeneration", "BartForConditionalGeneration", "BartModel",
        "BeamForCausalLM", "BeeForConditionalGeneration", "BertForMaskedLM", "BloomForCausalLM",
        "CLIPModel", "ChameleonForConditionalGeneration", "Cohere2MoeForCausalLM",
        "Cohere2VisionForConditionalGeneration", "CohereAsrForConditionalGeneration",
        "ColBERTJinaRobertaModel", "ColBERTLfm2Model", "ColBERTModernBertModel",
        "ColModernVBertForRetrieval", "ColUltraVBertForRetrieval",
        "Cosmos3EdgeForConditionalGeneration", "D3ForSequenceClassification", "DbrxForCausalLM",
        "DeepseekV41ForCausalLM", "DeepseekVLV2ForCausalLM", "DiffusionGemmaForBlockDiffusion",
        "DomynEdgeForCausalLM", "DonutForConditionalGeneration", "DoryForCausalLM",
        "Dots3NoteForCausalLM", "EmbeddingGemma2Model", "ErnieForSequenceClassification",
        "ErnieForTokenClassification", "ErnieModel", "FalconForCausalLM", "FalconMambaForCausalLM",
        "FireRedASR2ForConditionalGeneration", "FireRedLIDForConditionalGeneration",
        "FlintForCausalLM", "Florence2ForConditionalGeneration", "FunASRForConditionalGeneration",
        "FunAudioChatForConditionalGeneration", "FuyuForCausalLM", "GPT2ForSequenceClassification",
        "GPT2LMHeadModel", "GPTJForCausalLM", "Gemma3TextModel", "Gemma3nForCausalLM",
        "Gemma3nForConditionalGeneration", "Glm5NextForCausalLM", "GteModel",
        "GteNewForSequenceClassification", "GteNewModel", "HCXVisionForCausalLM",
        "HCXVisionV2ForCausalLM", "HfMoondream", "HrmTextForCausalLM", "IQuestLoopCoderForCausalLM",
        "JAISLMHeadModel", "JinaForRanking", "KananaVForConditionalGeneration",
        "KimiK25ForConditionalGeneration", "KimiK3ForConditionalGeneration",
        "KimiLinearForCausalLM", "KimiVLForConditionalGeneration", "Lfm2BidirectionalModel",
        "LlamaBidirectionalForSequenceClassification", "LlamaBidirectionalModel",
        "LlavaOnevision2ForConditionalGeneration", "LlavaOnevisionForConditionalGeneration",
        "MBartForConditionalGeneration", "MPTForCausalLM", "Mamba2ForCausalLM", "MambaForCausalLM",
        "MiDashengLMModel", "MiMoV2FlashForCausalLM", "MiMoV2ForCausalLM", "MiMoV2OmniForCausalLM",
        "MiniMaxForCausalLM", "MiniMaxM1ForCausalLM", "MiniMaxM3SparseForCausalLM",
        "MiniMaxM3SparseForConditionalGeneration", "MiniMaxText01ForCausalLM",
        "MiniMaxVL01ForConditionalGeneration", "MllamaForConditionalGeneration",
        "ModernBertForSequenceClassification", "ModernBertForTokenClassification",
        "ModernVBertModel", "Moondream3ForCausalLM", "MoonshotKimiaForCausalLM",
        "MossTranscribeDiarizeForConditionalGeneration", "MptForCausalLM", "NemotronH_Nano_VL",
        "NemotronParseForConditionalGeneration", "NomicBertModel",
        "OpenAIPrivacyFilterForTokenClassification", "OpenVLAForActionPrediction",
        "OrionForCausalLM", "Ovis", "Ovis2_5", "Ovis2_6ForCausalLM", "Ovis2_6_MoeForCausalLM",
        "PaddleOCRVLForConditionalGeneration", "PersimmonForCausalLM", "Phi3SmallForCausalLM",
        "Phi3VForCausalLM", "Phi4FlashForCausalLM", "Phi4ForCausalLMV", "PrithviGeoSpatialMAE",
        "Qwen2AudioForConditionalGeneration", "RForConditionalGeneration", "RWForCausalLM",
        "RadioMBartPrefixForCausalLM", "RobertaForTokenClassification", "SiglipModel",
        "SkyworkR1VChatModel", "StableLMEpochForCausalLM", "StableLmForCausalLM",
        "Step1ForCausalLM", "Step3TextForCausalLM", "Step3VLForConditionalGeneration",
        "Step3p5ForCausalLM", "Step3p7ForConditionalGeneration", "StepVLForConditionalGeneration",
        "TarsierForConditionalGeneration", "Terratorch", "XLMRobertaForTokenClassification",
        "Zamba2ForCausalLM",
    ),
}  # fmt: skip
"""Classes without adapters before a release."""

_STAGED = {name: since for since, names in _STAGED_SINCE.items() for name in names}
_ADAPTED = {name: since for since, names in _ADAPTED_SINCE.items() for name in names}


def runs_in_stages(architecture: str, version: VllmVersion) -> bool:
    """Return whether a class has pipeline parallelism in a release."""
    return _has(_STAGED, architecture, version)


def takes_adapters(architecture: str, version: VllmVersion) -> bool:
    """Return whether a class takes LoRA adapters in a release."""
    return _has(_ADAPTED, architecture, version)


def _has(since: Mapping[str, Release], architecture: str, version: VllmVersion) -> bool:
    return since.get(architecture, (0, 0, 0)) <= (version.release or _NEWEST)
