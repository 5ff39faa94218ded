"""Tiny models that real readers accept, and file names that no image may hold.

The weights follow the safetensors format: 8 bytes of header length, a JSON header padded with
spaces, then the tensors back to back (README of huggingface/safetensors, "Format").
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers

from servers.content import Declared, Synthetic

WORDS = ("[UNK]", "[PAD]", "a", "ferry", "carries", "models", "over", "the", "water")
_HEADER_BYTES = 120
_DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I8": 1}

Shape = tuple[int, ...]


def tiny(seed: int = 0) -> dict[str, bytes]:
    """Return a model of one shard: config, tokenizer, weights, card and licence."""
    return _common() | {"model.safetensors": weights(_tensors(range(2)), seed=seed)}


def sharded(shards: int = 3, seed: int = 0) -> dict[str, bytes]:
    """Return a model whose weights are spread over shards, with their index."""
    files = _common()
    weight_map: dict[str, str] = {}
    for number in range(shards):
        name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        tensors = _tensors([number])
        files[name] = weights(tensors, seed=seed + number)
        weight_map |= dict.fromkeys(tensors, name)
    sizes = [len(files[name]) - header_bytes(files[name]) for name in set(weight_map.values())]
    index = {"metadata": {"total_size": sum(sizes)}, "weight_map": weight_map}
    return files | {"model.safetensors.index.json": _json(index)}


def weights(tensors: Mapping[str, Shape], *, dtype: str = "BF16", seed: int = 0) -> bytes:
    """Return a safetensors file with pseudo-random tensors of these shapes."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in tensors.items():
        start, end = end, end + math.prod(shape) * _DTYPE_BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + random.Random(seed).randbytes(end)


def filled(size_bytes: int, seed: int = 0, body: bytes = b"") -> bytes:
    """Return a safetensors file of exactly this length: one tensor of random or given bytes."""
    head = _head(size_bytes, seed)
    left = size_bytes - len(head)
    return head + (body or random.Random(seed).randbytes(left))[:left]


def synthetic(size_bytes: int, seed: int = 0) -> Synthetic:
    """Return the same without its bytes in memory."""
    return Synthetic(size_bytes, seed, _head(size_bytes, seed))


def declared(size_bytes: int, seed: int = 0) -> Declared:
    """Return the same without any bytes but its header; its sha256 is made up."""
    sha256 = hashlib.sha256(b"%d" % seed).hexdigest()
    return Declared(size_bytes, sha256, _head(size_bytes, seed))


def _head(size_bytes: int, seed: int) -> bytes:
    body = size_bytes - 8 - _HEADER_BYTES
    header = {f"filled.{seed}": {"dtype": "U8", "shape": [body], "data_offsets": [0, body]}}
    return struct.pack("<Q", _HEADER_BYTES) + json.dumps(header).encode().ljust(_HEADER_BYTES)


def header_bytes(file: bytes) -> int:
    """Return how many bytes of a safetensors file come before the tensors."""
    return 8 + int(struct.unpack("<Q", file[:8])[0])


def write(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write a model into a folder, made if missing; return the folder.

    Raises:
        ValueError: An absolute name, as `HOSTILE` has one: nothing is written.
    """
    for name in files:
        if name.startswith("/"):
            raise ValueError(f"{name!a} would overwrite a file of this machine")
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder


def _tensors(layers: Sequence[int]) -> dict[str, Shape]:
    names = [f"model.layers.{n}.{part}" for n in layers for part in ("weight", "bias")]
    return {name: (16, 8) if name.endswith("weight") else (16,) for name in names}


def _common() -> dict[str, bytes]:
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    return {
        "LICENSE": b"Do what you like with this model.\n",
        "README.md": b"---\nlicense: apache-2.0\n---\n# A tiny model\n",
        "config.json": _json(CONFIG),
        "generation_config.json": _json({"do_sample": False}),
        "tokenizer.json": _tokenizer(),
        "tokenizer_config.json": _json({"model_max_length": 64, "chat_template": template}),
    }


CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "torch_dtype": "bfloat16",
    "vocab_size": len(WORDS),
}


@functools.cache
def _tokenizer() -> bytes:
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(tokenizer.to_str(pretty=True)).encode()


def _json(document: object) -> bytes:
    return json.dumps(document, indent=2).encode()


# Why a name is hostile, and the name. A hub can send any of them; not every disk can hold them.
HOSTILE = {
    "climbs out": "../outside.json",
    "climbs out from a folder": "a/../../outside.json",
    "goes nowhere": "a/./b.json",
    "absolute": "/etc/passwd",
    "empty part": "a//b.json",
    "whiteout": ".wh.config.json",
    "whiteout in a folder": "a/.wh.config.json",
    "opaque whiteout": "a/.wh..wh..opq",
    "newline": "line\nbreak.json",
    "carriage return": "line\rbreak.json",
    "nul": "nul\0byte.json",
    "escape sequence": "\x1b[31mred.json",
    "right-to-left override": "gnp\u202enosj.json",
    "too long for a disk": "n" * 256 + ".json",
}

# Pairs that one case-insensitive disk, or one tar, cannot hold apart.
COLLIDING = {
    "case": ("Config.json", "config.json"),
    "case of a folder": ("Sub/a.json", "sub/a.json"),
    "file and folder": ("data", "data/a.json"),
}

# Odd but valid: these must arrive.
ODD = {
    "space": "my model.json",
    "accent": "mod\u00e8le.json",
    "percent": "100%25.json",
    "hash and question": "a#b?c.json",
    "longer than a tar name": "d" * 60 + "/" + "e" * 60 + ".json",
    "longer than ustar": "/".join(["f" * 80] * 4) + ".json",
    "leading dash": "-rf.json",
}
