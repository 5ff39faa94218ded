"""Token counts are those vLLM logged for the KV GiB it logged."""

from __future__ import annotations

import pytest
from gpu.samples import shape_of

from carferry.gpu.inventory.catalogue import find
from carferry.gpu.memory.choice import Choice
from carferry.gpu.memory.kv import Cache, cache
from carferry.gpu.memory.vllm_version import UNDATED, find_version
from carferry.gpu.units import GIB


def laid_out(model: str, version: str = UNDATED, **given: object) -> Cache:
    choice = Choice(find("H100"), **given)  # type: ignore[arg-type]
    return cache(shape_of(model), choice, find_version(version))


@pytest.mark.parametrize(
    ("model", "version", "given", "gib", "length", "tokens"),
    [
        ("Mistral-7B-Instruct-GPTQ", "0.11.0", {"dtype": "float16"}, 102.56, 32768, 840160),
        ("ibm-granite/granite-4.0-micro", "0.11.0", {}, 35.34, 131072, 463136),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", UNDATED, {"dtype": "float16"}, 8.0, 32768, 149712),
        (
            "mistralai/Mistral-Small-3.2-24B-Instruct-2506",
            "0.11.0",
            {"block": 128},
            28.2,
            16000,
            184832,
        ),
        ("moonshotai/Kimi-K2-Thinking", UNDATED, {"tp": 8}, 46.8, 262144, 715072),
        (
            "moonshotai/Kimi-K2-Thinking",
            UNDATED,
            {"tp": 8, "context_ranks": 8},
            46.8,
            262144,
            5721088,
        ),
        ("google/gemma-3-1b-it", "0.13.0", {}, 25.39, 2048, 950864),
        ("openai/whisper-large-v3", "0.15.1", {"dtype": "float16"}, 10.14, 448, 33216),
        (
            "Qwen/Qwen3.6-35B-A3B-NVFP4",
            "0.24.0",
            {"kv_dtype": "fp8", "prefix_caching": True},
            6.01,
            131072,
            569878,
        ),
    ],
)
def test_logged_tokens_follow_from_the_logged_gib(
    model: str, version: str, given: dict[str, object], gib: float, length: int, tokens: int
) -> None:
    pool = laid_out(model, version, **given)

    assert pool.tokens(int(gib * GIB), length) == pytest.approx(tokens, rel=0.002)


def test_whisper_concurrency_counts_the_encoder_input() -> None:
    pool = laid_out("openai/whisper-large-v3", "0.15.1", dtype="float16")

    assert pool.concurrency(int(10.14 * GIB), 448) == pytest.approx(26.62, abs=0.01)


@pytest.mark.parametrize(
    ("model", "per_token"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 131072),
        ("microsoft/phi-4", 204800),
        ("deepseek-ai/DeepSeek-V3", 70272),
    ],
)
def test_bytes_per_token_of_uniform_models(model: str, per_token: int) -> None:
    pool = laid_out(model)

    assert pool.bytes_per_block == per_token * pool.groups[0].block


def test_rare_layers_set_the_group_size_and_the_rest_is_padded() -> None:
    pool = laid_out("google/gemma-3-27b-it")

    assert [len(group.layers) for group in pool.groups] == [10, 9, 9, 9, 9, 8, 8]
    assert pool.bytes_per_block == 10 * 16 * 2 * 16 * 128 * 2


def test_kinds_of_nearly_equal_number_share_the_larger_size() -> None:
    pool = laid_out("openai/gpt-oss-20b", "0.33.0")

    assert [(group.kind, len(group.layers)) for group in pool.groups] == [
        ("full", 12),
        ("sliding", 12),
    ]


def test_state_page_grows_the_attention_block_as_vllm_logs_it() -> None:
    pool = laid_out("Qwen/Qwen3-Next-80B-A3B-Instruct", "0.11.0", tp=2)

    assert ({group.block for group in pool.groups}, len(pool.groups)) == ({544}, 4)


@pytest.mark.parametrize(
    ("version", "asked", "blocks"),
    [("0.25.1", None, 1), ("0.27.1", None, 1), ("0.28.0", None, 2), ("0.24.0", True, 2)],
)
def test_prefix_caching_of_hybrids_doubles_a_state(
    version: str, asked: bool | None, blocks: int
) -> None:
    """The default from 0.28 on (arg_utils.py); main had it from 0.22, and whole in 0.26."""
    pool = laid_out("ibm-granite/granite-4.0-h-small", version, prefix_caching=asked)

    assert pool.state_blocks == blocks


def test_window_holds_two_batches_in_flight_in_new_versions() -> None:
    old = laid_out("openai/gpt-oss-20b", "0.15.1")
    new = laid_out("openai/gpt-oss-20b", "0.33.0")

    held = new.blocks_per_request(131072) - old.blocks_per_request(131072)

    assert held == 2048 // 16


def test_latent_cache_is_not_divided_by_tensor_parallelism() -> None:
    assert (
        laid_out("deepseek-ai/DeepSeek-V3", tp=8).bytes_per_block
        == laid_out("deepseek-ai/DeepSeek-V3").bytes_per_block
    )


def test_kv_heads_are_copied_when_there_are_more_ranks() -> None:
    model = "Qwen/Qwen3-235B-A22B"

    assert laid_out(model, tp=8).bytes_per_block == laid_out(model, tp=4).bytes_per_block


def test_fp8_cache_holds_twice_the_tokens() -> None:
    model = "meta-llama/Llama-3.1-8B-Instruct"
    wide, narrow = laid_out(model), laid_out(model, kv_dtype="fp8")

    assert narrow.tokens(GIB, 4096) == 2 * wide.tokens(GIB, 4096)


def test_encoder_keeps_no_cache() -> None:
    pool = laid_out("sentence-transformers/all-MiniLM-L6-v2")

    assert (pool.groups, pool.tokens(GIB, 512), pool.bytes_per_request(512)) == ((), 0, 0)


def test_pipeline_stage_holds_its_own_layers_only() -> None:
    model = "meta-llama/Llama-3.1-405B"

    assert laid_out(model, pp=2).bytes_per_block * 2 == laid_out(model).bytes_per_block


@pytest.mark.parametrize("model", ["google/gemma-3-27b-it", "Qwen/Qwen3.5-35B-A3B"])
@pytest.mark.parametrize("size", [0, GIB // 3, GIB, 7 * GIB])
def test_longest_request_is_the_last_that_fits(model: str, size: int) -> None:
    pool = laid_out(model, "0.33.0")

    longest = pool.longest(size, 131072)

    assert longest == 0 or pool.bytes_per_request(longest) <= size
    assert longest == 131072 or pool.bytes_per_request(longest + 1) > size
