"""How the stand-in fails when ``STANDIN_FAIL`` asks for it, in vLLM's own words.

| value          | what happens                                                                |
|----------------|-----------------------------------------------------------------------------|
| architecture   | exit 1: the model's architecture is not supported                            |
| cuda-oom       | exit 1: CUDA out of memory while the weights load                            |
| no-cache       | exit 1: the weights leave no memory for the KV cache                         |
| kv-cache       | exit 1: the KV cache is too small for one request                            |
| utilization    | exit 1: another process has the GPU's memory                                 |
| bf16           | exit 1: bfloat16 on a GPU of compute capability under 8                      |
| unknown        | exit 1: an error that nobody foresaw                                         |
| exit:N         | exit N without a word                                                        |
| memory         | takes memory until the kernel kills it (OOMKilled)                           |
| hang           | never serves, never ends                                                     |
| slow:N         | serves after N seconds                                                       |
| once           | exit 1 the first time in a pod (a file in /dev/shm), then serves             |
| dies:N         | serves, then ends after N seconds: the engine died                           |

Sources: vLLM 0.24 ``v1/core/kv_cache_utils.py``, ``v1/worker/gpu_model_runner.py``,
``v1/worker/utils.py``, ``platforms/cuda.py``, ``v1/engine/{core,utils,exceptions}.py``; PyTorch
2.9 ``c10/cuda/CUDACachingAllocator.cpp`` (out of memory); pydantic 2.12 (its report).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from vllm.standin import log
from vllm.standin.model import Model, Unusable, unsupported

_TRIED = Path("/dev/shm/standin-tried")
_MORE = "See https://docs.vllm.ai/en/latest/configuration/conserving_memory/ for more details."

CUDA_OOM = (
    "CUDA out of memory. Tried to allocate 896.00 MiB. GPU 0 has a total capacity of 44.40 GiB of "
    "which 510.31 MiB is free. Including non-PyTorch memory, this process has 43.89 GiB memory in "
    "use. Of the allocated memory 43.41 GiB is allocated by PyTorch, and 118.72 MiB is reserved by "
    "PyTorch but unallocated. If reserved but unallocated memory is large try setting "
    "PYTORCH_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See documentation for "
    "Memory Management  (https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)"
)
NO_CACHE = (
    "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
    "initializing the engine (this flag also controls CPU memory reservation on the CPU backend, "
    f"despite its name). {_MORE}"
)
UTILIZATION = (
    "Free memory on device cuda:0 (3.12/44.4 GiB) on startup is less than desired GPU memory "
    "utilization (0.92, 40.85 GiB). Decrease GPU memory utilization or reduce GPU memory used by "
    "other processes."
)
BF16 = (
    "Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU "
    "has compute capability 7.5. You can use float16 instead by explicitly setting the `dtype` "
    "flag in CLI, for example: --dtype=half."
)
_ENGINE_DIED = (
    "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace "
    "(above) for the root cause."
)


def before_loading() -> None:
    """Fail where no file of the model is read yet."""
    how, number = _asked()
    if how == "exit":
        sys.exit(int(number))
    if how == "hang":
        threading.Event().wait()
    if how == "memory":
        _take_memory()
    if how == "slow":
        log.engine("Starting to load model...")
        time.sleep(float(number))


def while_loading(model: Model) -> None:
    """Fail where the weights go to a GPU, and the KV cache to what they leave."""
    how, number = _asked()
    if how == "architecture":
        refuse(unsupported(model.config["architectures"]))
    if how == "cuda-oom":
        log.engine(f"Failed to load model - not enough GPU memory. Try lowering "
                   f"--gpu-memory-utilization to free memory for weights, increasing "
                   f"--tensor-parallel-size, or using --quantization. {_MORE[:-13]}for more tips. "
                   f"(original error: {CUDA_OOM})", level="ERROR")  # fmt: skip
        _fail("torch.OutOfMemoryError", CUDA_OOM)
    words = {"no-cache": NO_CACHE, "utilization": UTILIZATION, "bf16": BF16,
             "kv-cache": kv_cache(model.max_model_len)}  # fmt: skip
    if how in words:
        _fail("ValueError", words[how])
    if how == "unknown":
        _fail("KeyError", "'layers.0.mystery.weight'")
    if how == "once" and not _TRIED.exists():
        _TRIED.touch()
        _fail("RuntimeError", "NCCL error: unhandled system error")
    if how == "dies":
        threading.Timer(float(number), _die).start()


def kv_cache(max_model_len: int) -> str:
    """Return vLLM's words on a KV cache that holds half a request."""
    return (
        f"To serve at least one request with the model's max seq len ({max_model_len}), (15.62 GiB "
        "KV cache is needed, which is larger than the available KV cache memory (7.81 GiB). Based "
        f"on the available memory, the estimated maximum model length is {max_model_len // 2}. "
        "Try increasing `gpu_memory_utilization` (which also controls CPU memory on the CPU "
        f"backend) or decreasing `max_model_len` when initializing the engine. {_MORE}"
    )


def refuse(why: Unusable) -> NoReturn:
    """End as vLLM does of a model, or of arguments, that it cannot serve."""
    if not why.checked:
        _fail(why.kind, str(why))
    log.api_traceback(
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
        f"  Value error, {why} [type=value_error, input_value=ArgsKwargs((), {{'model': ...}}), "
        "input_type=ArgsKwargs]\n    For further information visit "
        "https://errors.pydantic.dev/2.12/v/value_error"
    )
    sys.exit(1)


def _asked() -> tuple[str, str]:
    how, _, number = os.environ.get("STANDIN_FAIL", "").partition(":")
    return how, number


def _fail(kind: str, words: str) -> NoReturn:
    """End as vLLM does when its engine cannot start: the cause comes long before the last line."""
    module, _, name = kind.rpartition(".")
    log.engine_error(type(name, (Exception,), {"__module__": module or "builtins"})(words))
    log.api_traceback(
        "RuntimeError: Engine core initialization failed. See root cause above. "
        "Failed core proc(s): {'EngineCore': 1}"
    )
    sys.exit(1)


def _take_memory() -> NoReturn:
    held = []
    while True:
        held.append(os.urandom(1 << 20) * 8)


def _die() -> None:
    log.engine("EngineCore encountered a fatal error.", level="ERROR")
    log.api_traceback(_ENGINE_DIED)
    os._exit(1)
