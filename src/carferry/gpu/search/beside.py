"""The files beside a model's config that vLLM reads with it: each is blamed for what it says.

Sources: vLLM ``transformers_utils/config.py``: ModelOpt's packing (``get_hf_quant_config``), the
input length of a sentence encoder (``get_sentence_transformer_tokenizer_config``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carferry.errors import InputError
from carferry.gpu.model.config import load_config
from carferry.gpu.model.mistral import from_params
from carferry.gpu.shape.fields import Fields
from carferry.weights.layout import CONFIG, PARAMS
from carferry.weights.safetensors import ReadRange
from carferry.weights.texts import CONFIG_CAP_BYTES

_MODELOPT = "hf_quant_config.json"
_KINDS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_SENTENCE = tuple(f"sentence_{kind}_config.json" for kind in _KINDS)


@dataclass(frozen=True, slots=True)
class Configured:
    """What describes a model, of whichever files.

    Attributes:
        config: In the words of config.json.
        file: Where it stands.
        packing: Where its ``quantization_config`` stands, if elsewhere.
    """

    config: Mapping[str, Any]
    file: str = CONFIG
    packing: str = ""


def mistral_config(files: Mapping[str, int], read: ReadRange) -> Configured:
    """Return what params.json says.

    Raises:
        InputError: Not of its form.
    """
    return Configured(from_params(_document(PARAMS, files, read)), PARAMS)


def with_beside(found: Configured, files: Mapping[str, int], read: ReadRange) -> Configured:
    """Return a config with what stands beside it.

    Raises:
        InputError: Names the file that is not of its form.
    """
    return _with_modelopt(_with_sentence(found, files, read), files, read)


def _with_modelopt(found: Configured, files: Mapping[str, int], read: ReadRange) -> Configured:
    """Fold in ModelOpt's separate file, as vLLM does."""
    if _MODELOPT not in files or found.config.get("quantization_config"):
        return found
    whole = Fields(_document(_MODELOPT, files, read), _MODELOPT, _MODELOPT)
    section = {"quant_method": "modelopt", **whole.section("quantization").values}
    config = {**found.config, "quantization_config": section}
    return Configured(config, found.file, _MODELOPT)


def _with_sentence(found: Configured, files: Mapping[str, int], read: ReadRange) -> Configured:
    """Fold in the input length a sentence encoder was trained for, which vLLM enforces."""
    named = next((file for file in _SENTENCE if file in files), "")
    if not named:
        return found
    own = Fields(_document(named, files, read), named, named)
    length = own.maybe("max_seq_length")
    return Configured({**found.config, "max_seq_length": length}, found.file, found.packing)


def _document(path: str, files: Mapping[str, int], read: ReadRange) -> dict[str, Any]:
    if files[path] > CONFIG_CAP_BYTES:
        raise InputError("read config", path, f"{files[path]} bytes long, no config is")
    return load_config(read(path, 0, files[path]), path)
