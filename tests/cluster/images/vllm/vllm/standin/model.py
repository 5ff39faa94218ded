"""A model's files, opened as vLLM opens them, and what is wrong with them in vLLM's words.

Sources: vLLM 0.24 ``config/model.py`` (lengths, heads), ``model_executor/models/registry.py``
(architectures), ``renderers/params.py``; safetensors 0.6 (its Rust errors); transformers 4.57
``configuration_utils.py`` and ``tokenization_utils_base.py`` (missing files).
"""

from __future__ import annotations

import json
import os
import struct
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json", "vocab.txt")
_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length",
            "max_target_positions", "model_max_length")  # fmt: skip
_SUFFIXES = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel", "Model",
             "ForSequenceClassification", "ForTextEncoding")  # fmt: skip


class Unusable(Exception):
    """vLLM would not serve this; the text is its own.

    Attributes:
        checked: Whether pydantic reports it, as it does what a config's validation raises.
    """

    def __init__(self, text: str, *, kind: str = "ValueError", checked: bool = False) -> None:
        super().__init__(text)
        self.kind, self.checked = kind, checked


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be served.

    Attributes:
        options: The server's arguments.
        config: Of ``config.json``.
        max_model_len: Tokens of prompt and answer together.
        tensors: How many tensors the weight files hold.
        words: What the tokenizer knows.
        loras: Adapters by name.
    """

    options: Namespace
    config: Mapping[str, Any]
    max_model_len: int
    tensors: int
    words: tuple[str, ...]
    loras: Mapping[str, Path]

    @property
    def name(self) -> str:
        """Its name in the API."""
        return self.names[0]

    @property
    def names(self) -> list[str]:
        """All its names in the API."""
        return list(self.options.served_model_name or [self.options.model])

    @property
    def task(self) -> str:
        """``generate``, ``transcription`` or ``embed``."""
        (architecture, *_) = self.config["architectures"]
        if "Whisper" in architecture or "Voxtral" in architecture:
            return "transcription"
        asked = {self.options.__dict__.get(each) for each in ("runner", "convert", "task")}
        if asked & {"pooling", "embed", "embedding"}:
            return "embed"
        return "generate" if architecture.endswith(_SUFFIXES[:3]) else "embed"


def load(options: Namespace) -> Model:
    """Open every file of a model.

    Raises:
        Unusable: vLLM would not serve it.
    """
    folder = Path(options.model or options.model_tag or "Qwen/Qwen3-0.6B")
    options.model = str(folder)
    config = _config(folder)
    length = _length(options, config)
    _check_heads(options, config)
    words = _tokenizer(folder)
    tensors = sum(_tensors(path) for path in _weights(folder))
    if options.speculative_config:
        _config(Path(json.loads(options.speculative_config).get("model", folder)))
    return Model(options, config, length, tensors, words, dict(_adapters(options)))


def _config(folder: Path) -> Mapping[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise Unusable(
            f"Invalid repository ID or local directory specified: '{folder}'.\nPlease verify the "
            "following requirements:\n1. Provide a valid Hugging Face repository ID.\n2. Specify a "
            "local directory that contains a recognized configuration file.\n   - For Hugging Face "
            "models: ensure the presence of a 'config.json'.\n   - For Mistral models: ensure the "
            "presence of a 'params.json'.",
            checked=True,
        )
    config = json.loads(path.read_text())
    architectures = config.get("architectures") or []
    if not any(each.endswith(_SUFFIXES) for each in architectures):
        raise unsupported(architectures)
    return dict(config)


def unsupported(architectures: list[str]) -> Unusable:
    """Return vLLM's words on a model that it does not know."""
    return Unusable(
        f"Model architectures {architectures} are not supported for now. "
        "Supported architectures: dict_keys(['ApertusForCausalLM', 'LlamaForCausalLM', "
        "'WhisperForConditionalGeneration'])",
        checked=True,
    )


def _length(options: Namespace, config: Mapping[str, Any]) -> int:
    text = config.get("text_config") or config
    key = next((each for each in _LENGTHS if isinstance(text.get(each), int)), None)
    derived = text[key] if key else 2048
    asked = options.max_model_len
    if asked in (None, -1):
        return int(derived)
    if asked > derived and os.environ.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") != "1":
        raise Unusable(
            f"User-specified max_model_len ({asked}) is greater than the derived max_model_len "
            f"({key}={derived} or model_max_length=None in model's config.json). "
            "To allow overriding this maximum, set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1.",
            checked=True,
        )
    return int(asked)


def _check_heads(options: Namespace, config: Mapping[str, Any]) -> None:
    text = config.get("text_config") or config
    heads, parts = text.get("num_attention_heads", 1), options.tensor_parallel_size or 1
    if heads % parts:
        raise Unusable(
            f"Total number of attention heads ({heads}) must be divisible by tensor parallel size "
            f"({parts}).",
            checked=True,
        )


def _tokenizer(folder: Path) -> tuple[str, ...]:
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise Unusable(
            f"Can't load tokenizer for '{folder}'. If you were trying to load it from "
            "'https://huggingface.co/models', make sure you don't have a local directory with the "
            f"same name. Otherwise, make sure '{folder}' is the correct path to a directory "
            "containing all relevant files for a tokenizer.",
            kind="OSError",
        )
    path = folder / "tokenizer.json"
    found = json.loads(path.read_text())["model"].get("vocab", {}) if path.is_file() else {}
    words = [each for each in found if isinstance(each, str) and each.isalpha()]
    return tuple(words) or ("ferry", "carries", "models")


def _weights(folder: Path) -> Iterable[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = set(json.loads(index.read_text())["weight_map"].values())
        return [folder / name for name in sorted(names)]
    found = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not found:
        raise Unusable(f"Cannot find any model weights with `{folder}`", kind="RuntimeError")
    return found


def _tensors(path: Path) -> int:
    """Count the tensors of a file, and see that its bytes are there."""
    if not path.is_file():
        raise Unusable(f'No such file or directory: "{path}"', kind="FileNotFoundError")
    if path.suffix != ".safetensors":
        return 1
    with path.open("rb") as stream:
        start = stream.read(8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        header = json.loads(stream.read(size) or b"{}")
    header.pop("__metadata__", None)
    end = max((each["data_offsets"][1] for each in header.values()), default=0)
    if not header or path.stat().st_size != 8 + size + end:
        raise Unusable(
            "Error while deserializing header: incomplete metadata, file not fully covered",
            kind="safetensors_rust.SafetensorError",
        )
    return len(header)


def _adapters(options: Namespace) -> Iterable[tuple[str, Path]]:
    for each in options.lora_modules or []:
        if each.startswith("{"):
            given = json.loads(each)
            name, path = given["name"], given["path"]
        else:
            name, _, path = each.partition("=")
        if not (Path(path) / "adapter_config.json").is_file():
            raise Unusable(
                f"Loading lora {name} failed: No adapter found for {path}",
                kind="vllm.exceptions.LoRAAdapterNotFoundError",
            )
        yield name, Path(path)
