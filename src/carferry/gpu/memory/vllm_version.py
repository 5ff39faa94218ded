"""What changes between vLLM versions in the memory it asks for.

Each range starts at one release and ends before the next range. The boundaries come from reading
wheels, so one may lie a release or two early if the releases between were not read.

Sources: vLLM wheels 0.9.2, 0.10.2, 0.11.0, 0.12.0 to 0.20.2, 0.22.1, 0.24.0 to 0.28.0, 0.30.0
to 0.33.0: ``engine/arg_utils.py``, ``config``, ``v1/worker/gpu_worker.py``,
``v1/core/kv_cache_utils.py``, ``v1/sample/ops/topk_topp_sampler.py``, ``envs.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import Gpu

SORTED_BYTES = 38.4
"""Peak bytes per sequence and vocabulary entry of the sorting sampler, fitted on H100 logs."""

COPIED_BYTES = 16.0
"""The same if nothing is sorted, counted from the code: 16-bit and fp32 logits, fp32
probabilities, random numbers of the same size, and the Triton kernel's rows (0.17 to 0.21).
FlashInfer as the 0.9 to 0.11 images ship it takes about as much."""

FUSED_BYTES = 8.6
"""The same for FlashInfer's later sampler: fp32 logits, fp32 probabilities and a little."""


@dataclass(frozen=True, slots=True)
class VllmVersion:
    """One range of vLLM versions, alike in the memory they ask for.

    Attributes:
        since: First (major, minor) of the range.
        utilization: Default of ``--gpu-memory-utilization``, a share of the GPU's total memory.
        sampler_bytes: Peak bytes per sequence and vocabulary entry while sampling.
        graphs_budgeted: CUDA graphs come out of the KV cache's share.
        tokens_by_concurrency: The log's token count is concurrency times max_model_len.
        padding_ratio: Layer kinds closer than this share one group size (1 means never).
        aligned_states: Prefix caching counts as on for hybrids, so each state takes two blocks.
            It is the default from 0.26; before, it is assumed, as the larger of the two (and the
            one logged row of 0.24 shows it).
        whole_states: Mamba-2 states are cached along the whole request.
        batches_in_flight: Batches whose tokens a sliding window must still hold.
        huge_tier: GPUs of 160 GiB and more batch 16384 tokens.
        lowest_capability: Oldest GPUs the wheels carry kernels for.
        dropped: Quantization methods that are gone.
        dated: The release that is planned, as shown.
        note: What a reader must know of it: planned as the nearest release that is known.
    """

    since: tuple[int, int]
    utilization: float = 0.90
    sampler_bytes: float = SORTED_BYTES
    graphs_budgeted: bool = False
    tokens_by_concurrency: bool = False
    padding_ratio: float = 1.0
    aligned_states: bool = False
    whole_states: bool = False
    batches_in_flight: int = 1
    huge_tier: bool = False
    lowest_capability: int = 70
    dropped: tuple[str, ...] = ()
    dated: str = ""
    note: str = ""

    def batching(self, gpu: Gpu) -> tuple[int, int]:
        """Return the server's default (max_num_batched_tokens, max_num_seqs) on a GPU."""
        if self.huge_tier and gpu.memory_gib >= 160:
            return 16384, 1024
        small = gpu.memory_gib < 70 or "a100" in gpu.name.lower() or gpu.capability == 121
        return (2048, 256) if small else (8192, 1024)


_V0 = VllmVersion(since=(0, 0))
_V9 = replace(_V0, since=(0, 9), sampler_bytes=COPIED_BYTES)
_V12 = replace(_V9, since=(0, 12), sampler_bytes=SORTED_BYTES, padding_ratio=1.25)
_V17 = replace(_V12, since=(0, 17), sampler_bytes=COPIED_BYTES)
_V18 = replace(_V17, since=(0, 18), padding_ratio=1.5)
_V20 = replace(
    _V18,
    since=(0, 20),
    utilization=0.92,
    graphs_budgeted=True,
    tokens_by_concurrency=True,
)
_V22 = replace(_V20, since=(0, 22), sampler_bytes=FUSED_BYTES, aligned_states=True)
_V26 = replace(_V22, since=(0, 26), batches_in_flight=2, whole_states=True)
_V28 = replace(_V26, since=(0, 28), huge_tier=True, whole_states=False)
_V33 = replace(_V28, since=(0, 33), lowest_capability=75, dropped=("bitsandbytes", "gguf"))

_VERSIONS = (_V0, _V9, _V12, _V17, _V18, _V20, _V22, _V26, _V28, _V33)
LATEST = "0.33.0"
UNDATED = "0.15.1"
"""The version assumed for a log that names none; it has the larger, sorting sampler."""


def find_version(text: str = LATEST) -> VllmVersion:
    """Return the range that holds a vLLM version such as ``0.11.0`` or ``v0.15.1+rhai``.

    Raises:
        InputError: Not a version.
    """
    match = re.match(r"v?(\d+)\.(\d+)", text)
    if not match:
        raise InputError("choose vLLM version", repr(text), "not a version", "write 0.33.0")
    wanted = int(match[1]), int(match[2])
    return max((each for each in _VERSIONS if each.since <= wanted), key=lambda each: each.since)
