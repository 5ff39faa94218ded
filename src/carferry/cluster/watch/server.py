"""What vLLM says in its log when it cannot serve, row by row.

Source: vllm-project/vllm v0.24.0; the file that writes the words stands beside each row.
"""

from __future__ import annotations

from carferry.cluster.watch.causes import Cause, Where, row
from carferry.cluster.watch.signal import State

_LOG = Where.LOG

LOGGED: tuple[Cause, ...] = (
    # argparse, through utils/argparse_utils.py: exit code 2
    row(
        "unknown-argument", _LOG, r"unrecognized arguments: (?P<arguments>.+)",
        "this vLLM does not know an argument",
        "leave it out of --vllm-args, or serve with a --runtime-image that knows it",
    ),
    row(
        "wrong-argument", _LOG, r"error: argument (?P<argument>[^:]+):",
        "vLLM refuses the value of an argument", "correct {argument} in --vllm-args",
    ),
    # v1/core/kv_cache_utils.py, _check_enough_kv_cache_memory
    row(
        "kv-cache", _LOG,
        r""
        r"larger than the available KV cache memory"
        r"(?:.*estimated maximum model length is (?P<length>\d+))?",
        "the longest sequence does not fit into the KV cache",
        "shorten it (--max-model-len {length}), or take more GPUs: --gpu-count", is_planned=True,
    ),
    row(
        "kv-cache", _LOG, r"No available memory for the cache blocks",
        "the weights leave no memory for the KV cache",
        "take a larger GPU or more of them (--gpu-count), or "
        "--vllm-args=--gpu-memory-utilization=0.95",
        is_planned=True,
    ),
    # v1/worker/utils.py, request_memory
    row(
        "gpu-in-use", _LOG, r"Free memory on device .*less than desired GPU memory utilization",
        "another process holds memory of the GPU",
        "free the GPU, or --vllm-args=--gpu-memory-utilization=0.7", is_planned=True,
        state=State.WAITING,  # the pod before may be about to end: see the tries in containers.py
    ),
    # torch c10/cuda/CUDACachingAllocator.cpp; csrc of the HIP twin
    row(
        "gpu-memory", _LOG,
        r"(?:CUDA|HIP) out of memory|torch\.(?:cuda\.)?OutOfMemoryError|CUDA error: out of memory",
        "the GPU's memory is too small for the model",
        "take a larger GPU or more of them (--gpu-count), or shorten sequences (--max-model-len)",
        is_planned=True,
    ),
    # platforms/cuda.py, check_if_supports_dtype
    row(
        "no-bfloat16", _LOG, r"Bfloat16 is only supported on GPUs with compute capability",
        "the GPU is too old for bfloat16", "serve in half precision: --vllm-args=--dtype=half",
        is_planned=True,
    ),
    row(
        "gpu-too-old", _LOG,
        r"no kernel image is available for execution|is not supported on this GPU|"
        r"Minimum capability: \d+",
        "the GPU is too old for this model's format",
        "choose newer GPUs: --node-selector nvidia.com/gpu.product=...", is_planned=True,
    ),
    # model_executor/models/registry.py, _raise_for_unsupported
    row(
        "architecture", _LOG,
        r"Model architectures (?P<what>\[[^\]]*\]) (?:are not supported|failed to be inspected)",
        "this vLLM does not know the model's architecture",
        "serve with a newer vLLM: --runtime-image",
    ),
    # transformers models/auto/configuration_auto.py
    row(
        "architecture", _LOG,
        r"does not recognize this architecture|model type `[^`]+` but Transformers",
        "this vLLM's transformers does not know the model's type",
        "serve with a newer vLLM: --runtime-image", is_planned=True,
    ),
    # config/model.py, _get_and_verify_max_len
    row(
        "model-length", _LOG,
        r"max_model_len \(\d+\) is greater than the derived max_model_len \([^=]*=(?P<length>\d+)",
        "the model cannot read sequences that long", "pass --max-model-len {length}",
        is_planned=True,
    ),
    # config/model.py, verify_with_parallel_config
    row(
        "gpu-split", _LOG, r"must be divisible by tensor parallel size",
        "the model cannot be split between that many GPUs", "choose another --gpu-count",
        is_planned=True,
    ),
    row(
        "gpu-missing", _LOG,
        r"Failed to infer device type|No CUDA GPUs are available|NVIDIA driver on your system|"
        r"CUDA driver version is insufficient",
        "vLLM finds no GPU it can use",
        "ask for one (--gpu-count, --gpu-resource), and see that the node's driver fits the image",
    ),
    # config/model.py, ModelConfig: custom code is off by default
    row(
        "custom-code", _LOG,
        # Every log names the setting once, as it is.
        r"pass the argument `trust_remote_code|contains custom code which must be executed|"
        r"requires you to execute the configuration file",
        "the model brings code of its own, which vLLM runs only when told to",
        "if you trust it: --vllm-args=--trust-remote-code",
    ),
    # config/model.py, _verify_quantization
    row(
        "quantization", _LOG, r"Unknown quantization method",
        "this vLLM does not know the model's quantization",
        "serve with a newer vLLM: --runtime-image",
    ),
    row(
        "wrong-argument", _LOG, r"Quantization method specified .*does not match",
        "--quantization contradicts the model's own", "leave --quantization out of --vllm-args",
    ),
    # model_executor/model_loader/weight_utils.py and its like, get_quant_config
    row(
        "dtype", _LOG,
        r"is not supported for quantization method .*Supported dtypes: \[torch\.(?P<dtype>\w+)",
        "the model's quantization does not take that number format",
        "pass --vllm-args=--dtype={dtype}",
    ),
    row(
        "shared-memory", _LOG,
        r"No space left on device: '?/dev/shm|unable to (?:open|allocate|mmap).*shared memory|"
        r"Bus error",
        "/dev/shm is too small for vLLM's workers",  # noqa: S108
        "pass a larger --shm-size",
    ),
    row(
        "memory", _LOG,
        r"DefaultCPUAllocator: can't allocate memory|Cannot allocate memory|std::bad_alloc|"
        r"MemoryError",
        "the container's memory is too small", "pass a larger --memory", is_planned=True,
    ),
    row(
        "no-user", _LOG, r"getpwuid\(\): uid not found",
        "the pod's user has no entry in the image, and no variable USER",
        "deploy with carferry's own environment: leave USER out of --env",
    ),
    row(
        "weights-broken", _LOG,
        r"SafetensorError|HeaderTooLarge|MetadataIncompleteBuffer|InvalidHeader",
        "a weight file is cut short or none",
        "build the image again: carferry verifies what it packs",
    ),
    # The server may start before modelcar's link is there, and then comes up at its second try.
    row(
        "model-not-linked", _LOG,
        r"/mnt/models\S*'? ?(?:does not exist|is not a (?:local folder|directory))|"
        r"No such file or directory: '?/mnt/models|"
        r"Invalid repository ID or local directory specified: '?/mnt/models",
        "the server does not find the model in /mnt/models",
        "see the log of container modelcar", state=State.WAITING,
    ),
    row(
        "port-in-use", _LOG, r"[Aa]ddress already in use",
        "the server's port is taken in its pod", "leave --port out of --vllm-args",
        state=State.WAITING,
    ),
)  # fmt: skip
