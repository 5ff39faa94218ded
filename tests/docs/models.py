"""The models that pages name: real configs, tensors, shapes and sizes; weights that say nothing.

What ``carferry plan`` prints of them is what it prints of the real ones. The configs are those of
``tests/data/configs`` (their sources stand there); SmolLM2's is written from its published facts,
as are the names and sizes of its files: it is the one whose packing pages show.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import models
from servers.content import Declared, Given, Synthetic
from servers.hub import Hub

TOKEN = "hf_" + "granted" * 4
"""What the gated models are granted to."""
SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct"
_CONFIGS = Path(__file__).parents[1] / "data/configs"
_SMOL_BYTES = {
    "README.md": 6_772,
    "config.json": 861,
    "generation_config.json": 132,
    "merges.txt": 466_391,
    "special_tokens_map.json": 655,
    "tokenizer_config.json": 3_764,
    "vocab.json": 800_662,
}
"""Sizes at commit 12fd25f77366fa6b3b4b768ec3050bf629380bac of the real hub."""
_SMOL_ONNX = {  # which there are; sizes about, so no page may show them
    "onnx/model.onnx": 540_000_000,
    "onnx/model_bnb4.onnx": 180_000_000,
    "onnx/model_fp16.onnx": 270_000_000,
    "onnx/model_int8.onnx": 137_000_000,
    "onnx/model_q4.onnx": 180_000_000,
    "onnx/model_q4f16.onnx": 118_000_000,
    "onnx/model_quantized.onnx": 137_000_000,
    "onnx/model_uint8.onnx": 137_000_000,
}
_SHARD_BYTES = 5_000_000_000  # transformers' usual largest file
_SMOL_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "max_position_embeddings": 8192,
    "model_type": "llama",
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "rms_norm_eps": 1e-05,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": 49152,
}

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A repository that pages name.

    Attributes:
        config: Name of a file of ``tests/data/configs``; empty: SmolLM2's.
        licence: Of its card.
        tokenizer_bytes: Size of its ``tokenizer.json``.
        gated: Whether it is granted to `TOKEN` alone.
        whole: Whether its weights can be read; else it can be planned only.
    """

    config: str
    licence: str
    tokenizer_bytes: int
    gated: bool = False
    whole: bool = False


MODELS = {
    SMOL: Model("", "apache-2.0", 2_104_556, whole=True),
    "ibm-granite/granite-3.1-2b-instruct": Model(
        "ibm-granite--granite-3.1-2b-instruct", "apache-2.0", 3_476_578
    ),
    "meta-llama/Llama-3.1-8B-Instruct": Model(
        "meta-llama--Llama-3.1-8B-Instruct", "llama3.1", 9_085_657, gated=True
    ),
    "meta-llama/Llama-3.1-405B-Instruct": Model(
        "meta-llama--Llama-3.1-405B", "llama3.1", 9_085_657, gated=True
    ),
    "Qwen/Qwen2.5-0.5B-Instruct": Model("Qwen--Qwen2.5-0.5B-Instruct", "apache-2.0", 7_031_645),
    "Qwen/Qwen2.5-7B-Instruct": Model("Qwen--Qwen2.5-7B-Instruct", "apache-2.0", 7_031_645),
}


def fill(hub: Hub) -> None:
    """Add every model to a hub."""
    for name, model in MODELS.items():
        token = TOKEN if model.gated else None
        card = {"license": model.licence}
        hub.add(name, files(name), gated=model.gated, token=token, card=card)


def files(name: str) -> dict[str, Given]:
    """Return the files of a model."""
    model = MODELS[name]
    config = _config(model)
    template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    documents = {
        "config.json": config,
        "generation_config.json": {"do_sample": True, "eos_token_id": config.get("eos_token_id")},
        "special_tokens_map.json": {"eos_token": "<|im_end|>"},
        "tokenizer_config.json": {
            "chat_template": template,
            "model_max_length": config["max_position_embeddings"],
        },
    }
    title = name.partition("/")[2]
    card = f"---\nlicense: {model.licence}\npipeline_tag: text-generation\n---\n# {title}\n"
    tokenizer = models.tiny()["tokenizer.json"]
    tokenizer = b"{" + b" " * (model.tokenizer_bytes - len(tokenizer)) + tokenizer[1:]
    text = {path: _json(document) for path, document in documents.items()}
    found = {"README.md": card.encode(), "tokenizer.json": tokenizer} | text
    return (_as_large(found) if name == SMOL else found) | _weights(name, config)


def _as_large(found: Mapping[str, bytes]) -> dict[str, Given]:
    """Return SmolLM2's files in their real sizes, with those that other models lack here."""
    held = {"merges.txt": b"#version: 0.2\n", "vocab.json": b"{}\n", **found}
    sized: dict[str, Given] = {path: _padded(path, text) for path, text in held.items()}
    onnx = {path: Declared(size, _sha256(path)) for path, size in _SMOL_ONNX.items()}
    return sized | onnx


def _padded(path: str, text: bytes) -> bytes:
    missing = _SMOL_BYTES.get(path, len(text)) - len(text)
    if path.endswith(".json"):
        return text[:1] + b" " * missing + text[1:]
    return text + b"\n" * missing


def _config(model: Model) -> dict[str, Any]:
    if not model.config:
        return dict(_SMOL_CONFIG)
    return dict(json.loads((_CONFIGS / f"{model.config}.json").read_text()))


def _weights(name: str, config: Mapping[str, Any]) -> dict[str, Given]:
    """Return the weights' files, cut as transformers cuts them, and their index."""
    shards = list(_shards(dict(tensors(config))))
    if len(shards) == 1:
        return {"model.safetensors": _shard(name, 0, shards[0])}
    found: dict[str, Given] = {}
    places: dict[str, str] = {}
    for number, shard in enumerate(shards):
        path = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        found[path] = _shard(name, number, shard)
        places |= dict.fromkeys(shard, path)
    total = sum(_bytes(shape) for shard in shards for shape in shard.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    return found | {"model.safetensors.index.json": _json(index)}


def tensors(config: Mapping[str, Any]) -> Iterator[tuple[str, Shape]]:
    """Yield the tensors of a Llama and its kin in the order of their modules."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    vocabulary = (config["vocab_size"], hidden)
    head = config.get("head_dim") or hidden // config["num_attention_heads"]
    queries, keys = (head * config[f"num_{kind}_heads"] for kind in ("attention", "key_value"))
    biased = config["model_type"] == "qwen2"
    yield "model.embed_tokens.weight", vocabulary
    for number in range(config["num_hidden_layers"]):
        at = f"model.layers.{number}"
        for part, rows in (("q", queries), ("k", keys), ("v", keys)):
            yield f"{at}.self_attn.{part}_proj.weight", (rows, hidden)
            if biased:
                yield f"{at}.self_attn.{part}_proj.bias", (rows,)
        yield f"{at}.self_attn.o_proj.weight", (hidden, queries)
        yield f"{at}.mlp.gate_proj.weight", (inner, hidden)
        yield f"{at}.mlp.up_proj.weight", (inner, hidden)
        yield f"{at}.mlp.down_proj.weight", (hidden, inner)
        yield f"{at}.input_layernorm.weight", (hidden,)
        yield f"{at}.post_attention_layernorm.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    if not config.get("tie_word_embeddings"):
        yield "lm_head.weight", vocabulary


def _shards(found: Mapping[str, Shape]) -> Iterator[dict[str, Shape]]:
    shard: dict[str, Shape] = {}
    for name, shape in found.items():
        if shard and sum(map(_bytes, shard.values())) + _bytes(shape) > _SHARD_BYTES:
            yield shard
            shard = {}
        shard[name] = shape
    yield shard


def _shard(name: str, number: int, held: Mapping[str, Shape]) -> Given:
    head = _header(held)
    size = len(head) + sum(_bytes(shape) for shape in held.values())
    if MODELS[name].whole:
        return Synthetic(size, number, head)
    return Declared(size, _sha256(f"{name} {number}"), head)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _header(held: Mapping[str, Shape]) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in sorted(held.items()):
        start, end = end, end + _bytes(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _bytes(shape: Shape) -> int:
    return 2 * math.prod(shape)


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
