"""How long one ``carferry plan`` takes from a config and the headers of its weights."""

from __future__ import annotations

import json
import math
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PAIRS = (
    ("meta-llama/Llama-3.1-70B-Instruct", "H100 x4"),
    ("meta-llama/Llama-3.1-405B", "RTX 4090"),
)
"""What fits, and what fits nowhere: every change is searched then."""

_RUNS = 5


def plan_seconds(configs: Path) -> dict[str, float]:
    """Return the fastest of five runs of each command, seconds, the interpreter's start included.

    The second model does not fit its GPU, so that what would help is searched.
    """
    return {f"{model} on {gpus}": _fastest(configs, model, gpus) for model, gpus in _PAIRS}


def _fastest(configs: Path, name: str, gpus: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder)
        _write(model, configs / f"{name.replace('/', '--')}.json")
        return min(_run(model, gpus) for _ in range(_RUNS))


def _write(model: Path, config: Path) -> None:
    """Make a checkpoint of headers alone: the weights behind them are a hole in the file."""
    shutil.copyfile(config, model / "config.json")
    header, offset = {}, 0
    for name, shape in _tensors(json.loads(config.read_text())):
        size = 2 * math.prod(shape)
        place = [offset, offset + size]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": place}
        offset += size
    text = json.dumps(header).encode()
    with (model / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)


def _tensors(config: dict[str, Any]) -> Iterator[tuple[str, list[int]]]:
    """Yield a Llama checkpoint's tensors."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    keys = config["num_key_value_heads"] * (hidden // config["num_attention_heads"])
    yield "model.embed_tokens.weight", [config["vocab_size"], hidden]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        for name, rows in (("q", hidden), ("k", keys), ("v", keys), ("o", hidden)):
            yield f"{prefix}.self_attn.{name}_proj.weight", [rows, hidden]
        yield f"{prefix}.mlp.gate_proj.weight", [inner, hidden]
        yield f"{prefix}.mlp.up_proj.weight", [inner, hidden]
        yield f"{prefix}.mlp.down_proj.weight", [hidden, inner]
        yield f"{prefix}.input_layernorm.weight", [hidden]
        yield f"{prefix}.post_attention_layernorm.weight", [hidden]
    yield "model.norm.weight", [hidden]
    yield "lm_head.weight", [config["vocab_size"], hidden]


def _run(model: Path, gpus: str) -> float:
    command = [sys.executable, "-m", "carferry", "plan", str(model), "--gpu", gpus]
    start = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 3):
        raise RuntimeError(done.stderr)
    return seconds
