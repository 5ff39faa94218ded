"""Every start-up rule of vLLM that a choice can break: what main said of it was nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gpu.samples import LLAMA, shape_of

from carferry.gpu.inventory.catalogue import find
from carferry.gpu.inventory.nodes import named
from carferry.gpu.memory.choice import Choice
from carferry.gpu.model.config import parse_config
from carferry.gpu.report import words
from carferry.gpu.search.plan import Goal, plan
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.sizing.estimate import Model, Verdict, default_choice, estimate
from carferry.gpu.sizing.parallel import tensor_reason
from carferry.gpu.sizing.served import other_release, release_reason
from carferry.gpu.sizing.starts import least_batch, refusal
from carferry.gpu.vllm.version import LATEST, UNDATED, find_version

QWEN3_FP8 = "Qwen/Qwen3-235B-A22B-FP8"


def refused(model: str, version: str = LATEST, gpu: str = "H100", **given: object) -> str:
    choice = replace(Choice(find(gpu)), **given)  # type: ignore[arg-type]
    return refusal(shape_of(model), choice, find_version(version))


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        ("Qwen/Qwen3-8B", {"max_num_seqs": 4096}, "4096 sequences do not fit a batch of 2048"),
        ("Qwen/Qwen3-8B", {"max_num_seqs": 0}, "0 sequences"),
        ("Qwen/Qwen3-8B", {"max_model_len": 10**6}, "context of 1000000 tokens, the model has"),
        ("Qwen/Qwen3-8B", {"utilization": 1.2}, "utilization 1.2"),
        (
            "openai/whisper-large-v3",
            {"max_num_batched_tokens": 1024, "max_model_len": 448},
            "a batch of 1024 tokens does not hold one input of 1500",
        ),
        (
            "sentence-transformers/all-MiniLM-L6-v2",
            {"max_model_len": 256, "max_num_batched_tokens": 128, "max_num_seqs": 64},
            "does not hold one input of 256",
        ),
        ("Qwen/Qwen3-8B", {"lora_rank": 48}, "adapters of rank 48"),
        ("google/gemma-3-27b-it", {"lora_rank": 16}, "vocabulary of 262208"),
        ("Qwen/Qwen3-8B", {"expert_parallel": True}, "has no experts"),
        ("Qwen/Qwen3-30B-A3B", {"expert_parallel": True, "data_parallel": 256}, "256 ranks for"),
        ("Qwen/Qwen3-235B-A22B", {"tp": 8, "context_ranks": 3}, "do not divide by 3"),
        ("Qwen/Qwen3-235B-A22B", {"tp": 4, "context_ranks": 2}, "needs 8 of them for 4 KV heads"),
        (QWEN3_FP8, {"tp": 8}, "is not whole FP8 blocks of 128"),
        (QWEN3_FP8, {"tp": 4, "data_parallel": 2}, "experts width 1536 / 8"),
    ],
)
def test_what_vllm_refuses_at_its_start_is_refused(
    model: str, given: dict[str, object], words: str
) -> None:
    assert words in refused(model, **given)


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("Qwen/Qwen3-8B", {}),
        ("Qwen/Qwen3-8B", {"lora_rank": 64, "loras": 4}),
        ("openai/whisper-large-v3", {"max_model_len": 448}),
        (QWEN3_FP8, {"tp": 8, "expert_parallel": True}),
        (QWEN3_FP8, {"tp": 4, "data_parallel": 2, "expert_parallel": True}),
        ("Qwen/Qwen3-235B-A22B", {"tp": 8, "context_ranks": 2}),
        ("deepseek-ai/DeepSeek-V3", {"tp": 8, "context_ranks": 8}),
    ],
)
def test_what_starts_is_not_refused(model: str, given: dict[str, object]) -> None:
    assert refused(model, **given) == ""


@pytest.mark.parametrize(
    ("version", "gpu", "refuses"),
    [("0.17.1", "A100-80GB", True), ("0.18.0", "A100-80GB", False), ("0.17.1", "H100", False)],
)
def test_fp8_cache_of_latent_attention_needs_a_kernel(
    version: str, gpu: str, refuses: bool
) -> None:
    reason = refused("moonshotai/Kimi-K2-Thinking", version, gpu, tp=8, kv_dtype="fp8")

    assert ("no fp8 cache for latent attention" in reason) is refuses


@pytest.mark.parametrize(
    ("version", "asked", "refuses"),
    [("0.24.0", True, True), ("0.24.0", None, False), ("0.28.0", None, False)],
)
def test_a_batch_holds_a_block_of_aligned_states(
    version: str, asked: bool | None, refuses: bool
) -> None:
    given = {"prefix_caching": asked, "max_num_batched_tokens": 512, "max_num_seqs": 64}

    reason = refused("Qwen/Qwen3.5-27B", version, **given)

    assert ("block of states" in reason) is refuses


def test_engine_v0_batches_the_whole_context() -> None:
    shape, gpu = shape_of("meta-llama/Meta-Llama-3-8B-Instruct"), find("L40S")
    old, new = find_version("0.7.3"), find_version("0.11.0")

    assert default_choice(shape, gpu, old).max_num_batched_tokens == 8192
    assert default_choice(shape, gpu, new).max_num_batched_tokens == 2048
    assert least_batch(shape, 131072, old) == 1  # longer prompts are chunked


@pytest.mark.parametrize(
    ("model", "version", "gpu", "seqs", "eager", "starts"),
    [
        ("Qwen/Qwen3.5-27B", "0.33.0", "H100", 1024, False, False),
        ("Qwen/Qwen3.5-27B", "0.20.0", "H100", 1024, False, False),
        ("Qwen/Qwen3.5-27B", "0.19.1", "H100", 1024, False, True),  # it captures fewer graphs
        ("Qwen/Qwen3.5-27B", "0.33.0", "H100", 1024, True, True),
        ("Qwen/Qwen3.5-27B", "0.33.0", "H100", 256, False, True),
        ("Qwen/Qwen3-32B", "0.33.0", "H100", 1024, False, True),
    ],
)
def test_every_sequence_needs_a_block_of_states(
    model: str, version: str, gpu: str, seqs: int, eager: bool, starts: bool
) -> None:
    """From 0.20 to 0.33, config/compilation.py: "exceeds available Mamba cache blocks"."""
    choice = Choice(
        find(gpu), max_num_seqs=seqs, max_num_batched_tokens=8192, utilization=0.92, eager=eager
    )

    work = estimate(Model(shape_of(model)), choice, find_version(version))

    assert (work.verdict is not Verdict.NO) is starts
    if not starts:
        assert work.most_seqs is not None and work.most_seqs < seqs
        assert work.binding == f"states of {seqs} sequences"
        fewer = replace(choice, max_num_seqs=work.most_seqs)
        assert estimate(Model(shape_of(model)), fewer, find_version(version)).shortfall == 0


@pytest.mark.parametrize(
    ("model", "version", "gpu", "given", "blocks"),
    [
        # Logged: recipes#551 and a fine-tune on RTX PRO 6000; the blocks follow from all terms.
        ("Qwen/Qwen3.6-27B-FP8", "0.23.0", "H100-80GB", {"utilization": 0.95}, 856),
        ("Qwen/Qwen3.8-27B", "0.27.1", "RTX-PRO-6000", {"utilization": 0.92}, 630),
    ],
)
def test_state_blocks_are_those_vllm_logged(
    model: str, version: str, gpu: str, given: dict[str, object], blocks: int
) -> None:
    choice = Choice(find(gpu), max_num_seqs=1024, max_num_batched_tokens=8192)

    work = estimate(
        Model(shape_of(model)),
        replace(choice, **given),  # type: ignore[arg-type]
        find_version(version),
    )

    assert work.most_seqs == pytest.approx(blocks, rel=0.04)


def test_experts_dealt_out_whole_are_not_cut() -> None:
    shape = shape_of(QWEN3_FP8)

    assert "FP8 blocks" in tensor_reason(shape, 8)
    assert tensor_reason(shape, 8, expert_ranks=8) == ""


@pytest.mark.parametrize(
    ("model", "version", "words"),
    [
        ("Qwen/Qwen3.5-27B", "rhoai-3.4", ""),
        ("Qwen/Qwen3.5-27B", "0.16.0", "came with 0.17.0"),
        ("Qwen/Qwen3.5-27B", "rhoai-3.3", "vLLM 0.13.0 has no Qwen3_5ForConditionalGeneration"),
        ("deepseek-ai/DeepSeek-V3.2", "0.10.2", "came with 0.11.0"),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", "0.10.1", "came with 0.10.2"),
        ("ibm-granite/granite-4.0-h-small", "0.9.0", ""),
        ("Qwen/Qwen3.5-27B", UNDATED, ""),
        ("openai/gpt-oss-20b", "0.8.5", "no GptOssForCausalLM: it came with 0.10.1"),
        ("google/gemma-4-26B-A4B", "0.18.1", "came with 0.19.0"),
        ("google/gemma-4-26B-A4B", "0.19.0", ""),
        ("MiniMaxAI/MiniMax-M2", "0.11.0", "came with 0.11.1"),
        ("MiniMaxAI/MiniMax-M2", "0.11.1", ""),
    ],
)
def test_a_model_needs_a_release_with_its_class(model: str, version: str, words: str) -> None:
    reason = refused(model, version, tp=8, max_num_batched_tokens=8192)

    assert words in reason and bool(words) == ("came with" in reason)


@pytest.mark.parametrize(
    ("version", "words"), [("0.10.2", ""), ("0.11.0", "0.10.2 was the last"), (UNDATED, "")]
)
def test_a_model_needs_a_release_that_still_has_its_class(version: str, words: str) -> None:
    reason = refused("meta-llama/Llama-3.2-11B-Vision-Instruct", version)

    assert words in reason and bool(words) == ("no longer has" in reason)


@pytest.mark.parametrize(("version", "words"), [("0.16.0", ""), ("0.15.0", "came with 0.17.0")])
def test_images_of_other_vendors_may_be_a_release_ahead(version: str, words: str) -> None:
    assert words in refused("Qwen/Qwen3.5-27B", version, "MI300X", tp=8)
    assert bool(words) == bool(refused("Qwen/Qwen3.5-27B", version, "MI300X", tp=8))


def test_a_log_without_a_version_is_planned_with_care() -> None:
    found = find_version(UNDATED)

    assert (found.sampler_bytes, found.states_checked, found.is_guessed) == (38.4, True, True)
    assert "no vLLM version is named" in found.note


@pytest.mark.parametrize(("share", "verdict"), [(0.6, Verdict.FITS), (0.9, Verdict.TIGHT)])
def test_sequences_near_the_number_of_states_are_tight(share: float, verdict: Verdict) -> None:
    """Logged pools had up to 27 % fewer blocks than planned; the margin was that of one request."""
    model, version = Model(shape_of("Qwen/Qwen3.5-27B")), find_version("0.24.0")
    choice = Choice(find("H200"), max_num_seqs=1024, max_num_batched_tokens=8192, utilization=0.92)
    most = estimate(model, choice, version).most_seqs or 0

    work = estimate(model, replace(choice, max_num_seqs=int(share * most)), version)

    assert work.verdict is verdict


def packed(method: str, **more: object) -> ModelShape:
    """Return a small Llama whose weights are packed by a method."""
    section = {"quant_method": method, **more}
    return parse_config(LLAMA | {"quantization_config": section})


@pytest.mark.parametrize(
    ("method", "more", "before", "since"),
    [
        ("mxfp4", {}, "0.10.0", "0.10.1"),
        ("mxfp8", {}, "0.18.1", "0.19.0"),
        ("gpt_oss_mxfp4", {}, "0.19.1", "0.20.0"),
        ("fp_quant", {}, "0.11.0", "0.11.1"),
        ("petit_nvfp4", {}, "0.10.1", "0.10.2"),
        ("auto-round", {}, "0.8.5", "0.9.0"),
        ("modelopt", {"quant_algo": "NVFP4"}, "0.8.5", "0.9.0"),
        ("modelopt_fp4", {}, "0.8.5", "0.9.0"),
        ("modelopt", {"quant_algo": "MXFP8"}, "0.15.1", "0.16.0"),
        ("modelopt", {"quant_algo": "MIXED_PRECISION"}, "0.16.0", "0.17.0"),
        ("deepseek_v4_fp8", {}, "0.19.1", "0.20.0"),
    ],
)
def test_a_packing_needs_a_release_that_knows_it(
    method: str, more: dict[str, object], before: str, since: str
) -> None:
    shape, gpu = packed(method, **more), find("B200")

    assert release_reason(shape, gpu, find_version(before)).endswith(f"it came with {since}")
    assert release_reason(shape, gpu, find_version(since)) == ""
    assert other_release(shape, gpu, find_version(before))[0] == since


@pytest.mark.parametrize(
    ("method", "last", "after"),
    [
        ("bitsandbytes", "0.27.0", "0.28.0"),
        ("gguf", "0.23.0", "0.24.0"),
        ("aqlm", "0.10.0", "0.11.0"),
        ("hqq", "0.14.1", "0.15.0"),
        ("deepspeedfp", "0.14.1", "0.16.0"),
        ("gptq_marlin_24", "0.14.1", "0.33.0"),
        ("ptpc_fp8", "0.18.1", "0.19.0"),
        ("petit_nvfp4", "0.19.1", "0.20.0"),
    ],
)
def test_a_packing_that_left_vllm_is_refused(method: str, last: str, after: str) -> None:
    shape, gpu = packed(method), find("H100")

    assert release_reason(shape, gpu, find_version(last)) == ""
    assert release_reason(shape, gpu, find_version(after)).endswith(f"{last} was the last")
    assert other_release(shape, gpu, find_version(after))[0] == last


@pytest.mark.parametrize(
    ("method", "version", "needed"),
    [
        ("fbgemm_fp8", "0.13.0", False),
        ("fbgemm_fp8", "0.14.0", True),
        ("fbgemm_fp8", "0.33.0", True),
        ("experts_int8", "0.18.1", True),
        ("experts_int8", "0.20.0", False),
        ("fp8", "0.33.0", False),
    ],
)
def test_a_packing_that_is_deprecated_is_allowed_by_a_flag(
    method: str, version: str, needed: bool
) -> None:
    model = Model(packed(method))

    found = plan(model, named("H100"), Goal(vllm=version)).arguments

    assert ("--allow-deprecated-quantization" in found) == needed


@pytest.mark.parametrize(
    ("model", "version", "change"),
    [
        ("openai/gpt-oss-20b", "0.9.2", "serve it with vLLM 0.10.1 or later: --vllm 0.10.1"),
        ("google/gemma-4-26B-A4B", "0.10.2", "serve it with vLLM 0.19.0 or later: --vllm 0.19.0"),
        ("MiniMaxAI/MiniMax-M2", "0.10.0", "serve it with vLLM 0.11.1 or later: --vllm 0.11.1"),
        ("deepseek-ai/DeepSeek-V3.2", "0.9.2", "serve it with vLLM 0.11.0 or later"),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct", "0.33.0", "vLLM 0.10.2 or earlier"),
    ],
)
def test_a_release_in_the_way_is_what_to_change(model: str, version: str, change: str) -> None:
    found = plan(Model(shape_of(model), subject=model), named("H100 x8"), Goal(vllm=version))

    assert found.verdict is Verdict.NO
    assert words.headline(found) == f"vLLM {version} does not serve {model}"
    assert words.change(found).startswith(change) or change in words.change(found)
    assert "then it fits on" in words.change(found)


def test_a_release_and_hardware_in_the_way_are_both_what_to_change() -> None:
    model = Model(shape_of("deepseek-ai/DeepSeek-V3.2"), subject="v3.2")

    found = plan(model, named("H200"), Goal(vllm="0.10.2"))

    assert words.change(found).startswith("serve it with vLLM 0.11.0 or later: --vllm 0.11.0, and ")


def test_what_transformers_may_run_in_an_older_release_is_unchecked() -> None:
    model = Model(shape_of("HuggingFaceTB/SmolLM3-3B"))

    older = plan(model, named("H100"), Goal(vllm="0.10.0"))

    assert older.verdict is Verdict.UNCHECKED
    assert "SmolLM3ForCausalLM in vLLM 0.10.0, whose own class came with 0.10.1" in " ".join(
        older.notes
    )
    assert plan(model, named("H100"), Goal(vllm="0.10.1")).verdict is Verdict.FITS


@pytest.mark.parametrize("model", ["microsoft/Phi-4-multimodal-instruct", "google/gemma-3n-E4B-it"])
def test_a_class_without_stages_is_not_spread_over_nodes(model: str) -> None:
    assert "has no pipeline parallelism" in refused(model, pp=2)
