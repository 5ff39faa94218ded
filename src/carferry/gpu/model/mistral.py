"""Mistral's own params.json in the words of config.json, as vLLM reads it.

Source: vLLM ``transformers_utils/configs/mistral.py``: names, defaults, and which of its parts
make it a mixture of experts, a latent-attention model, or one that sees or hears.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carferry.gpu.shape.fields import Fields

_SUBJECT = "params.json"
_NAMES = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "hidden_dim": "intermediate_size",
    "tied_embeddings": "tie_word_embeddings",
}
_NEEDED = ("dim", "n_layers", "n_heads", "hidden_dim")
_EXPERTS = {
    "num_experts": "n_routed_experts",
    "num_experts_per_tok": "num_experts_per_tok",
    "expert_hidden_dim": "moe_intermediate_size",
    "num_shared_experts": "n_shared_experts",
    "first_k_dense_replace": "first_k_dense_replace",
    "route_every_n": "moe_layer_freq",
}
_POSITIONS = 128_000  # what vLLM assumes where params.json says nothing


def from_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json for a params.json.

    Args:
        params: The whole params.json.

    Raises:
        InputError: A part that is not of its form.
    """
    fields = Fields(params, _SUBJECT, _SUBJECT)
    if params.get("model_type") == "mamba":
        return _mamba(fields)
    config = {_NAMES.get(key, key): value for key, value in params.items()}
    config |= {_NAMES[key]: fields.number(key) for key in _NEEDED}
    config["num_key_value_heads"] = fields.number("n_kv_heads", "n_heads")
    config["max_position_embeddings"] = _positions(fields)
    config.setdefault("sliding_window", None)
    config |= _attention(fields, config) | _experts(fields) | _quantization(fields)
    return _with_encoder(fields, config)


def _mamba(fields: Fields) -> dict[str, Any]:
    """Return Codestral Mamba's config, whose sizes Mamba-2's class fixes."""
    width = fields.number("dim")
    return {
        "model_type": "mamba2",
        "architectures": ["Mamba2ForCausalLM"],
        "hidden_size": width,
        "num_hidden_layers": fields.layers("n_layers"),
        "vocab_size": fields.number("vocab_size"),
        "n_groups": fields.number("n_groups", default=8),
        "num_heads": max(2 * width // 64, 1),
        "head_dim": 64,
        "state_size": 128,
        "conv_kernel": 4,
        "expand": 2,
        "tie_word_embeddings": fields.flag("tie_embeddings"),
        "max_position_embeddings": _positions(fields),
    }


def _positions(fields: Fields) -> int:
    return fields.number("max_position_embeddings", "max_seq_len", default=_POSITIONS)


def _attention(fields: Fields, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return layer types for a window that is given for each layer of a pattern."""
    window = config.get("sliding_window")
    if not isinstance(window, list) or not window:
        return {}
    count = fields.layers("n_layers")
    kinds = ["sliding_attention" if each else "full_attention" for each in window]
    return {
        "layer_types": (kinds * count)[:count],
        "sliding_window": next((each for each in window if each), None),
    }


def _experts(fields: Fields) -> dict[str, Any]:
    """Return the kind of model, and its experts under the names of that kind."""
    moe = fields.section("moe").values
    if fields.maybe("qk_nope_head_dim") or (moe.get("num_shared_experts") or 0):
        named = {new: moe[old] for old, new in _EXPERTS.items() if moe.get(old) is not None}
        return {"model_type": "deepseek_v3", "architectures": ["MistralLarge3ForCausalLM"], **named}
    if not moe:
        return {"model_type": "mistral", "architectures": ["MistralForCausalLM"]}
    return {
        "model_type": "mixtral",
        "architectures": ["MixtralForCausalLM"],
        "num_local_experts": moe.get("num_experts"),
        "num_experts_per_tok": moe.get("num_experts_per_tok"),
    }


def _quantization(fields: Fields) -> dict[str, Any]:
    packed = fields.section("quantization").values
    if not packed:
        return {}
    if packed.get("qformat_weight") == "fp8_e4m3":
        return {"quantization_config": {"quant_method": "fp8"}}
    return {"quantization_config": dict(packed)}


def _with_encoder(fields: Fields, text: dict[str, Any]) -> dict[str, Any]:
    """Return the config of the whole, with the image or audio tower if there is one."""
    parts = fields.section("multimodal")
    audio = parts.section("whisper_model_args")
    vision = parts.section("vision_encoder_args").values or fields.section("vision_encoder").values
    if audio.values:
        return _whole(text, "voxtral", _voxtral(audio, text))
    if not vision:
        return text
    merge = vision.get("spatial_merge_size") or 1
    return _whole(text, "pixtral", {"vision_config": dict(vision), "spatial_merge_size": merge})


def _whole(text: dict[str, Any], kind: str, more: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a decoder with an encoder beside it."""
    return {
        "model_type": kind,
        "architectures": [f"{kind.capitalize()}ForConditionalGeneration"],
        "text_config": text,
        **more,
        **{key: text[key] for key in ("quantization_config",) if key in text},
    }


def _voxtral(audio: Fields, text: Mapping[str, Any]) -> dict[str, Any]:
    """Return the audio encoder as transformers would name its sizes."""
    encoder, down = audio.section("encoder_args"), audio.section("downsample_args")
    width, heads = encoder.number("dim"), encoder.number("n_heads")
    factor = down.number("downsample_factor", default=4)
    bins = encoder.section("audio_encoding_args").number("num_mel_bins", default=128)
    section = {
        "d_model": width,
        "encoder_layers": encoder.layers("n_layers"),
        "encoder_ffn_dim": encoder.number("hidden_dim"),
        "encoder_attention_heads": heads,
        "num_mel_bins": bins,
        "projection_size": factor * width,
        **{key: encoder.values.get(key) for key in ("head_dim", "max_source_positions")},
    }
    return {"audio_config": {key: one for key, one in section.items() if one is not None}}
