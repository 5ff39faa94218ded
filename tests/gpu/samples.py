"""Models and headers the GPU tests share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from carferry.gpu.model.config import parse_config
from carferry.gpu.shape.shape import ModelShape

CONFIGS = Path(__file__).parents[1] / "data" / "configs"
LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}


def config_of(model: str) -> dict[str, Any]:
    """Return the config.json of a model under tests/data/configs."""
    config: dict[str, Any] = json.loads((CONFIGS / f"{model.replace('/', '--')}.json").read_text())
    return config


def shape_of(model: str) -> ModelShape:
    """Return the parsed shape of a model under tests/data/configs."""
    return parse_config(config_of(model), subject=model)


def header(entries: dict[str, Any], body: int = 0) -> bytes:
    """Return the bytes of a safetensors file with these entries and a body of zeros."""
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + bytes(body)


def llama_file(config: dict[str, Any], dtype: str = "BF16", width: int = 2) -> bytes:
    """Return a whole (zero) checkpoint of a llama config."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    keys = config["num_key_value_heads"] * hidden // config["num_attention_heads"]
    shapes = {"model.embed_tokens.weight": [config["vocab_size"], hidden]}
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        shapes |= {f"{at}self_attn.{n}_proj.weight": [hidden, hidden] for n in "qo"}
        shapes |= {f"{at}self_attn.{n}_proj.weight": [keys, hidden] for n in "kv"}
        shapes |= {f"{at}mlp.{n}_proj.weight": [inner, hidden] for n in ("gate", "up")}
        shapes[f"{at}mlp.down_proj.weight"] = [hidden, inner]
        shapes |= {f"{at}{n}_layernorm.weight": [hidden] for n in ("input", "post_attention")}
    shapes["model.norm.weight"] = [hidden]
    shapes["lm_head.weight"] = [config["vocab_size"], hidden]
    entries, offset = {}, 0
    for name, shape in shapes.items():
        size = width
        for side in shape:
            size *= side
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    return header(entries, offset)
