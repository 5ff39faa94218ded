"""What PyTorch's caching allocator makes of tensors, and what vLLM's logs show of it."""

from __future__ import annotations

import random

import pytest
from gpu.samples import LLAMA, shape_of

from carferry.gpu.inventory.catalogue import find
from carferry.gpu.loaded.allocator import Allocator, held
from carferry.gpu.loaded.weights import weights_per_gpu
from carferry.gpu.model.config import parse_config
from carferry.gpu.units import GIB
from carferry.gpu.vllm.version import find_version

MIB = 1 << 20


@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [
        ([1], 512),
        ([100 * MIB], 100 * MIB),
        ([67 * MIB + MIB // 2], 68 * MIB),
        ([135 * MIB], 136 * MIB),
        ([30 * MIB + 3 * MIB // 8], 30 * MIB + 3 * MIB // 8),
        ([3 * MIB, 3 * MIB], 6 * MIB),
        ([9 * MIB + MIB // 2] * 2, 20 * MIB),
    ],
)
def test_a_block_keeps_what_is_too_little_to_split(sizes: list[int], blocks: int) -> None:
    assert held(sizes) == blocks


def test_freed_blocks_are_used_again_and_whole_segments_returned() -> None:
    device = Allocator()
    first = device.take(768 * MIB)
    device.release(first)
    second = device.take(448 * MIB)
    device.empty()

    assert (device.allocated, device.reserved) == (448 * MIB, 768 * MIB)

    device.release(second)
    device.empty()

    assert (device.allocated, device.reserved) == (0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_no_byte_is_lost_or_counted_twice(seed: int) -> None:
    rng, device = random.Random(seed), Allocator()
    live = []
    for _ in range(400):
        if live and rng.random() < 0.45:
            device.release(live.pop(rng.randrange(len(live))))
        else:
            live.append(
                device.take(rng.choice((300, 5 * MIB, 17 * MIB, 90 * MIB)) + rng.randrange(MIB))
            )
        if rng.random() < 0.1:
            device.empty()
        assert device.allocated == sum(block.size for block in live) <= device.reserved
    for block in live:
        device.release(block)
    device.empty()

    assert (device.allocated, device.reserved) == (0, 0)


LOGGED = [
    ("google/gemma-3-1b-it", "A100-80GB", "0.13.0", 1, "bfloat16", 1.9148),
    ("google/gemma-4-26B-A4B", "A100-80GB", "0.19.0", 1, "bfloat16", 48.5),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", "RTX-4090", "0.8.5", 2, "bfloat16", 13.9476),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "V100-32GB", "0.8.5", 1, "float16", 14.2717),
    ("Qwen/Qwen2.5-Math-1.5B", "A10", "0.8.5", 1, "float16", 2.8797),
    ("Qwen/Qwen2.5-3B-Instruct", "GB10", "0.15.1", 1, "bfloat16", 5.79),
    ("Qwen/Qwen3-32B", "H100", "0.15.1", 2, "bfloat16", 30.59),
]


@pytest.mark.parametrize(("model", "gpu", "vllm", "tp", "dtype", "logged"), LOGGED)
def test_logged_weights_are_met_within_a_thousandth(
    model: str, gpu: str, vllm: str, tp: int, dtype: str, logged: float
) -> None:
    predicted = weights_per_gpu(
        shape_of(model), find(gpu), tp=tp, dtype=dtype, version=find_version(vllm)
    )

    assert predicted / GIB == pytest.approx(logged, rel=1e-3)


@pytest.mark.parametrize(
    ("gpu", "vllm", "logged"),
    [("MI300X", "0.11.0", 79.3), ("MI300X", "0.22.0", 63.5), ("H100", "0.11.0", 57.9)],
)
def test_padded_experts_and_their_holes_count_on_amd(gpu: str, vllm: str, logged: float) -> None:
    shape, version = shape_of("Qwen/Qwen3-VL-30B-A3B-Instruct"), find_version(vllm)

    predicted = weights_per_gpu(
        shape, find(gpu), tp=1, dtype="bfloat16", version=version, batched_tokens=8192
    )

    assert predicted / GIB == pytest.approx(logged, rel=0.01)


def test_padding_is_copied_back_from_0_30_on() -> None:
    shape = shape_of("Qwen/Qwen3-30B-A3B")
    amd, nvidia = (
        weights_per_gpu(shape, find(g), tp=1, dtype="bfloat16", version=find_version("0.33.0"))
        for g in ("MI300X", "H100")
    )

    assert amd == nvidia


@pytest.mark.parametrize(
    ("more", "elements"),
    [
        ({}, 8192 * 16),
        ({"partial_rotary_factor": 0.5}, 8192 * 8),
        ({"rope_parameters": {"partial_rotary_factor": 0.25}}, 8192 * 4),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8}}, 8192 * 16),
        (
            {
                "rope_scaling": {
                    "type": "yarn",
                    "factor": 4,
                    "original_max_position_embeddings": 8192,
                }
            },
            4 * 8192 * 16,
        ),
        (
            {"rope_scaling": {"type": "longrope", "original_max_position_embeddings": 4096}},
            (8192 + 4096) * 16,
        ),
        ({"rope_scaling": {"type": "yarn", "factor": 1e300}}, 8192 * 16),
        ({"rope_scaling": {"type": "yarn", "factor": "four"}}, 8192 * 16),
        ({"rope_scaling": 7, "partial_rotary_factor": float("nan")}, 8192 * 16),
    ],
)
def test_angles_are_cached_for_every_position(more: dict[str, object], elements: int) -> None:
    base = LLAMA | {"max_position_embeddings": 8192, "head_dim": 16}

    assert parse_config(base | more).rotary == elements


def test_video_and_two_kinds_of_attention_cache_more_angles() -> None:
    video, plain = (shape_of(f"Qwen/Qwen3-{name}") for name in ("VL-8B-Instruct", "8B"))
    gemma = shape_of("google/gemma-3-1b-it")

    assert video.rotary == 4 * video.positions * 128
    assert plain.rotary == plain.positions * 128
    assert gemma.rotary == 2 * gemma.positions * 256
    assert shape_of("nvidia/Nemotron-H-56B-Base-8K").rotary == 0
