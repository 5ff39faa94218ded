"""Which part of a config.json describes the decoder, however deep a wrapper holds it.

Source: vLLM 0.33 ``transformers_utils/config.py`` (``get_hf_text_config``, ``llm_config``),
``transformers_utils/configs`` for wrappers with names of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carferry.gpu.model.defaults import class_defaults
from carferry.gpu.model.families import INSIDE, known_type
from carferry.shown import printable

_NESTED = (
    "text_config",
    "llm_config",
    "language_config",
    "thinker_config",
    "text_model_config",
    "lm_config",
    "language_model_config",
    "decoder_config",
)
_KEPT = ("dtype", "torch_dtype", "tie_word_embeddings", "quantization_config")
_MARKS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "model_type", "architectures")
_DEEPEST = 4
_MOST = 16
_LONGEST = 80


def text_section(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the decoder's section with a ``model_type``, and what the whole says for it.

    Keys that a nested section leaves out have the defaults of its class: configs are saved as
    the difference from these.
    """
    section: Mapping[str, Any] = config
    for _ in range(_DEEPEST):
        nested = _nested(section)
        if nested is None:
            break
        outer = str(section.get("model_type") or "")
        kind = nested.get("model_type") or _told(nested) or INSIDE.get(outer) or outer
        kept = {key: section[key] for key in _KEPT if section.get(key) is not None}
        section = {**class_defaults(str(kind)), **kept, **nested, "model_type": kind}
    return dict(section)


def quantized(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the whole config, with the quantization that only its decoder's section names."""
    keys = ("quantization_config", "compression_config")
    if any(config.get(key) for key in keys):
        return config
    inside = text_section(config)
    return {**config, **{key: inside[key] for key in keys if inside.get(key)}}


def type_of(section: Mapping[str, Any]) -> str:
    """Return the family a decoder's section is of, by its type or its architecture."""
    return known_type(_shown(section.get("model_type") or ""), architecture_of(section))


def architecture_of(section: Mapping[str, Any]) -> str:
    """Return the first architecture a section names; empty if it names none."""
    return next(iter(architectures_of(section)), "")


def architectures_of(section: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the architectures a section names, as a report may show them."""
    names = section.get("architectures")
    return tuple(_shown(name) for name in names[:_MOST]) if isinstance(names, list) else ()


def _shown(name: object) -> str:
    """Return a name from a stranger's config as a report may show it."""
    return printable(str(name))[:_LONGEST]


def _told(section: Mapping[str, Any]) -> str:
    named = architecture_of(section)
    found = known_type("", named)
    return found or _GUESSES.get(named, "")


def _nested(section: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for key in _NESTED:
        found = section.get(key)
        if isinstance(found, Mapping) and found and _is_decoder(found, section):
            return found
    return None


def _is_decoder(found: Mapping[str, Any], outer: Mapping[str, Any]) -> bool:
    """Return whether a nested section is the model itself, not a remark beside a flat one."""
    flat = outer.get("hidden_size") and outer.get("num_hidden_layers")
    return not flat or any(key in found for key in _MARKS)


_GUESSES: Mapping[str, str] = {
    "InternLM2ForCausalLM": "internlm2",
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Phi3ForCausalLM": "phi3",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "Qwen3MoeForCausalLM": "qwen3_moe",
}
