"""The lines of a start of vLLM that tell of its memory, as each version from 0.8 to 0.33 has them.

Source: vLLM's format strings, 0.8.5 to 0.33.0: ``v1/worker/gpu_worker.py``,
``v1/worker/gpu_model_runner.py``, ``v1/worker/gpu/model_runner.py``,
``v1/core/kv_cache_utils.py``, ``v1/core/kv_cache_planning.py``, ``utils/mem_utils.py``,
``worker/worker.py`` and ``executor/executor_base.py`` (V0), ``config/vllm.py`` (``__str__``),
``entrypoints/utils.py``. tests/gpu/test_log_formats.py holds them, version by version.
"""

from __future__ import annotations

import re

_SIZE = r"-?\d{1,7}(?:\.\d{1,6})?"
_COUNT = r"\d{1,3}(?:,\d{3}){1,5}|\d{1,15}"


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern in which ``kv_gib~`` is a number of that name, and ``tokens#`` a count."""
    sized = re.sub(r"(\w+)~", lambda name: f"(?P<{name[1]}>{_SIZE})", text)
    return re.compile(re.sub(r"(\w+)#", lambda name: f"(?P<{name[1]}>{_COUNT})", sized))


LINES = tuple(
    (word.encode(), tuple(map(_pattern, patterns)))
    for word, *patterns in (
        ("Model loading took", r"Model loading took weights_gib~ Gi?B"),
        ("model weights took", r"Loading model weights took weights_gib~ Gi?B"),
        ("Available KV cache memory", r"Available KV cache memory: kv_gib~ GiB"),
        ("KV cache size: ", r"KV cache size: tokens# tokens"),
        (
            "Maximum concurrency for",
            r"Maximum concurrency for max_model_len# tokens per request: concurrency~x",
        ),
        ("Graph capturing finished", r"Graph capturing finished in .{1,20}?, took graphs_gib~ GiB"),
        ("Estimated CUDA graph memory", r"Estimated CUDA graph memory: reserved_gib~ GiB total"),
        (
            "CUDA graph pool memory",
            r"CUDA graph pool memory: graphs_gib~ GiB \(actual\), reserved_gib~ GiB \(estimated\)",
        ),
        (
            "gpu_memory_utilization (",
            r"total_gpu_memory \(total_gib~GiB\) x gpu_memory_utilization \(utilization~\) = "
            r"requested_gib~GiB",
        ),
        (
            "model weights take",
            r"model weights take weights_gib~GiB; non_torch_memory takes non_torch_gib~GiB; PyTorch"
            r" activation peak memory takes activation_gib~GiB; the rest of the memory reserved for"
            r" KV Cache is kv_gib~GiB",
        ),
        (
            "Total non KV cache memory",
            r"torch peak memory increase: activation_gib~GiB; non-torch forward increase memory: "
            r"non_torch_gib~GiB; weights memory: weights_gib~GiB",
            r"total consumed \(from mem_get_info\): consumed_gib~GiB; weights memory: "
            r"weights_gib~GiB",
        ),
        (
            "for peak activation",
            r"Actual usage is weights_gib~ GiB for weight, activation_gib~ GiB for peak activation,"
            r" non_torch_gib~ GiB for non-torch memory, and graphs_gib~ GiB for CUDAGraph",
            r"Actual usage is consumed_gib~ GiB for consumed memory \(weights \+ non-torch\), "
            r"peak_gib~ GiB for peak activation, and graphs_gib~ GiB for CUDAGraph",
            r"Desired GPU memory utilization is \(utilization~, requested_gib~ GiB\)",
            r"Current kv cache memory in use is kv_gib~ GiB",
        ),
        ("on startup", r"Free memory on device (?:\S{1,20} )?\((?:[\d.]+)/total_gib~ GiB\)"),
        (
            "Requested memory: ",
            r"Requested memory: utilization~ \(util\), requested_gib~ GiB",
        ),
        ("blocks: ", r"# \w{1,12} blocks: blocks#, # CPU blocks: "),
        (
            "CUDA graph memory profiling is",
            r"current --gpu-memory-utilization=utilization~ ",
            r"--gpu-memory-utilization from utilization~ to",
        ),
        ("Using max model len", r"Using max model len max_model_len#"),
        ("is enabled with max_num_b", r"with max_num_batched_tokens=max_num_batched_tokens#"),
        ("total capacity of", r"has a total capacity of total_gib~ GiB"),
        ("KV cache is needed", r"\(needed_gib~ GiB KV cache is needed"),
        ("KV cache is needed", r"available KV cache memory \(kv_gib~ GiB\)"),
    )
)  # fmt: skip
"""Words that a line must hold, and the patterns that are then looked for in it."""

FAILURES = (
    (b"KV cache is needed", "one request of its max_model_len does not fit the KV cache"),
    (b"stored in KV cache (", "one request of its max_model_len does not fit the KV cache"),
    (b"No available memory for the cache", "no memory was left for the KV cache"),
    (b"exceeds available Mamba cache", "max_num_seqs is above the state blocks there are"),
    (b"is less than desired GPU memory", "less of the GPU was free than vLLM was to take"),
    (b"out of memory. Tried", "out of memory"),
    (b"failed to start", "the engine failed to start"),
    (b"core initialization failed", "the engine failed to start"),
)
"""Words of an error, and what they mean."""

VERSIONS = (
    re.compile(r"\bserver version (v?\d+\.\d+[\w.+-]{0,40})"),
    re.compile(r"LLM engine \(v(\d+\.\d+[\w.+-]{0,40})\)"),
    re.compile(r"\u2588.{0,40}version (?:\x1b\[[0-9;]*m)?\s*(v?\d+\.\d+[\w.+-]{0,40})"),
)
"""Of a server, of an engine, of a server that draws vLLM's sign."""

GPUS = (
    re.compile(r"device_name=([A-Za-z0-9_.() -]{2,60}?)(?:,|\.json)"),
    re.compile(r"\bGPU \d{1,2}(?:-\d{1,2})?: ((?:NVIDIA|AMD|Tesla)[\w .-]{2,60})"),
)
"""A kernel's configuration, and what ``collect_env`` prints."""

SETTINGS = (b"with config: ", b"non-default args: ", b"args: Namespace(")
"""Before all settings."""

FIXED_KV = b"kv_cache_memory_bytes config and"
"""The cache's size was given, nothing was measured."""

RESERVES = b"CUDA graph memory profiling is "
"""Whether the reserve for CUDA graphs comes out of the cache."""
