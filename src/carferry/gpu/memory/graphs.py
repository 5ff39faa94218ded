"""CUDA graphs: how many are captured, and what they take.

The sizes are vLLM's (``config/vllm.py``, _set_cudagraph_sizes): one graph per size for mixed
batches, cut at the attention of every layer, and one whole per size that a batch of decoding
sequences can have; both with adapters and without (``v1/cudagraph_dispatcher.py``). What a layer of
one graph takes is fitted on published logs.
"""

from __future__ import annotations

from carferry.gpu.memory.choice import Choice
from carferry.gpu.memory.vendors import vendor_of
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.vllm.releases import VllmVersion

_LARGEST = 512
_LARGEST_OF_GPT_OSS = 1024
"""``models/config.py`` doubles it for gpt-oss."""

_WORKSPACE_GIB = 394 / 1024
"""FlashInfer's workspace, the default attention there (``envs.py``; 0.12 and later)."""


def graphs_gib(shape: ModelShape, choice: Choice, version: VllmVersion) -> float:
    """Return the GiB of one rank's graphs; 0 if none are captured."""
    if choice.eager or shape.pooling:
        return 0.0
    vendor = vendor_of(choice.gpu.vendor)
    layers = len(shape.layers) / choice.pp
    pieces = vendor.per_graph * captured(shape, choice, version) * layers
    return vendor.graphs + pieces + _workspace(shape, choice)


def _workspace(shape: ModelShape, choice: Choice) -> float:
    """Return the GiB that the attention of data-centre Blackwell takes in the first capture."""
    special = shape.latent or shape.ratios or not shape.global_heads.kv
    return 0.0 if special or not _is_blackwell(choice) else _WORKSPACE_GIB


def _is_blackwell(choice: Choice) -> bool:
    return choice.gpu.vendor == "nvidia" and 100 <= choice.gpu.capability < 110


def captured(shape: ModelShape, choice: Choice, version: VllmVersion) -> int:
    """Return how many graphs are captured: of mixed batches, and of decoding alone."""
    sizes = _sizes(choice, _largest(shape, choice, version))
    alone = choice.max_num_seqs * (1 + choice.speculative_tokens)
    cases = version.lora_graphs if choice.lora_rank else 1
    return cases * (len(sizes) + sum(size <= alone for size in sizes))


def _largest(shape: ModelShape, choice: Choice, version: VllmVersion) -> int:
    """Return the largest batch of a graph."""
    if shape.model_type == "gpt_oss":
        return _LARGEST_OF_GPT_OSS
    return version.blackwell_graphs if _is_blackwell(choice) else _LARGEST


def _sizes(choice: Choice, largest: int) -> tuple[int, ...]:
    wanted = choice.max_num_seqs * (1 + choice.speculative_tokens) * 2
    most = min(wanted, largest, choice.max_num_batched_tokens)
    small = [size for size in (1, 2, 4) if size <= most]
    middle, large = range(8, min(most + 1, 256), 8), range(256, most + 1, 16)
    return (*small, *middle, *large)
