"""One way to run a model: every value that vLLM would be given."""

from __future__ import annotations

from dataclasses import dataclass

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.memory.calibration import Calibration


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to run a model; every value is what vLLM would be given.

    Attributes:
        kv_dtype: ``auto`` or ``fp8``.
        quantization: ``fp8`` to quantize while loading; empty to load as stored.
        concurrency: Requests of max_model_len that must fit at once.
        expert_parallel: Experts are dealt out whole, not cut (``--enable-expert-parallel``).
        data_parallel: Engines that share the experts, each with its own cache.
        speculative_tokens: Tokens a draft proposes; 0 for no speculative decoding.
        lora_rank: Largest rank of an adapter; 0 for no LoRA.
        loras: Adapters in one batch (``--max-loras``).
        calibration: What a log has corrected of the overhead on this GPU.
        prefix_caching: Asked for or refused; None leaves it to vLLM.
    """

    gpu: Gpu
    tp: int = 1
    pp: int = 1
    dtype: str = "bfloat16"
    kv_dtype: str = "auto"
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    max_model_len: int = 8192
    utilization: float = 0.9
    quantization: str = ""
    eager: bool = False
    block: int | None = None
    context_ranks: int = 1
    concurrency: float = 1.0
    expert_parallel: bool = False
    data_parallel: int = 1
    speculative_tokens: int = 0
    lora_rank: int = 0
    loras: int = 0
    calibration: Calibration | None = None
    prefix_caching: bool | None = None

    @property
    def ranks(self) -> int:
        """GPUs of one engine."""
        return self.tp * self.pp

    @property
    def expert_ranks(self) -> int:
        """GPUs the experts of a layer are spread over, dealt out or cut."""
        return self.tp * self.data_parallel


def requests(choice: Choice) -> str:
    """Return what must fit at once, in words."""
    count = f"{choice.concurrency:g}" if choice.concurrency != 1 else "one"
    plural = "s" if choice.concurrency != 1 else ""
    return f"{count} request{plural} of {choice.max_model_len} tokens"
