"""Why vLLM would refuse a choice at its start, whatever the memory: every rule in one place.

The search, the benchmark and the tests ask ``refusal``; what depends on memory is in
``estimate``: weights, one request, a block of states for every sequence.

Sources: vLLM ``config/scheduler.py`` and ``config/model.py`` (numbers), ``config/lora.py``,
``lora/layers/logits_processor.py`` (vocabulary), ``v1/core/encoder_cache_manager.py``,
``v1/attention/backends/mla`` (cache types), ``config/vllm.py`` (blocks of states, 0.20 to 0.27).
"""

from __future__ import annotations

from collections.abc import Iterator

from carferry.gpu.memory.choice import Choice
from carferry.gpu.memory.kv import cache
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.sizing.limits import dtype_reason, kv_dtype_reason, quantization_reason
from carferry.gpu.sizing.parallel import context_reason, pipeline_reason, tensor_reason
from carferry.gpu.sizing.served import release_reason
from carferry.gpu.vllm.releases import VllmVersion

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Largest ranks of adapters that vLLM takes."""

_ADAPTED_VOCABULARY = 257024
"""Largest vocabulary with adapters (258048 from 0.33 on)."""

_COPIED_TOWERS = 0, 11, 0
"""From here on classes of many towers run them whole on every rank, if asked to."""

_CLIP = 1500
"""Tokens of one clip of audio in Whisper's decoder, which are never split."""


def refusal(shape: ModelShape, choice: Choice, version: VllmVersion) -> str:
    """Return why vLLM would refuse a choice; empty if it starts, given the memory."""
    return next(refusals(shape, choice, version), "")


def refusals(shape: ModelShape, choice: Choice, version: VllmVersion) -> Iterator[str]:
    """Yield every reason for which vLLM would refuse a choice, memory apart."""
    gpu = choice.gpu
    reasons = (
        release_reason(shape, gpu, version),
        quantization_reason(shape, gpu, version),
        dtype_reason(shape, gpu, choice.dtype),
        kv_dtype_reason(shape, choice, version),
        tensor_reason(shape, choice.tp, _expert_ranks(choice), choice.data_parallel),
        context_reason(shape, choice.tp, choice.context_ranks),
        pipeline_reason(shape, choice.pp),
    )
    yield from (reason for reason in reasons if reason)
    yield from _number_reasons(shape, choice, version)
    if shape.vision and shape.vision.must_copy(choice.tp) and version.since < _COPIED_TOWERS:
        yield f"{shape.vision.heads} encoder heads do not divide by {choice.tp}"
    yield from _adapter_reasons(shape, choice)
    yield from _block_reasons(shape, choice, version)


def least_batch(shape: ModelShape, length: int, version: VllmVersion) -> int:
    """Return the fewest tokens a batch must take for a context of ``length`` tokens."""
    if shape.encoder:
        return max(_CLIP, length)
    whole = shape.pooling or (version.whole_prompts and length <= 32768)
    return length if whole else 1


def _expert_ranks(choice: Choice) -> int | None:
    return choice.expert_ranks if choice.expert_parallel else None


def _number_reasons(shape: ModelShape, choice: Choice, version: VllmVersion) -> Iterator[str]:
    batch, seqs = choice.max_num_batched_tokens, choice.max_num_seqs
    least = least_batch(shape, choice.max_model_len, version)
    if batch < least:
        yield f"a batch of {batch} tokens does not hold one input of {least}"
    if not 0 < seqs <= batch:
        yield f"{seqs} sequences do not fit a batch of {batch} tokens"
    if not 0 < choice.max_model_len <= shape.positions:
        yield f"context of {choice.max_model_len} tokens, the model has {shape.positions}"
    if not 0 < choice.utilization <= 1:
        yield f"utilization {choice.utilization:g} is not above 0 and at most 1"


def _adapter_reasons(shape: ModelShape, choice: Choice) -> Iterator[str]:
    if not choice.lora_rank:
        return
    if choice.lora_rank not in _RANKS:
        yield f"adapters of rank {choice.lora_rank}; vLLM takes {', '.join(map(str, _RANKS))}"
    if shape.vocab > _ADAPTED_VOCABULARY:
        yield f"adapters with a vocabulary of {shape.vocab}, over {_ADAPTED_VOCABULARY}"


def _block_reasons(shape: ModelShape, choice: Choice, version: VllmVersion) -> Iterator[str]:
    """Check blocks of aligned states: until 0.27 a batch had to hold one."""
    if not choice.prefix_caching or version.aligned_states:
        return
    block = cache(shape, choice, version).state_block
    if block and block > choice.max_num_batched_tokens:
        batch = choice.max_num_batched_tokens
        yield f"a batch of {batch} tokens does not hold a block of states of {block}"
