"""Token counts are those vLLM logged for the KV GiB it logged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gpu.samples import shape_of

from carferry.gpu.inventory.catalogue import find
from carferry.gpu.memory.choice import Choice
from carferry.gpu.memory.kv import Cache, cache
from carferry.gpu.shape.shape import LayerKind
from carferry.gpu.units import GIB
from carferry.gpu.vllm.version import UNDATED, find_version


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


def test_indexer_keeps_keys_beside_the_latent_cache() -> None:
    """Logged: 78,326 tokens; main computed without the 132 bytes a layer and a token."""
    plain = laid_out("deepseek-ai/DeepSeek-V3", tp=8)
    sparse = laid_out("deepseek-ai/DeepSeek-V3.2", tp=8)
    packed = laid_out("deepseek-ai/DeepSeek-V3.2", tp=8, kv_dtype="fp8")

    assert plain.bytes_per_block == 61 * 64 * 576 * 2
    assert sparse.bytes_per_block == 61 * 64 * (576 * 2 + 132)
    assert packed.bytes_per_block == 61 * 64 * (656 + 132)


@pytest.mark.parametrize(("model", "spare"), [("Qwen/Qwen3-8B", 0), ("deepseek-ai/DeepSeek-V3", 1)])
def test_drafts_keep_a_cache_of_their_own(model: str, spare: int) -> None:
    shape = replace(shape_of(model), spare_layers=spare)
    version = find_version("0.33.0")

    def per_block(tokens: int) -> int:
        return cache(
            shape, Choice(find("H200"), speculative_tokens=tokens), version
        ).bytes_per_block

    layers = len(shape.layers)
    assert per_block(1) / per_block(0) == pytest.approx((layers + 1) / layers)


def test_a_draft_keeps_a_state_for_every_proposed_token() -> None:
    plain = laid_out("Qwen/Qwen3.5-27B", "0.33.0")
    drafting = laid_out("Qwen/Qwen3.5-27B", "0.33.0", speculative_tokens=3)

    assert (plain.state_blocks, drafting.state_blocks) == (2, 5)


def test_layers_that_share_keep_no_cache() -> None:
    shape = shape_of("Qwen/Qwen3-8B")
    half = replace(shape, kv_shared=len(shape.layers) // 2)
    choice, version = Choice(find("H100")), find_version("0.33.0")

    assert (
        2 * cache(half, choice, version).bytes_per_block
        == cache(shape, choice, version).bytes_per_block
    )


@pytest.mark.parametrize(("version", "groups"), [("0.8.5", 1), ("0.9.0", 1), ("0.9.1", 6)])
def test_windows_count_as_full_before_the_hybrid_allocator(version: str, groups: int) -> None:
    """Gemma 3: the allocator of several kinds came with 0.9.1; main laid out all the same way."""
    pool = laid_out("google/gemma-3-1b-it", version)

    assert (len(pool.groups) == 1) is (groups == 1)
    if groups == 1:
        assert pool.blocks_per_request(32768) == 32768 // 16


@pytest.mark.parametrize(("version", "kept"), [("0.13.0", 131072), ("0.14.0", 8192 + 2048)])
def test_chunked_layers_keep_a_chunk_from_0_14_on(version: str, kept: int) -> None:
    shape = shape_of("Qwen/Qwen3-8B")
    layers = tuple(
        LayerKind.FULL if index % 4 == 3 else LayerKind.CHUNKED
        for index in range(len(shape.layers))
    )
    chunked = replace(shape, layers=layers, chunk=8192)

    pool = cache(chunked, Choice(find("H100")), find_version(version))

    expected = 131072 // 16 + 3 * kept // 16 if version == "0.14.0" else 131072 // 16
    assert pool.blocks_per_request(131072) == expected


def test_states_of_nemotron_are_exact_if_no_type_is_said() -> None:
    """Nemotron Nano 12B v2 on 0.20: vLLM found 658 blocks where main planned more than 1,300."""
    shape = replace(shape_of("nvidia/NVIDIA-Nemotron-Nano-12B-v2"), model_type="nemotron_h")
    assert shape.state is not None and shape.state.dtype == ""
    choice = Choice(find("H100"))

    old, new = (cache(shape, choice, find_version(v)).bytes_per_block for v in ("0.12.0", "0.20.0"))

    assert new / old == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(
    ("version", "given", "gib", "length", "tokens"),
    [
        ("0.22.1", {"tp": 8, "max_num_batched_tokens": 8192}, 37.93, 256000, 2497693),
        ("0.27.1", {"tp": 2, "max_num_batched_tokens": 8192}, 50.51, 98304, 752889),
        # No release named: as the first that serves it logs.
        (UNDATED, {"tp": 8, "max_num_batched_tokens": 8192}, 37.93, 256000, 2497693),
    ],
)
def test_joined_entries_windows_and_unfinished_sums_make_the_tokens_of_deepseek_v4(
    version: str, given: dict[str, object], gib: float, length: int, tokens: int
) -> None:
    pool = laid_out("deepseek-ai/DeepSeek-V4-Flash", version, kv_dtype="fp8", **given)

    assert pool.tokens(int(gib * GIB), length) == pytest.approx(tokens, rel=0.001)


def test_deepseek_v4_names_what_a_request_lacks() -> None:
    given = {"tp": 2, "kv_dtype": "fp8", "max_num_batched_tokens": 16384}
    pool = laid_out("deepseek-ai/DeepSeek-V4-Flash", "0.22.0", **given)

    assert pool.bytes_per_request(30000) / GIB == pytest.approx(6.66, abs=0.005)
    assert pool.longest(int(5.44 * GIB), 30000) == pytest.approx(13528, abs=8)


@pytest.mark.parametrize(
    ("version", "size"), [("0.23.0", 1051776), ("0.24.0", 1039680), ("0.33.0", 1002240)]
)
def test_a_block_of_deepseek_v4_packs_its_layers_as_each_release_does(
    version: str, size: int
) -> None:
    model = "deepseek-ai/DeepSeek-V4-Flash"

    assert laid_out(model, version, kv_dtype="fp8").bytes_per_block == size
    staged = laid_out(model, version, kv_dtype="fp8", pp=2)
    assert size / 2 <= staged.bytes_per_block <= size * 0.6


@pytest.mark.parametrize(
    ("model", "tp", "per_token"),
    [
        ("openbmb/MiniCPM3-4B", 1, 62 * 40 * 2 * 96 * 2),
        ("openbmb/MiniCPM3-4B", 4, 62 * 10 * 2 * 96 * 2),
        ("MiniMaxAI/MiniMax-M3", 1, 60 * 4 * 2 * 128 * 2 + 57 * 128 * 2),
        ("MiniMaxAI/MiniMax-M3", 8, 60 * 1 * 2 * 128 * 2 + 57 * 128 * 2),
    ],
)
def test_what_a_token_keeps_beside_or_instead_of_plain_heads(
    model: str, tp: int, per_token: int
) -> None:
    pool = laid_out(model, "0.33.0", tp=tp)

    assert pool.bytes_per_block == per_token * pool.groups[0].block
