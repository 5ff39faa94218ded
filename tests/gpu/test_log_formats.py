"""Every version's lines are read alike: what the log tells is what is found."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from gpu.vllm_logs import VERSIONS, Start, lines, messages, v0_messages

from carferry.errors import InputError
from carferry.gpu.log.parse import parse_log
from carferry.gpu.log.started import StartLog
from carferry.steps.logs import lines_of

PREFIXES = {
    "plain": "INFO 10-02 08:00:00 [gpu_worker.py:298] ",
    "process": "(EngineCore_DP0 pid=271) INFO 10-02 08:00:00 [gpu_worker.py:298] ",
    "worker": "(Worker_TP0 pid=88) INFO 10-02 08:00:00 [gpu_worker.py:298] ",
    "coloured": "\x1b[0;36m(EngineCore pid=271)\x1b[0;0m \x1b[32mINFO\x1b[0m \x1b[90m10-02 08:00:00"
    "\x1b[0m \x1b[90m[gpu_worker.py:298]\x1b[0m ",
    "kubelet": "2026-10-02T08:00:00.123456789Z stdout F INFO 10-02 08:00:00 [gpu_worker.py:298] ",
    "json": '{"level": "INFO", "message": "',
}


def read(log: bytes) -> StartLog:
    return parse_log(lines_of(io.BytesIO(log)))


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
@pytest.mark.parametrize("version", VERSIONS)
def test_usual_log_of_each_version(version: str, prefix: str) -> None:
    start = Start(version=version, tp=2, seqs=256, utilization=0.95)

    found = read(lines(messages(start), prefix))

    kv = None if start.at_least < (0, 9, 1) else start.kv
    assert (found.version, found.model, found.tp) == (version, start.model, 2)
    assert (found.weights_gib, found.kv_gib, found.tokens) == (start.weights, kv, start.tokens)
    assert found.concurrency == round(start.tokens / start.length, 2)
    assert found.graphs_gib == start.graphs
    assert found.reserved_gib == (start.reserved if start.at_least >= (0, 18) else None)
    assert (found.max_model_len, found.max_num_seqs) == (start.length, 256)
    assert (found.max_num_batched_tokens, found.utilization) == (start.batched, 0.95)
    assert (found.dtype, found.eager, found.failure) == ("bfloat16", False, "")


@pytest.mark.parametrize("version", [v for v in VERSIONS if Start(v).at_least >= (0, 9, 1)])
def test_debug_log_of_each_version_tells_every_term(version: str) -> None:
    start = Start(version=version)

    found = read(lines(messages(start, debug=True)))

    assert found.weights_gib == start.weights
    assert found.non_torch_gib == pytest.approx(start.non_torch, abs=0.011)
    assert found.activation_gib == pytest.approx(start.activation, abs=0.011)
    if start.at_least >= (0, 10, 2):
        assert found.total_gib == start.total
        assert found.requested_gib == pytest.approx(start.total * 0.9, abs=0.01)


@pytest.mark.parametrize("version", [v for v in VERSIONS if Start(v).at_least >= (0, 27)])
def test_since_0_27_usual_logs_tell_activations_and_graphs_together(version: str) -> None:
    start = Start(version=version)

    found = read(lines(messages(start)))

    assert found.activation_gib == pytest.approx(start.activation, abs=0.011)
    assert found.non_torch_gib == pytest.approx(start.non_torch, abs=0.011)


@pytest.mark.parametrize("version", ["0.8.5", "0.9.2", "0.10.1"])
def test_log_of_the_first_engine(version: str) -> None:
    start = Start(version=version, total=23.64, activation=1.2, kv=5.03)

    found = read(lines(v0_messages(start, 2575)))

    assert (found.total_gib, found.utilization, found.requested_gib) == (23.64, 0.9, 21.28)
    assert (found.weights_gib, found.activation_gib, found.non_torch_gib) == (14.99, 1.2, 0.13)
    assert (found.kv_gib, found.blocks, found.max_model_len) == (5.03, 2575, 16000)
    assert found.tokens == 2575 * 16


def test_sign_of_newer_servers_tells_the_version() -> None:
    sign = (
        " \u2584\u2584 \u2584\u2588 \u2588     \u2588 \u2580\u2584\u2580 \u2588  version 0.33.0\n"
    )

    found = read(sign.encode() + b"INFO [x.py:1] Model loading took 1.5 GiB memory and 2 seconds\n")

    assert (found.version, found.weights_gib) == ("0.33.0", 1.5)


def test_of_several_ranks_the_fullest_counts() -> None:
    first, second = Start(tp=2), Start(tp=2, weights=15.2, kv=50.9, tokens=417_000, activation=4.9)
    ranks = [list(messages(each, debug=True)) for each in (first, second)]
    both = [text for pair in zip(*ranks, strict=True) for text in pair]

    found = read(lines(both))

    assert (found.kv_gib, found.tokens, found.weights_gib) == (50.9, 417_000, 15.2)
    assert (found.activation_gib, found.starts) == (4.9, 1)


def test_last_start_of_a_log_counts() -> None:
    again = replace(Start(), weights=3.5, kv=60.1, tokens=99_000)

    found = read(lines(messages(Start())) + lines(messages(again)))

    assert (found.starts, found.weights_gib, found.kv_gib, found.tokens) == (2, 3.5, 60.1, 99_000)


FAILURES = [
    (
        "ValueError: To serve at least one request with the models's max seq len (131072), (16.00 "
        "GiB KV cache is needed, which is larger than the available KV cache memory (5.03 GiB). "
        "Based on the available memory, the estimated maximum model length is 41184.",
        "one request of its max_model_len does not fit the KV cache",
    ),
    (
        "ValueError: The model's max seq len (131072) is larger than the maximum number of tokens "
        "that can be stored in KV cache (81536). Try increasing `gpu_memory_utilization`",
        "one request of its max_model_len does not fit the KV cache",
    ),
    ("ValueError: No available memory for the cache blocks. Try increasing", "no memory was left"),
    (
        "ValueError: max_num_seqs (1024) exceeds available Mamba cache blocks (369). Each decode",
        "max_num_seqs is above the state blocks there are",
    ),
    (
        "ValueError: Free memory on device cuda:0 (3.2/14.56 GiB) on startup is less than desired "
        "GPU memory utilization (0.9, 13.1 GiB). Decrease GPU memory",
        "less of the GPU was free than vLLM was to take",
    ),
    (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total "
        "capacity of 79.18 GiB of which 1.2 GiB is free.",
        "out of memory",
    ),
    ("EngineCore failed to start.", "the engine failed to start"),
]


@pytest.mark.parametrize(("error", "why"), FAILURES)
def test_log_that_ends_in_an_error_says_which(error: str, why: str) -> None:
    texts = ["vLLM API server version 0.11.0", error, "Engine core initialization failed. See root"]

    found = read(lines(texts))

    assert found.failure.startswith(why)


def test_error_that_tells_sizes_is_read() -> None:
    found = read(lines([FAILURES[0][0]]))

    assert (found.needed_gib, found.kv_gib) == (16.0, 5.03)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_no_log_is_refused_or_read_but_never_breaks(seed: int) -> None:
    chance = random.Random(seed)
    good = lines(messages(Start(), debug=True))
    kinds = [
        chance.randbytes(200_000),
        bytes(b ^ (chance.random() < 0.02) * chance.randrange(256) for b in good),
        b"".join(chance.sample(good.splitlines(True), k=5)) + b"\xff\xfe\x00",
        b"Model loading took " + b"9" * 300_000 + b" GiB",
        b"Available KV cache memory: nan GiB\nGPU KV cache size: inf tokens\n",
        b"\x1b[" * 50_000,
        b"non-default args: {" + b"'model': " * 50_000,
        good.replace(b"14.99", b"-1e999"),
    ]

    for log in kinds:
        try:
            read(log)
        except InputError as error:
            assert "no line of a start of vLLM" in str(error)


def test_log_in_another_encoding_is_read() -> None:
    found = read("Stra\xdfe\n".encode("latin-1") + lines(messages(Start())) + b"\xc3\x28\n")

    assert found.weights_gib == 14.99


@pytest.mark.parametrize("settings", [
    {"'tensor_parallel_size': 4": ("tp", 4)},
    {"'enforce_eager': True": ("eager", True)},
    {"'enable_expert_parallel': True": ("expert_parallel", True)},
    {"'kv_cache_dtype': 'fp8_e4m3'": ("kv_dtype", "fp8")},
    {"'dtype': 'half'": ("dtype", "float16")},
    {"'dtype': 'auto'": ("dtype", "")},
    {"'max_num_seqs': None": ("max_num_seqs", None)},
    {"'block_size': 64": ("block", 64)},
    {"'data_parallel_size': 8": ("dp", 8)},
    {"'speculative_config': {'method': 'mtp', 'num_speculative_tokens': 2}":
        ("speculative_tokens", 2)},
])  # fmt: skip
def test_settings_are_read_from_arguments(settings: dict[str, tuple[str, object]]) -> None:
    ((text, (name, value)),) = settings.items()

    found = read(lines([f"non-default args: {{'model': 'a/b', {text}}}"]))

    assert getattr(found, name) == value


class Endless(io.RawIOBase):
    """A start, 30 MB of requests, then 30 MB of a line that does not end."""

    def __init__(self, head: bytes) -> None:
        request = b'INFO: 10.0.0.1 - "POST /v1/completions HTTP/1.1" 200 OK\n' * 200
        self.parts = [head, *[request] * (30_000_000 // len(request)), *[b"x" * 10_000] * 3_000]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        part = self.parts.pop(0) if self.parts else b""
        if len(part) > len(view):
            self.parts.insert(0, part[len(view) :])
        size = min(len(part), len(view))
        view[:size] = part[:size]
        return size


def test_a_long_log_is_read_in_a_stream_and_a_line_without_end_is_cut() -> None:
    longest = 0

    def told(stream: io.BufferedReader) -> Iterator[bytes]:
        nonlocal longest
        for line in lines_of(stream):
            longest = max(longest, len(line))
            yield line

    begun = time.monotonic()
    found = parse_log(told(io.BufferedReader(Endless(lines(messages(Start()))))))

    assert (found.kv_gib, longest) == (51.38, 1 << 16)
    assert time.monotonic() - begun < 20


def test_reading_stops_at_a_limit() -> None:
    stream = io.BytesIO(b"x" * 70_000 + b"\nModel loading took 1.5 GiB and 2 seconds\n" * 10)

    assert sum(map(len, lines_of(stream, most=70_000))) <= 70_000


@pytest.mark.parametrize(("text", "name"), [
    ("not found at /x/E=128,N=768,device_name=NVIDIA_H100_80GB_HBM3.json", "NVIDIA H100 80GB HBM3"),
    ("/x/N=8,K=4,device_name=NVIDIA_L40S,dtype=fp8_w8a8,block_shape=[128,128].json", "NVIDIA L40S"),
    ("GPU 0: NVIDIA A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB"),
    ("GPU 0-7: NVIDIA B200 (x8)", "NVIDIA B200"),
])  # fmt: skip
def test_gpu_is_read_where_a_kernel_or_a_report_names_it(text: str, name: str) -> None:
    assert read(lines([*messages(Start()), text])).gpu == name


def test_utilization_is_read_from_what_the_graph_profile_says() -> None:
    """Where a log begins after its arguments."""
    start = Start(version="0.27.1", utilization=0.82)
    said = [text for text in messages(start) if "args" not in text and "Free memory" not in text]

    found = read(lines(said))

    assert (found.utilization, found.reserves) == (0.82, True)


def test_a_login_in_a_models_address_is_not_kept() -> None:
    found = read(lines(["non-default args: {'model': 'https://me:hf_abcdefgh@host/x'}"]))

    assert "hf_abcdefgh" not in found.model
