"""The classes of vLLM's models by the release that brought them, and those that are gone.

Those of 0.8 and before are not here. What drafts for another model, or only ranks texts, is not
either.

Source: ``model_executor/models/registry.py`` of every minor release from 0.8 to 0.33, and of patch
releases (0.15's was not read: its classes are those of 0.16, so that none is refused there); for
the last release, its ``_PREVIOUSLY_SUPPORTED_MODELS`` and those of ``_OOT_SUPPORTED_MODELS`` that
once ran without a plugin, save what transformers has a class for that vLLM can run.
"""

from __future__ import annotations

from collections.abc import Mapping

from carferry.gpu.vllm.releases import Release

_CLASSES: Mapping[Release, str] = {
    (0, 9, 0): """
        FalconH1ForCausalLM GraniteMoeHybridForCausalLM MiMoForCausalLM
        MiniMaxVL01ForConditionalGeneration ModernBertModel Ovis
        Qwen2_5OmniForConditionalGeneration
    """,
    (0, 9, 1): """
        NemotronHForCausalLM TarsierForConditionalGeneration
    """,
    (0, 9, 2): """
        Dots1ForCausalLM Ernie4_5_ForCausalLM Ernie4_5_MoeForCausalLM
        Gemma3nForConditionalGeneration Glm4vForConditionalGeneration
        HunYuanMoEV1ForCausalLM KeyeForConditionalGeneration MiniMaxM1ForCausalLM
        Tarsier2ForConditionalGeneration
    """,
    (0, 10, 0): """
        ArceeForCausalLM BailingMoeForCausalLM Exaone4ForCausalLM Glm4MoeForCausalLM
        HunYuanDenseV1ForCausalLM Llama_Nemotron_Nano_VL MiniMaxForCausalLM
        Phi4FlashForCausalLM VoxtralForConditionalGeneration
    """,
    (0, 10, 1): """
        Cohere2VisionForConditionalGeneration Emu3ForConditionalGeneration
        Ernie4_5ForCausalLM Gemma3nForCausalLM Glm4vMoeForConditionalGeneration
        GptOssForCausalLM HCXVisionForCausalLM InternS1ForConditionalGeneration
        Llama4ForCausalLM MBartForConditionalGeneration Phi4MultimodalForCausalLM
        SmolLM3ForCausalLM Step3TextForCausalLM Step3VLForConditionalGeneration
    """,
    (0, 10, 2): """
        ApertusForCausalLM DonutForConditionalGeneration
        Ernie4_5_VLMoeForConditionalGeneration InternVLForConditionalGeneration
        KeyeVL1_5ForConditionalGeneration Lfm2ForCausalLM MotifForCausalLM NemotronH_Nano_VL
        Ovis2_5 Qwen3NextForCausalLM RForConditionalGeneration SeedOssForCausalLM Terratorch
    """,
    (0, 11, 0): """
        BailingMoeV2ForCausalLM CwmForCausalLM DeepseekV32ForCausalLM DotsOCRForCausalLM
        LongcatFlashForCausalLM NemotronH_Nano_VL_V2 Olmo3ForCausalLM
        Qwen3VLForConditionalGeneration Qwen3VLMoeForConditionalGeneration
    """,
    (0, 11, 1): """
        AfmoeForCausalLM BeeForConditionalGeneration DeepseekOCRForCausalLM
        FlexOlmoForCausalLM KimiLinearForCausalLM Lfm2MoeForCausalLM
        LightOnOCRForConditionalGeneration MiniMaxM2ForCausalLM OuroForCausalLM
        PaddleOCRVLForConditionalGeneration PanguEmbeddedForCausalLM
        PanguUltraMoEForCausalLM Qwen3OmniMoeForConditionalGeneration
    """,
    (0, 12, 0): """
        HunYuanVLForConditionalGeneration MistralLarge3ForCausalLM
        OpenCUAForConditionalGeneration Plamo3ForCausalLM TeleChatForCausalLM
    """,
    (0, 13, 0): """
        AudioFlamingo3ForConditionalGeneration BagelForConditionalGeneration
        Jais2ForCausalLM
    """,
    (0, 14, 0): """
        ExaoneMoEForCausalLM GlmAsrForConditionalGeneration Grok1ForCausalLM
        IQuestCoderForCausalLM IQuestLoopCoderForCausalLM IsaacForConditionalGeneration
        KananaVForConditionalGeneration Lfm2VlForConditionalGeneration
        MiMoV2FlashForCausalLM NemotronParseForConditionalGeneration
        PanguProMoEV2ForCausalLM VoxtralStreamingGeneration
    """,
    (0, 15, 0): """
        DeepseekOCR2ForCausalLM FunAudioChatForConditionalGeneration Glm4MoeLiteForCausalLM
        GlmMoeDsaForCausalLM GlmOcrForConditionalGeneration HF_ColBERT
        InternS1ProForConditionalGeneration KimiK25ForConditionalGeneration
        Molmo2ForConditionalGeneration MusicFlamingoForConditionalGeneration
        NemotronHPuzzleForCausalLM OpenPanguVLForConditionalGeneration
        Qwen3ASRForConditionalGeneration Step1ForCausalLM Step3p5ForCausalLM
        StepVLForConditionalGeneration VoxtralRealtimeGeneration
    """,
    (0, 17, 0): """
        AXK1ForCausalLM BailingMoeV2_5ForCausalLM FireRedASR2ForConditionalGeneration
        FunASRForConditionalGeneration Ovis2_6ForCausalLM Ovis2_6_MoeForCausalLM
        Qwen3ASRRealtimeGeneration Qwen3_5ForConditionalGeneration
        Qwen3_5MoeForConditionalGeneration
    """,
    (0, 18, 0): """
        HCXVisionV2ForCausalLM HyperCLOVAXForCausalLM MoonshotKimiaForCausalLM
        OlmoHybridForCausalLM SarvamMLAForCausalLM SarvamMoEForCausalLM
    """,
    (0, 19, 0): """
        CohereAsrForConditionalGeneration Gemma4ForCausalLM Gemma4ForConditionalGeneration
    """,
    (0, 20, 0): """
        Cheers CheersForConditionalGeneration DeepseekV4ForCausalLM
        Exaone4_5_ForConditionalGeneration FireRedLIDForConditionalGeneration
        Granite4VisionForConditionalGeneration HYV3ForCausalLM Ministral3ForCausalLM
        NemotronH_Nano_Omni_Reasoning_V3 NemotronH_Super_Omni_Reasoning_V3
        Param2MoEForCausalLM Phi4ForCausalLMV Rnj1ForCausalLM TeleChat3ForCausalLM
    """,
    (0, 21, 0): """
        Cohere2MoeForCausalLM HfMoondream LagunaForCausalLM MiMoV2ForCausalLM
        MiMoV2OmniForCausalLM Moondream3ForCausalLM QianfanOCRForConditionalGeneration
    """,
    (0, 22, 0): """
        InternS2PreviewForConditionalGeneration MiniCPMV4_6ForConditionalGeneration
        OpenVLAForActionPrediction
    """,
    (0, 22, 1): """
        MellumForCausalLM
    """,
    (0, 23, 0): """
        Cosmos3ForConditionalGeneration Gemma4UnifiedForConditionalGeneration
        GraniteSpeechPlusForConditionalGeneration Step3p7ForConditionalGeneration
    """,
    (0, 24, 0): """
        DiffusionGemmaForBlockDiffusion HrmTextForCausalLM MiniMaxM3SparseForCausalLM
        MiniMaxM3SparseForConditionalGeneration
    """,
    (0, 25, 0): """
        LlavaOnevision2ForConditionalGeneration
        MossTranscribeDiarizeForConditionalGeneration UnlimitedOCRForCausalLM
    """,
    (0, 26, 0): """
        BertForMaskedLM Cosmos3EdgeForConditionalGeneration InklingForCausalLM
        InklingForConditionalGeneration LongcatFlashNgramForCausalLM
    """,
    (0, 27, 0): """
        ExaoneMoeForCausalLM KimiK3ForConditionalGeneration Qwen3_5ForCausalLM
        Qwen3_5MoeForCausalLM VaultGemmaForCausalLM VibeVoiceAsrForConditionalGeneration
    """,
    (0, 28, 0): """
        BailingMoeV3ForCausalLM Dots3NoteForCausalLM InternS2MobiusForConditionalGeneration
        MuseGlimmerForCausalLM MuseGlimmerForConditionalGeneration
    """,
    (0, 29, 0): """
        GraniteMoeSWAForCausalLM GraniteSWAForCausalLM HYV4ForCausalLM
        NemotronH_Omni_Reasoning_V3 Qwen4ExpForCausalLM Qwen4ExpForConditionalGeneration
    """,
    (0, 30, 0): """
        BailingMoeV3VLForConditionalGeneration CohereCompassForConditionalGeneration
        DeepseekV41ForCausalLM DeepseekV4ForConditionalGeneration Glm5NextForCausalLM
        Glm5NextForConditionalGeneration K2HorizonForCausalLM NanbeigeForCausalLM
    """,
    (0, 32, 0): """
        ClefOmniForJointSchema MiniCPMV4_7ForConditionalGeneration Nemotron3_5AsrForRNNT
    """,
    (0, 33, 0): """
        AliceAIForCausalLM Alpamayo2Super BeamForCausalLM ClefFlashForJointSchema
        DomynEdgeForCausalLM DoryForCausalLM FlintForCausalLM Kolibri1ForCausalLM
        MiniCPMOcrForConditionalGeneration MuseSparkForConditionalGeneration
        RadioMBartPrefixForCausalLM Step5ForCausalLM Step5ForConditionalGeneration
    """,
}
FIRST: Mapping[str, Release] = {
    name: release for release, names in _CLASSES.items() for name in names.split()
}
"""Class to the release it came with."""

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
ENDED: Mapping[str, Release] = {name: release for release, names in _LAST.items() for name in names}
"""Class to the last release with it."""

_STAND_INS = """
    ArceeForCausalLM Emu3ForConditionalGeneration Ernie4_5ForCausalLM ExaoneMoeForCausalLM
    FlexOlmoForCausalLM InternVLForConditionalGeneration Kolibri1ForCausalLM Llama4ForCausalLM
    MellumForCausalLM NanbeigeForCausalLM SmolLM3ForCausalLM VaultGemmaForCausalLM
"""
STAND_INS = frozenset(_STAND_INS.split())
"""Which transformers had before vLLM: an earlier image may hold a transformers that runs them."""
