"""Classes that some vLLM serves, by name: as vLLM resolves a model, not by ``model_type``.

Sources: vLLM ``model_executor/models/registry.py`` of every minor release from 0.8 to 0.33, save
its draft models, which answer nobody alone; transformers 5.24 ``models/auto/modeling_auto.py``
(language models, encoders), whose classes vLLM may run through its own Transformers classes. That
vLLM looks for a base under other endings: ``config/model.py`` (``_SUFFIX_TO_DEFAULTS``).
"""

from __future__ import annotations

_ENDINGS = (
    "ForCausalLM",
    "ForConditionalGeneration",
    "ChatModel",
    "LMHeadModel",
    "ForTextEncoding",
    "EmbeddingModel",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForAudioClassification",
    "ForImageClassification",
    "ForVideoClassification",
    "ClassificationModel",
    "ForRewardModeling",
    "RewardModel",
    "ForMaskedLM",
    "Model",
)
"""In vLLM's order, which adapts a class of one ending from that of another."""

_NAMES = """
    AXK1 AXK2 Afmoe Albert AliceAI Alpamayo2Super Apertus Apertus1p5 Apertus1p5Text Aquila Arcee
    Arctic Aria AriaText AudioFlamingo3 AyaVision Bagel BaiChuan Baichuan BailingHybrid
    BailingMoe BailingMoeV2 BailingMoeV2_5 BailingMoeV3 BailingMoeV3VL Bamba Bart Beam Bee Bert
    BertGenerationDecoder BertSpladeSparse BgeM3 BigBird BigBirdPegasus BioGpt BitNet Blenderbot
    BlenderbotSmall Blip Blip2 Bloom Blt CLIP CLIPText CTRL Camembert Canary Canine Chameleon
    ChatGLM Cheers ClefFlashForJointSchema ClefOmniForJointSchema CodeGen Cohere Cohere2
    Cohere2Moe Cohere2Vision CohereAsr CohereCompass CohereCompassText ColBERTJinaRoberta
    ColBERTLfm2 ColBERTModernBert ColModernVBertForRetrieval ColPaliForRetrieval ColQwen3
    ColQwen3_5 ColUltraVBertForRetrieval ConvBert Cosmos3 Cosmos3Edge Cosmos3Omni CpmAnt Cwm D3
    Data2VecText Dbrx Deberta DebertaV2 DeciLM Deepseek DeepseekOCR DeepseekOCR2 DeepseekOcr2
    DeepseekV2 DeepseekV3 DeepseekV32 DeepseekV3Bidirectional DeepseekV4 DeepseekV41 DeepseekVL
    DeepseekVLHybrid DeepseekVLV2 Dia DiffLlama DiffusionGemmaForBlockDiffusion DistilBert Doge
    DomynEdge Donut Dory Dots1 Dots3Note DotsOCR Eagle2_5_VL Electra EmbeddingGemma2 Emu3
    Emu3Text Ernie Ernie4_5 Ernie4_5_ Ernie4_5_Moe Ernie4_5_VLMoe Esm Esmc EuroBert
    EvollaForProteinText2Text Exaone Exaone4 Exaone4_5_ ExaoneMoE ExaoneMoe FNet Fairseq2Llama
    Falcon FalconH1 FalconMamba FastVlm FireRedASR2 FireRedLID Flaubert FlexOlmo Flint Florence2
    FunASR FunAsrNano FunAudioChat Funnel Fuyu GLM4V GPT2 GPTBigCode GPTJ GPTNeo GPTNeoX
    GPTNeoXJapanese Gemma Gemma2 Gemma3 Gemma3Text Gemma3n Gemma4 Gemma4Assistant Gemma4Unified
    Gemma4UnifiedAssistant Git Glm Glm4 Glm46V Glm4Moe Glm4MoeLite Glm4v Glm4vMoe Glm5Next
    GlmAsr GlmMoeDsa GlmOcr GotOcr2 GptOss Granite Granite4Vision GraniteDocling GraniteMoe
    GraniteMoeHybrid GraniteMoeSWA GraniteMoeShared GraniteSWA GraniteSpeech GraniteSpeechPlus
    GritLM Grok1 Grok1Model Gte GteNew H2OVL HCXVision HCXVisionV2 HF_ColBERT HYV3 HYV4 HYV4VL
    Helium HfMoondream HrmText HunYuanDenseV1 HunYuanMoEV1 HunYuanVL HyperCLOVAX
    HyperCLOVAXVisionV2 IBert IQuestCoder IQuestLoopCoder Idefics2 Idefics3
    IdeficsForVisionText2Text Inkling Inkling2 Inkling2Loop InstructBlip InstructBlipVideo
    InternLM InternLM2 InternLM2For InternLM2VE InternLM3 InternS1 InternS1Pro InternS2Mobius
    InternS2Preview InternVL Isaac JAIS Jais2 Jamba Janus JetMoe JinaEmbeddingsV3
    JinaEmbeddingsV5 JinaForRanking JinaVLForRanking K2Horizon KananaV Keye KeyeVL1_5 KimiK25
    KimiK3 KimiLinear KimiVL Kimi_K25 Kolibri1 Kosmos2 Kosmos2_5 KyutaiSpeechToText LLaMA Laguna
    LaraMini LayoutLM LayoutLMv2 LayoutLMv3 Lfm2 Lfm2Bidirectional Lfm2Moe Lfm2Vl Lfm3 Lfm3Vl
    LightOnOCR LightOnOcr Lilt Llama Llama4 Llama4Text LlamaBidirectional LlamaNemotronVL
    Llama_Nemotron_Nano_VL Llava LlavaNext LlavaNextVideo LlavaOnevision LlavaOnevision2
    LongcatFlash LongcatFlashNgram Longformer Luke MBart MPNet MPT MT5 MT5Encoder Mamba Mamba2
    Mantis Marian MarkupLM MegatronBert Mellum MiDashengLM MiMo MiMoV2 MiMoV2Flash MiMoV2Omni
    MiniCPM MiniCPM3 MiniCPMO MiniCPMOcr MiniCPMV MiniCPMV4_6 MiniCPMV4_7 MiniMax MiniMaxM1
    MiniMaxM2 MiniMaxM3Sparse MiniMaxM3VL MiniMaxText01 MiniMaxVL01 Ministral Ministral3 Mistral
    Mistral3 Mistral4 MistralLarge3 MistralLarge4 Mixtral Mllama MllamaText MobileBert
    ModernBert ModernBertDecoder ModernVBert Molmo Molmo2 Molmo2Text Moondream3 Moonshine
    MoonshineStreaming MoonshotKimia Moshi MossAudio MossTranscribeDiarize Motif Mpt Mra
    MuseGlimmer MuseSpark MusicFlamingo Musicgen MusicgenMelody Mvp NVLM_D Nanbeige NanoChat
    Nemotron Nemotron3_5AsrForRNNT Nemotron3_5Transcribe NemotronH NemotronHPuzzle
    NemotronH_Nano_Omni_Reasoning_V3 NemotronH_Nano_VL NemotronH_Nano_VL_V2
    NemotronH_Omni_Reasoning_V3 NemotronH_Super_Omni_Reasoning_V3 NemotronParse NomicBert
    Nystromformer OPT Olmo Olmo2 Olmo3 OlmoHybrid Olmoe OmniASR OpenAIGPT OpenAIPrivacyFilter
    OpenCUA OpenPanguVL OpenVLAForActionPrediction OpsColQwen3 Orion Ouro Ovis Ovis2 Ovis2_5
    Ovis2_6 Ovis2_6_Moe PI0 PLBart PPFormulaNet PaddleOCRVL PaliGemma PanguEmbedded
    PanguProMoEV2 PanguUltraMoE Param2MoE Pegasus Perceiver PerceptionLM Persimmon Phi Phi3
    Phi3Small Phi3V Phi4Flash Phi4ForCausalLMV Phi4MM Phi4Multimodal PhiMoE Phimoe Pix2Struct
    Pixtral Plamo2 Plamo3 Pop2Piano PrithviGeoSpatialMAE ProphetNet QWen QianfanOCR QuantMixtral
    Qwen2 Qwen2Audio Qwen2For Qwen2ForProcess Qwen2Moe Qwen2VL Qwen2_5Omni Qwen2_5OmniThinker
    Qwen2_5_VL Qwen3 Qwen3ASR Qwen3ASRForcedAligner Qwen3ASRRealtimeGeneration Qwen3Moe
    Qwen3Next Qwen3OmniMoe Qwen3OmniMoeThinker Qwen3VL Qwen3VLMoe Qwen3VLNemotronEmbed Qwen3_5
    Qwen3_5Moe Qwen3_5Text Qwen4Exp QwenVL R RW RadioMBartPrefix RecurrentGemma Reformer
    ReformerModelWithLMHead RemBert Rnj1 RoCBert RoFormer Roberta RobertaPreLayerNorm Rwkv
    SarvamMLA SarvamMoE SeamlessM4TForSpeechToText SeamlessM4Tv2ForSpeechToText SeedOss Siglip
    SkyworkR1V SmolLM3 SmolVLM Solar SolarOpen Speech2Text SpeechEncoderDecoder
    SpeechT5ForSpeechToText SqueezeBert StableLMEpoch StableLm Starcoder2 Step1 Step3Text
    Step3VL Step3p5 Step3p7 Step5 StepVL T5 T5Encoder T5Gemma T5Gemma2 T5GemmaEncoder Tapas
    Tarsier Tarsier2 TeleChat TeleChat2 TeleChat3 TeleFLM Terratorch Tipsv2Text TrOCR UMT5
    UMT5Encoder Udop UltraVBert Ultrabert Ultravox UnlimitedOCR UnlimitedOcr VaultGemma
    VibeVoice VibeVoiceAsr VideoLlama3 VideoLlava VipLlava VisionEncoderDecoder Voxtral
    VoxtralRealtime VoxtralRealtimeGeneration VoxtralStreamingGeneration
    VoyageQwen3BidirectionalEmbed Whisper XGLM XLM XLMRoberta XLMRobertaXL XLMWith XLNet Xmod
    Xverse Yoso Youtu Zamba Zamba2 Zaya
"""
_STEMS = frozenset(_NAMES.split())


def is_served_class(name: str) -> bool:
    """Return whether any vLLM or transformers has a class, or one that vLLM adapts to it."""
    return _stem(name) in _STEMS


def _stem(name: str) -> str:
    """Return a class's name without what it is made to answer; a name that is none, whole."""
    found = (name.removesuffix(end) for end in _ENDINGS if name.endswith(end))
    return next(found, name) or name
