"""Peers on the same rows: what they would have predicted, by their own code where it runs.

llm-d-planner: its ``allocatable_kv_cache_memory`` if ``LLM_D_PLANNER`` names a checkout, else
its formulas at e50305a in our words: constants per architecture for activations, weights over
TP x PP, 16-bit KV from layers x heads x width.
vramscout: its ``plan_modern`` if the package is installed, with its vLLM budget.
hf-mem: its own ``compute_safetensors_kv_cache_size`` if the package is installed; it has no
GPU fit, so its KV share is what remains of the budget after the weights.
KAITO: weights x 1.02 and 2.3 GiB and 5% at utilization 0.84, every layer counted as full.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from carferry.gpu.loaded.params import weight_parts
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.sizing.estimate import Choice
from carferry.gpu.units import BITS, GIB

_PROFILES = {
    "LlamaForCausalLM": 4.8,
    "Qwen2ForCausalLM": 5.6,
    "Qwen3ForCausalLM": 5.6,
    "PixtralForConditionalGeneration": 2.5,
    "Mistral3ForConditionalGeneration": 2.5,
}
_IMAGES = ("LlavaForConditionalGeneration", "LlavaNextForConditionalGeneration")


@dataclass(frozen=True)
class Guess:
    """What a peer says: GiB of weights per GPU, GiB of KV cache, bytes per token; None if mute."""

    weights_gib: float | None
    kv_gib: float | None
    bytes_per_token: float | None


Peer = Callable[[ModelShape, Mapping[str, Any], Choice], Guess]


def peers() -> dict[str, Peer]:
    """Return every peer that can run here; those that are packages only if installed."""
    planner = real_planner()
    found: dict[str, Peer] = {"llm-d-planner": planner or llm_d_planner, "KAITO": kaito}
    for name, package, peer in (
        ("hf-mem", "hf_mem", hf_mem_peer),
        ("vramscout", "vramscout", vramscout_peer),
    ):
        if importlib.util.find_spec(package):
            found[name] = peer
        else:
            print(f"peer {name} is not installed (pip install {name}): left out", file=sys.stderr)
    return found


def real_planner() -> Peer | None:
    """Return llm-d-planner's own function from the checkout that LLM_D_PLANNER names."""
    checkout = os.environ.get("LLM_D_PLANNER")
    if not checkout:
        return None
    path = Path(checkout) / "src" / "planner" / "capacity_planner.py"
    spec = importlib.util.spec_from_file_location("capacity_planner", path)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return partial(_asked_planner, module)


def _asked_planner(
    module: Any, shape: ModelShape, config: Mapping[str, Any], choice: Choice
) -> Guess:
    """Ask the real function; only the checkpoint's size, which it would download, is ours."""
    gpus, weights = choice.tp * choice.pp, stored_gib(shape)
    module.model_memory_req = lambda *_: weights
    described = _attributes({**config, "architectures": [shape.architecture]})
    try:
        kv = module.allocatable_kv_cache_memory(
            "model", described, choice.gpu.memory_gib, choice.utilization,
            tp=choice.tp, pp=choice.pp, max_model_len=choice.max_model_len,
        )  # fmt: skip
    except (AttributeError, TypeError, ValueError) as error:
        print(f"llm-d-planner on {shape.architecture}: {error}", file=sys.stderr)
        return Guess(weights / gpus, None, None)
    try:
        per_request = module.kv_cache_req("model", described, 1024)
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        return Guess(weights / gpus, kv / gpus, None)
    return Guess(weights / gpus, kv / gpus, per_request * GIB / 1024 / gpus)


def _attributes(value: Any) -> Any:
    """Return a config as transformers would give it: fields as attributes."""
    if not isinstance(value, Mapping):
        return value
    return SimpleNamespace(**{key: _attributes(each) for key, each in value.items()})


def stored_gib(shape: ModelShape) -> float:
    """Return the checkpoint's size, GiB: the headers are not at hand, so all peers get this."""
    return sum(part.count * _bits(shape, part.name) / 8 for part in weight_parts(shape)) / GIB


def _bits(shape: ModelShape, part: str) -> float:
    packed = shape.quantization.of(part) if shape.quantization else None
    return packed or BITS["bfloat16"]


def llm_d_planner(shape: ModelShape, config: Mapping[str, Any], choice: Choice) -> Guess:
    """Constants per architecture; MLA and sliding windows counted as if divided by TP."""
    gpus = choice.tp * choice.pp
    weights = stored_gib(shape)
    beside = _activation(shape) + (0.15 if choice.tp == 1 else 0.6) * gpus
    budget = choice.gpu.memory_gib * choice.utilization * gpus
    per_token = _flat_bytes(shape) / gpus
    return Guess(weights / gpus, max(0.0, budget - weights - beside) / gpus, per_token)


def kaito(shape: ModelShape, config: Mapping[str, Any], choice: Choice) -> Guess:
    """Weights x 1.02 and fixed reserves at its own utilization of 0.84."""
    gpus = choice.tp * choice.pp
    weights = stored_gib(shape) * 1.02 / gpus
    left = choice.gpu.memory_gib * 0.84 * 0.95 - weights - 2.3
    return Guess(weights, max(0.0, left), _flat_bytes(shape) / gpus)


def hf_mem_peer(shape: ModelShape, config: Mapping[str, Any], choice: Choice) -> Guess:
    """hf-mem's own KV function over one request; nothing beside weights and cache."""
    from hf_mem.safetensors import compute_safetensors_kv_cache_size

    gpus, length = choice.tp * choice.pp, 4096
    weights = stored_gib(shape)
    text = {**config, **(config.get("text_config") or {})}
    left = choice.gpu.memory_gib * choice.utilization - weights / gpus
    try:
        size = compute_safetensors_kv_cache_size(
            config=text, cache_dtype="BF16", max_model_len=length, batch_size=1
        )
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        print(f"hf-mem on {shape.architecture}: {error}", file=sys.stderr)
        return Guess(weights / gpus, left, None)
    return Guess(weights / gpus, left, size / length / gpus)


def vramscout_peer(shape: ModelShape, config: Mapping[str, Any], choice: Choice) -> Guess:
    """Plan of vramscout for a folder with the config; the checkpoint's size is ours."""
    from vramscout import modern_v06, modern_v07

    length, stored = 4096, stored_gib(shape) * GIB
    count = sum(part.count for part in weight_parts(shape))
    modern_v06._selected_hub_metadata = lambda *_: (int(count), int(stored))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        try:
            plan = modern_v07.plan_modern(
                folder, context=length, tp=choice.tp, vram_gib=choice.gpu.memory_gib,
                kv_dtype=choice.kv_dtype, prefill_chunk=choice.max_num_batched_tokens,
                engine="vllm", gpu_memory_utilization=choice.utilization,
            )  # fmt: skip
        except (ValueError, TypeError, RuntimeError, KeyError) as error:
            print(f"vramscout on {shape.architecture}: {error}", file=sys.stderr)
            return Guess(None, None, None)
    parts = dict(plan.parts_gib)
    weights = parts.pop("Model weights / rank", None)
    beside = sum(parts.pop(name, 0.0) for name in ("CUDA / runtime", "Prefill scratch"))
    cache = sum(parts.values())
    left = plan.memory_budget_gib - (weights or 0.0) - beside
    return Guess(weights, max(0.0, left), cache * GIB / length)


def _activation(shape: ModelShape) -> float:
    if shape.architecture in _PROFILES:
        return _PROFILES[shape.architecture]
    if shape.experts:
        return 8.0
    return 2.5 if shape.architecture in _IMAGES else 5.5


def _flat_bytes(shape: ModelShape) -> float:
    """Bytes per token with every layer taken for full attention."""
    width = BITS["bfloat16"] // 8
    if shape.latent and shape.architecture.startswith("Deepseek"):
        return len(shape.layers) * (shape.latent.kv_rank + shape.latent.rope) * width
    return len(shape.layers) * 2 * shape.heads.kv * shape.heads.dim * width
