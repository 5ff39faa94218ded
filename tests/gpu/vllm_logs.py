"""Logs of vLLM's start, made by the format strings of each version (read from its source).

Sources, vLLM 0.8.5 to 0.33.0: ``v1/worker/gpu_worker.py``, ``v1/worker/gpu_model_runner.py``,
``v1/core/kv_cache_utils.py``, ``utils/mem_utils.py``, ``worker/worker.py``,
``executor/executor_base.py``, ``entrypoints/utils.py``, ``config/vllm.py``, ``logger.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

VERSIONS = (
    "0.8.5", "0.9.0", "0.9.1", "0.9.2", "0.10.0", "0.10.1", "0.10.2", "0.11.0", "0.11.1", "0.11.2",
    "0.12.0", "0.13.0", "0.14.0", "0.15.0", "0.16.0", "0.17.0", "0.18.0", "0.19.0", "0.20.0",
    "0.20.2", "0.21.0", "0.22.0", "0.23.0", "0.24.0", "0.25.0", "0.26.0", "0.27.0", "0.28.0",
    "0.29.0", "0.30.0", "0.31.0", "0.32.0", "0.33.0",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Start:
    """Figures of one start; sizes in GiB."""

    version: str = "0.11.0"
    model: str = "meta-llama/Llama-3.1-8B-Instruct"
    tp: int = 1
    length: int = 16000
    seqs: int | None = None
    batched: int = 8192
    utilization: float = 0.9
    total: float = 79.18
    weights: float = 14.99
    activation: float = 4.76
    non_torch: float = 0.13
    graphs: float = 0.55
    reserved: float = 0.98
    kv: float = 51.38
    tokens: int = 420_896

    @property
    def minor(self) -> tuple[int, int]:
        """The version as (major, minor)."""
        major, minor, *_ = self.version.split(".")
        return int(major), int(minor)

    @property
    def at_least(self) -> tuple[int, ...]:
        """The version as numbers, to compare."""
        return tuple(int(part) for part in self.version.split("+")[0].split("."))


def messages(start: Start, *, debug: bool = False, rank: float = 0.0) -> Iterator[str]:
    """Yield what vLLM's V1 engine logs, without prefixes.

    Args:
        start: The figures.
        debug: With the lines of ``VLLM_LOGGING_LEVEL=DEBUG``.
        rank: GiB that another rank has less for its cache.
    """
    yield from _server(start)
    yield _loaded(start)
    since, kv = start.at_least, round(start.kv - rank, 2)
    if since >= (0, 18):
        yield f"Estimated CUDA graph memory: {start.reserved:.2f} GiB total"
    if debug and since >= (0, 9, 1):
        yield _profiled(start)
    if since >= (0, 9, 1):  # 0.8 and 0.9.0 name the tokens only
        yield f"Available KV cache memory: {kv:.2f} GiB"
    if since >= (0, 20):
        yield (
            "CUDA graph memory profiling is enabled (default since v0.21.0). The current "
            f"--gpu-memory-utilization={start.utilization:.4f} is equivalent to "
            "--gpu-memory-utilization=0.8876 without CUDA graph memory profiling. To maintain the "
            "same effective KV cache size as before, increase --gpu-memory-utilization to 0.9124."
        )
    at_once = start.tokens / start.length
    many, long = f"{start.tokens:,} tokens", f"Maximum concurrency for {start.length:,} tokens"
    if since >= (0, 28):
        yield f"GPU KV cache size: {many}, {long} per request: {at_once:.2f}x"
    else:
        yield f"GPU KV cache size: {many}"
        yield f"{long} per request: {at_once:.2f}x"
    yield f"Graph capturing finished in 5 secs, took {start.graphs:.2f} GiB"
    if since >= (0, 18):
        yield (
            f"CUDA graph pool memory: {start.graphs} GiB (actual), {start.reserved} GiB "
            "(estimated), difference: 0.43 GiB (78.2%)."
        )
    if since >= (0, 26) or (debug and since >= (0, 10, 2)):
        yield _suggested(start)


def v0_messages(start: Start, blocks: int) -> Iterator[str]:
    """Yield what the V0 engine logs (up to 0.10)."""
    yield f"vLLM API server version {start.version}"
    yield f"Initializing a V0 LLM engine (v{start.version}) with config: {_config(start)}, "
    yield _loaded(start)
    requested = start.total * start.utilization
    yield (
        "Memory profiling takes 4.55 seconds\nthe current vLLM instance can use total_gpu_memory "
        f"({start.total:.2f}GiB) x gpu_memory_utilization ({start.utilization:.2f}) = "
        f"{requested:.2f}GiB\nmodel weights take {start.weights:.2f}GiB; non_torch_memory takes "
        f"{start.non_torch:.2f}GiB; PyTorch activation peak memory takes {start.activation:.2f}GiB;"
        f" the rest of the memory reserved for KV Cache is {start.kv:.2f}GiB."
    )
    yield f"# cuda blocks: {blocks}, # CPU blocks: 2048"
    yield f"Maximum concurrency for {start.length} tokens per request: 3.21x"
    yield f"Graph capturing finished in 9 secs, took {start.graphs:.2f} GiB"


def lines(texts: Iterator[str] | list[str], prefix: str = "INFO 10-02 08:00:00 [x.py:1] ") -> bytes:
    """Return messages as a log: each line of a message behind the prefix, as vLLM's formatter."""
    return "".join(
        f"{prefix}{line}\n" for text in texts for line in text.split("\n")
    ).encode()  # fmt: skip


def _server(start: Start) -> Iterator[str]:
    since = start.at_least
    if since < (0, 16):
        yield f"vLLM API server version {start.version}"
    else:
        yield f"vLLM server version {start.version}, serving model {start.model}"
    given = {
        "model_tag": start.model,
        "max_model_len": start.length,
        "tensor_parallel_size": start.tp,
        "gpu_memory_utilization": start.utilization,
        **({"max_num_seqs": start.seqs} if start.seqs else {}),
    }
    if since < (0, 9):
        pairs = ", ".join(f"{key}={value!r}" for key, value in given.items())
        yield f"args: Namespace(subparser='serve', {pairs}, kv_cache_dtype='auto')"
    else:
        yield f"non-default args: {given}"
    if since >= (0, 9, 2):
        yield f"Using max model len {start.length}"
    yield f"Chunked prefill is enabled with max_num_batched_tokens={start.batched}."
    yield f"Initializing a V1 LLM engine (v{start.version}) with config: {_config(start)}"


def _config(start: Start) -> str:
    return (
        f"model='{start.model}', speculative_config=None, tokenizer='{start.model}', "
        f"skip_tokenizer_init=False, revision=None, dtype=torch.bfloat16, "
        f"max_seq_len={start.length}, download_dir=None, load_format=auto, "
        f"tensor_parallel_size={start.tp}, pipeline_parallel_size=1, quantization=None, "
        f"enforce_eager=False, kv_cache_dtype=auto,  device_config=cuda, seed=0, "
        'compilation_config={"level":3,"cudagraph_capture_sizes":[512,504,496]}'
    )


def _loaded(start: Start) -> str:
    since, word = start.at_least, " memory" if start.at_least >= (0, 11, 1) else ""
    size = f"{start.weights:.4f}" if since < (0, 14) else f"{round(start.weights, 2)}"
    return f"Model loading took {size} GiB{word} and 4.512345 seconds"


def _profiled(start: Start) -> str:
    """Return the line of level DEBUG; from 0.27 on it tells weights and non-torch together."""
    rest = start.weights + start.activation + start.non_torch
    head = f"Memory profiling takes 5.23 seconds. Total non KV cache memory: {rest:.2f}GiB; "
    if start.at_least >= (0, 27):
        return (
            f"{head}torch peak memory increase: {start.activation + 0.11:.2f}GiB; total consumed "
            f"(from mem_get_info): {start.weights + start.non_torch:.2f}GiB; "
            f"weights memory: {start.weights:.2f}GiB."
        )
    return (
        f"{head}torch peak memory increase: {start.activation:.2f}GiB; non-torch forward increase "
        f"memory: {start.non_torch:.2f}GiB; weights memory: {start.weights:.2f}GiB."
    )


def _suggested(start: Start) -> str:
    requested = round(start.total * start.utilization, 2)
    if start.at_least >= (0, 27):
        peak = round(start.activation + start.reserved, 2)
        usage = (
            f"{round(start.weights + start.non_torch, 2)} GiB for consumed memory (weights + "
            f"non-torch), {peak} GiB for peak activation, and {start.graphs} GiB"
        )
    else:
        usage = (
            f"{start.weights} GiB for weight, {start.activation} GiB for peak activation, "
            f"{start.non_torch} GiB for non-torch memory, and {start.graphs} GiB"
        )
    return (
        f"Free memory on device ({start.total - 0.4:.2f}/{start.total} GiB) on startup. Desired "
        f"GPU memory utilization is ({start.utilization}, {requested} GiB). Actual usage is {usage}"
        " for CUDAGraph memory. Replace gpu_memory_utilization config with `--kv-cache-memory=1` "
        "(50.2 GiB) to fit into requested memory, or `--kv-cache-memory=2` (57.7 GiB) to fully "
        f"utilize gpu memory. Current kv cache memory in use is {start.kv} GiB."
    )
