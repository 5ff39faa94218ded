"""The command of an option: vLLM's arguments, explicit where something is known."""

from __future__ import annotations

import json

from carferry.gpu.search.goal import Goal
from carferry.gpu.search.unchecked import takes_auto
from carferry.gpu.sizing.estimate import Choice, Estimate, Model
from carferry.gpu.vllm.version import find_version
from carferry.gpu.vllm_args import VllmArgs


def command_of(model: Model, goal: Goal, best: Estimate) -> VllmArgs:
    """Return the arguments of an option; of a known model, nothing is left to a default."""
    choice, vision = best.choice, model.shape.vision
    if not best.is_sized:
        return _unknown(model, goal, choice)
    return VllmArgs(
        tensor_parallel_size=choice.tp,
        pipeline_parallel_size=choice.pp if choice.pp > 1 else None,
        data_parallel_size=choice.data_parallel if choice.data_parallel > 1 else None,
        enable_expert_parallel=choice.expert_parallel or None,
        dtype=choice.dtype,
        quantization=choice.quantization or None,
        kv_cache_dtype=choice.kv_dtype if choice.kv_dtype != "auto" else None,
        max_model_len=choice.max_model_len,
        max_num_seqs=choice.max_num_seqs,
        max_num_batched_tokens=choice.max_num_batched_tokens,
        gpu_memory_utilization=choice.utilization,
        mm_encoder_tp_mode="data" if vision and vision.must_copy(choice.tp) else None,
        enable_lora=True if choice.lora_rank else None,
        max_loras=choice.loras or None,
        max_lora_rank=choice.lora_rank or None,
        speculative_config=_drafts(choice.speculative_tokens),
    )


def _unknown(model: Model, goal: Goal, choice: Choice) -> VllmArgs:
    """Return what is sure where the plan does not know the model or the GPU; the rest is vLLM's.

    The context is what the user said, else what vLLM finds to fit, else a short one if the
    config tells how long the model's own is.
    """
    length: int | str | None = goal.max_model_len
    if length is None and takes_auto(find_version(goal.vllm)):
        length = "auto"
    elif length is None:
        length = choice.max_model_len
    return VllmArgs(
        tensor_parallel_size=choice.tp,
        pipeline_parallel_size=choice.pp if choice.pp > 1 else None,
        data_parallel_size=choice.data_parallel if choice.data_parallel > 1 else None,
        enable_expert_parallel=choice.expert_parallel or None,
        dtype=goal.dtype if goal.dtype != "auto" else None,
        quantization=choice.quantization or None,
        kv_cache_dtype=goal.kv_dtype if goal.kv_dtype != "auto" else None,
        max_model_len=length,
        max_num_seqs=choice.max_num_seqs,
        gpu_memory_utilization=choice.utilization,
        enable_lora=True if choice.lora_rank else None,
        max_loras=choice.loras or None,
        max_lora_rank=choice.lora_rank or None,
        speculative_config=_drafts(choice.speculative_tokens),
    )


def _drafts(tokens: int) -> str | None:
    """Return the JSON that asks for a model's own draft layers; vLLM 0.11 and later know it."""
    if not tokens:
        return None
    return json.dumps({"method": "mtp", "num_speculative_tokens": tokens}, separators=(",", ":"))
