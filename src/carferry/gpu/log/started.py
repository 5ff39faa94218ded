"""What one start of vLLM said of itself; nothing is worked out here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartLog:
    """One start as its log tells it; None or empty where the log is silent.

    Of several ranks the fullest counts: the most it needed, and the least cache it was left.

    Attributes:
        version: Of vLLM, as it says, ``0.11.2+rhai5``.
        model: Path or repository.
        gpu: A product's name, where a kernel's configuration or an environment's report has it.
        dtype: Of the model, ``bfloat16``.
        quantization: As vLLM found it or was told.
        kv_dtype: ``auto`` or ``fp8``.
        block: Tokens per block, if asked for.
        total_gib: Memory of a GPU.
        requested_gib: vLLM's share of it.
        consumed_gib: Weights and non-torch together (from 0.27).
        peak_gib: Activations, and the reserve for CUDA graphs in it (from 0.27).
        graphs_gib: What CUDA graphs took.
        reserved_gib: What was set aside for them (from 0.18).
        kv_gib: What was left for the KV cache.
        needed_gib: What one request would have taken, if that is why it did not start.
        tokens: Of the KV cache, as logged, or those of its blocks (V0).
        concurrency: Requests of max_model_len at once, as logged.
        blocks: Of the KV cache (V0).
        fixed_kv: The KV cache's size was given, and nothing was measured.
        reserves: Whether the reserve for CUDA graphs came out of the cache; None if not told.
        failure: Why it did not start; empty if it did, or if the log ends before.
        starts: How often vLLM starts in the log; the last one counts.
        lines: Lines that said something.
    """

    version: str = ""
    model: str = ""
    gpu: str = ""
    tp: int | None = None
    pp: int | None = None
    dp: int | None = None
    context_ranks: int | None = None
    dtype: str = ""
    quantization: str = ""
    kv_dtype: str = ""
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    utilization: float | None = None
    block: int | None = None
    eager: bool = False
    expert_parallel: bool = False
    lora: bool = False
    speculative_tokens: int | None = None
    has_settings: bool = False
    total_gib: float | None = None
    requested_gib: float | None = None
    weights_gib: float | None = None
    consumed_gib: float | None = None
    activation_gib: float | None = None
    peak_gib: float | None = None
    non_torch_gib: float | None = None
    graphs_gib: float | None = None
    reserved_gib: float | None = None
    kv_gib: float | None = None
    needed_gib: float | None = None
    tokens: int | None = None
    concurrency: float | None = None
    blocks: int | None = None
    fixed_kv: bool = False
    reserves: bool | None = None
    failure: str = ""
    starts: int = 1
    lines: int = 0
