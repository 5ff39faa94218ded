"""Peers on the same rows: what they would have predicted, by their formulas or by their code.

llm-d-planner: the formulas of ``capacity_planner.py`` at e50305a, re-expressed: constants per
architecture for activations, weights over TP x PP, 16-bit KV from num_layers x heads x width.
hf-mem: its own ``compute_safetensors_kv_cache_size`` if the package is installed; it has no
GPU fit, so its KV share is what remains of the budget after the weights.
KAITO: weights x 1.02 and 2.3 GiB and 5% at utilization 0.84, every layer counted as full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from carferry.gpu.memory.estimate import Choice
from carferry.gpu.memory.params import weight_parts
from carferry.gpu.model.shape import ModelShape
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
    """Return every peer that can run here; hf-mem only if it is installed."""
    found: dict[str, Peer] = {"llm-d-planner": llm_d_planner, "KAITO": kaito}
    try:
        import hf_mem.safetensors  # noqa: F401
    except ImportError:
        print("peer hf-mem is not installed (pip install hf-mem): left out")
        return found
    return {**found, "hf-mem": hf_mem_peer}


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
        print(f"hf-mem on {shape.architecture}: {type(error).__name__}: {error}")
        return Guess(weights / gpus, left, None)
    return Guess(weights / gpus, left, size / length / gpus)


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
