"""What changes between vLLM releases in the memory they ask for, and in what they refuse.

Each range starts at one release and ends before the next range. A boundary is the first release
whose source has the change; every release named in ``READ`` was read.

Sources: vLLM's sdists: ``engine/arg_utils.py``, ``config``, ``envs.py``,
``v1/worker/gpu_worker.py``, ``v1/core/kv_cache_utils.py`` (0.33: ``kv_cache_planning.py``),
``v1/sample/ops/topk_topp_sampler.py``. OpenShift AI: the runtime's version in
``config/runtimes/vllm-cuda-template.yaml`` of each ``rhoai-*`` branch of
red-hat-data-services/odh-model-controller (for 3.5 ``config/runtimes/vllm/``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from carferry.gpu.inventory.catalogue import Gpu

Release: TypeAlias = tuple[int, int, int]

SORTED_BYTES = 38.4
"""Peak bytes per sequence and vocabulary entry of the sorting sampler, fitted on H100 logs."""

COPIED_BYTES = 16.0
"""The same of FlashInfer's sampler, counted from the code: 16-bit and fp32 logits, masked logits
and probabilities of the same size, and what its kernels hold."""

RANDOM_BYTES = 15.0
"""The same of vLLM's own without a sort: random numbers for the masked logits; and the rows of the
Triton kernel."""

BARE_BYTES = 2.0
"""The same for model runner V2 before 0.33: its profile samples from 16-bit logits as they are."""


@dataclass(frozen=True, slots=True)
class VllmVersion:
    """One range of vLLM releases, alike in the memory they ask for.

    Attributes:
        since: First release of the range.
        utilization: Default of ``--gpu-memory-utilization``, a share of the GPU's total memory.
        sampler_bytes: Peak bytes per sequence and vocabulary entry while sampling.
        plain_sampler_bytes: The same where FlashInfer does not run: other vendors, old GPUs.
        second_runner: Models that model runner V2 runs by default: ``named`` (``second_models``),
            ``dense`` (these, and all but experts and hybrids) or ``all``.
        second_models: Architectures that are named.
        second_reserves: That runner reserves memory for CUDA graphs too.
        second_encodes: Its profile runs the image encoder too.
        second_sampler_bytes: What sampling takes there.
        graphs_budgeted: CUDA graphs come out of the KV cache's share.
        lora_graphs: Graphs of each size where adapters are on: with them, and without.
        blackwell_graphs: Largest batch of a graph on data-centre Blackwell.
        tokens_by_concurrency: The log's token count is concurrency times max_model_len.
        padding_ratio: Layer kinds closer than this share one group size (1 means never).
        aligned_states: Prefix caching is on for hybrids, so each state takes two blocks.
        exact_states: Nemotron's states are kept in float32 if its config names no type.
        states_checked: Full CUDA graphs need a block of states for every sequence.
        sliding_as_full: A sliding window's layers keep the whole request, as full attention does.
        chunks_as_full: A chunked layer (Llama 4) keeps the whole request too.
        packing: How DeepSeek V4's layers share a block: ``tuples`` (a slot of each size for every
            layer), ``slots`` (as many of each size as a group has) or ``dense``.
        batches_in_flight: Batches whose tokens a sliding window must still hold.
        huge_tier: GPUs of 160 GiB and more batch 16384 tokens.
        whole_prompts: A batch must hold the longest prompt (engine V0 chunks none of up to 32k).
        fused_reduce: Tensor parallel ranks on Hopper and Blackwell fuse all-reduce with the norm.
        expert_chunk: Tokens that the experts' kernels take at once; 0 for a whole batch.
        space_kept: The workspace of the experts' kernels stays, so it adds to other peaks.
        more_context_gib: What a context takes more than in earlier releases, from Ampere on.
        lowest_capability: Oldest GPUs the wheels carry kernels for.
        dated: The release that is planned, as shown.
        note: What a reader must know of it: planned as the nearest release that is known.
        is_guessed: The release that was asked for is not known; this is the nearest.
        release: The release that is planned; None if none was asked for.
    """

    since: Release
    utilization: float = 0.90
    sampler_bytes: float = SORTED_BYTES
    plain_sampler_bytes: float = SORTED_BYTES
    second_runner: str = "named"
    second_models: tuple[str, ...] = ()
    second_reserves: bool = False
    second_encodes: bool = False
    second_sampler_bytes: float = BARE_BYTES
    graphs_budgeted: bool = False
    lora_graphs: int = 1
    blackwell_graphs: int = 512
    tokens_by_concurrency: bool = False
    padding_ratio: float = 1.0
    aligned_states: bool = False
    exact_states: bool = False
    states_checked: bool = False
    sliding_as_full: bool = False
    chunks_as_full: bool = True
    packing: str = "tuples"
    batches_in_flight: int = 1
    huge_tier: bool = False
    whole_prompts: bool = False
    fused_reduce: bool = False
    expert_chunk: int = 32768
    space_kept: bool = False
    more_context_gib: float = 0.0
    lowest_capability: int = 70
    dated: str = ""
    note: str = ""
    is_guessed: bool = False
    release: Release | None = None

    def batching(self, gpu: Gpu) -> tuple[int, int]:
        """Return the server's default (max_num_batched_tokens, max_num_seqs) on a GPU."""
        if self.whole_prompts:
            return 2048, 256
        if self.huge_tier and gpu.memory_gib >= 160:
            return 16384, 1024
        small = gpu.memory_gib < 70 or "a100" in gpu.name.lower() or gpu.capability == 121
        return (2048, 256) if small else (8192, 1024)


_V0 = VllmVersion(since=(0, 0, 0), whole_prompts=True, sliding_as_full=True)
_V8 = replace(_V0, since=(0, 8, 0), whole_prompts=False)
_V9 = replace(_V8, since=(0, 9, 0), sampler_bytes=COPIED_BYTES)
_V9_1 = replace(_V9, since=(0, 9, 1), sliding_as_full=False)
_V11 = replace(_V9_1, since=(0, 11, 0), sampler_bytes=SORTED_BYTES)
_V11_1 = replace(_V11, since=(0, 11, 1), lora_graphs=2)
_V12 = replace(_V11_1, since=(0, 12, 0), padding_ratio=1.25, expert_chunk=16384)
_V13 = replace(_V12, since=(0, 13, 0), exact_states=True)
_V14 = replace(_V13, since=(0, 14, 0), chunks_as_full=False)
_V17 = replace(
    _V14,
    since=(0, 17, 0),
    sampler_bytes=RANDOM_BYTES,
    plain_sampler_bytes=RANDOM_BYTES,
    fused_reduce=True,
)
_V18 = replace(
    _V17,
    since=(0, 18, 0),
    padding_ratio=1.5,
    expert_chunk=0,
    space_kept=True,
    more_context_gib=0.12,
)
_V20 = replace(_V18, since=(0, 20, 0), utilization=0.92, graphs_budgeted=True, states_checked=True)
_V20_1 = replace(_V20, since=(0, 20, 1), tokens_by_concurrency=True)
_V21 = replace(_V20_1, since=(0, 21, 0), sampler_bytes=COPIED_BYTES)
_V22 = replace(_V21, since=(0, 22, 0), second_models=("Qwen3ForCausalLM",))
_V23 = replace(
    _V22,
    since=(0, 23, 0),
    second_models=("LlamaForCausalLM", "MistralForCausalLM", "Qwen3ForCausalLM"),
)
_SECOND = ("DeepseekV2ForCausalLM", "GraniteMoeForCausalLM", "Qwen2MoeForCausalLM")
_V24 = replace(
    _V23,
    since=(0, 24, 0),
    second_models=(*_V23.second_models, *_SECOND),
    packing="slots",
)
_V25 = replace(_V24, since=(0, 25, 0), second_runner="dense", second_models=_SECOND)
_V26 = replace(_V25, since=(0, 26, 0), batches_in_flight=2)
_V27 = replace(
    _V26,
    since=(0, 27, 0),
    second_models=(*_SECOND, "KimiK3ForConditionalGeneration"),
    packing="dense",
    second_encodes=True,
)
_V28 = replace(
    _V27,
    since=(0, 28, 0),
    second_models=(*_V27.second_models, "DeepseekV4ForCausalLM"),
    huge_tier=True,
    aligned_states=True,
    blackwell_graphs=1024,
)
_V29 = replace(_V28, since=(0, 29, 0), second_runner="all", second_reserves=True)
_V30 = replace(_V29, since=(0, 30, 0))
_V33 = replace(
    _V30,
    since=(0, 33, 0),
    second_sampler_bytes=COPIED_BYTES,
    lowest_capability=75,
)

RANGES = (
    *(_V0, _V8, _V9, _V9_1, _V11, _V11_1, _V12, _V13, _V14, _V17, _V18),
    *(_V20, _V20_1, _V21, _V22, _V23, _V24, _V25, _V26, _V27, _V28, _V29, _V30, _V33),
)
"""Every range, oldest first."""

LATEST = "0.33.0"

_PATCHES = {
    8: 6, 9: 3, 10: 3, 11: 3, 12: 1, 13: 1, 14: 2, 15: 2, 16: 1, 17: 2, 18: 2, 19: 2, 20: 3,
    21: 1, 22: 2, 23: 1, 24: 1, 25: 2, 26: 1, 27: 2, 28: 1, 29: 1, 30: 1, 31: 1, 32: 1, 33: 1,
}  # fmt: skip
"""Minor release to how many patch releases it has, the first included."""

READ: frozenset[Release] = frozenset(
    {(0, minor, patch) for minor, count in _PATCHES.items() for patch in range(count)}
    | {(0, 6, 6), (0, 7, 3)}
)
"""Releases whose source was read, or that lie between two patch releases that are alike."""

PLATFORMS: Mapping[Release, Release] = {
    (2, 22, 99): (0, 9, 1),
    (2, 23, 99): (0, 9, 2),
    (2, 24, 99): (0, 10, 0),
    (2, 25, 99): (0, 10, 1),
    (3, 0, 99): (0, 9, 1),
    (3, 2, 99): (0, 11, 2),
    (3, 3, 99): (0, 13, 0),
    (3, 4, 1): (0, 14, 1),
    (3, 4, 2): (0, 16, 0),
    (3, 4, 99): (0, 18, 0),
    (3, 5, 1): (0, 19, 1),
    (3, 5, 2): (0, 21, 0),
    (3, 5, 99): (0, 24, 0),
}
"""OpenShift AI release (major, minor, early access number or 99) to the vLLM it serves with."""


def dotted(release: Release) -> str:
    """Return a release as people write it: ``0.11.2``."""
    return ".".join(map(str, release))
