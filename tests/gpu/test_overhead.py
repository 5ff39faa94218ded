"""What a step takes: counted from vLLM's code, held against what it logged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gpu.samples import shape_of

from carferry.gpu.inventory.catalogue import Gpu, find
from carferry.gpu.memory.adapters import adapter_bytes
from carferry.gpu.memory.choice import Choice
from carferry.gpu.memory.forward import expert_space
from carferry.gpu.memory.graphs import captured, graphs_gib
from carferry.gpu.memory.margin import margin
from carferry.gpu.memory.overhead import overhead_of
from carferry.gpu.memory.runner import is_second
from carferry.gpu.sizing.estimate import Model, Verdict, estimate, weights_of
from carferry.gpu.units import GIB
from carferry.gpu.vllm.version import UNDATED, find_version

SERVER = {"max_num_seqs": 1024, "max_num_batched_tokens": 8192}
QWEN3_CODER = "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8"


def chosen(gpu: str = "H100", **given: object) -> Choice:
    return replace(Choice(find(gpu)), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "version", "tp", "activation"),
    [
        # The planner's table of H100 logs; main said 2.0, 2.3 and 3.1 for 0.11.0.
        ("meta-llama/Llama-3.1-8B-Instruct", "0.11.0", 1, 4.76),
        ("Qwen/Qwen3-0.6B", "0.11.0", 1, 5.56),
        ("openai/gpt-oss-120b", "0.11.0", 1, 7.38),
        ("Qwen/Qwen3-32B", "0.11.0", 2, 5.64),
        ("meta-llama/Llama-3.1-8B-Instruct", "0.19.0", 2, 1.89),
        ("openai/gpt-oss-20b", "0.19.0", 2, 2.87),
    ],
)
def test_activations_are_those_logged(model: str, version: str, tp: int, activation: float) -> None:
    overhead = overhead_of(shape_of(model), chosen(tp=tp, **SERVER), find_version(version))

    assert overhead.activation / GIB == pytest.approx(activation, rel=0.02)


@pytest.mark.parametrize(("share", "kv"), [(0.90, 48.66), (0.95, 55.65)])
def test_experts_of_eight_engines_take_a_chunk_at_once(share: float, kv: float) -> None:
    """recipes#12: eight H20 of 139.8 GiB, DP8 with expert parallel; main knew neither."""
    gpu = Gpu("H20-141GB", 139.8, 90, 1.0)
    choice = Choice(
        gpu, data_parallel=8, expert_parallel=True, max_model_len=262144, utilization=share,
        **SERVER,  # type: ignore[arg-type]
    )  # fmt: skip

    work = estimate(Model(shape_of(QWEN3_CODER)), choice, find_version("0.10.1"))

    assert work.kv / GIB == pytest.approx(kv, rel=0.01)


@pytest.mark.parametrize(("tp", "engines", "held"), [(1, 4, 32), (1, 3, 43), (2, 24, 3)])
def test_experts_are_dealt_out_over_the_ranks_of_all_engines(
    tp: int, engines: int, held: int
) -> None:
    shape = shape_of("Qwen/Qwen3-30B-A3B-FP8")
    alone = weights_of(Model(shape), chosen("L4", tp=tp), find_version())
    given = {"tp": tp, "data_parallel": engines, "expert_parallel": True}
    shared = weights_of(Model(shape), chosen("L4", **given), find_version())

    experts = 48 * 3 * 2048 * 768 * 1.0
    assert alone - shared == pytest.approx(experts * (128 / tp - held), rel=0.002)


@pytest.mark.parametrize(
    ("version", "chunk"), [("0.11.2", 32768), ("0.12.0", 16384), ("0.18.0", 65536)]
)
def test_experts_workspace_follows_the_chunk_of_the_release(version: str, chunk: int) -> None:
    shape = shape_of("Qwen/Qwen3-30B-A3B")
    whole = chosen(max_num_batched_tokens=65536, max_num_seqs=64)
    part = replace(whole, max_num_batched_tokens=chunk)
    found = find_version(version)

    assert expert_space(shape, whole, found) == expert_space(shape, part, found)


def test_sampler_is_that_of_the_model_runner() -> None:
    dense, experts = shape_of("meta-llama/Llama-3.1-8B-Instruct"), shape_of("Qwen/Qwen3-30B-A3B")

    def sampled(shape: object, version: str) -> float:
        work = overhead_of(shape, chosen(**SERVER), find_version(version))  # type: ignore[arg-type]
        return round(work.activation / GIB, 1)

    assert [sampled(dense, v) for v in ("0.16.0", "0.20.2", "0.27.0", "0.33.0")] == [
        4.8, 1.9, 0.9, 2.0,
    ]  # fmt: skip
    assert sampled(experts, "0.27.0") > sampled(experts, "0.20.2") > 2


@pytest.mark.parametrize(("seqs", "graphs"), [(1, 3), (4, 7), (256, 86), (1024, 102)])
def test_graphs_are_as_many_as_the_sizes(seqs: int, graphs: int) -> None:
    choice = chosen(max_num_seqs=seqs, max_num_batched_tokens=8192)

    version = find_version()
    assert captured(shape_of("Qwen/Qwen3-8B"), choice, version) == graphs
    doubled = captured(shape_of("openai/gpt-oss-20b"), choice, version)
    assert (doubled > graphs) is (seqs == 1024)


def test_graphs_of_few_sequences_take_little() -> None:
    """Logged reserves: 1.11 GiB at 256 sequences, 0.45 at 4; main said 1.9 and 1.4."""
    version = find_version()
    large = graphs_gib(shape_of("Qwen/Qwen3.5-27B"), chosen("L40S", max_num_seqs=256), version)
    small = graphs_gib(shape_of("Qwen/Qwen3.5-35B-A3B"), chosen("L40S", max_num_seqs=4), version)

    assert (large, small) == (pytest.approx(1.11, abs=0.15), pytest.approx(0.45, abs=0.15))
    assert graphs_gib(shape_of("Qwen/Qwen3.5-27B"), chosen(eager=True), version) == 0


@pytest.mark.parametrize(
    ("version", "gpu", "tp", "gib"),
    [
        ("0.16.0", "H100", 2, 0.54),
        ("0.17.0", "H100", 2, 2.02),
        ("0.17.0", "H100", 4, 1.97),
        ("0.19.0", "H100", 1, 0.24),  # logged 0.25; 0.13 before 0.18
        ("0.19.0", "H100", 2, 2.14),  # logged 2.07
        ("0.19.0", "H100", 4, 2.09),  # logged 2.13
        ("0.17.0", "A100-80GB", 2, 0.54),
        ("0.17.0", "B200", 4, 2.44),
        ("0.17.0", "H100", 8, 2.38),
    ],
)
def test_all_reduce_is_fused_from_0_17_on_hopper_and_blackwell(
    version: str, gpu: str, tp: int, gib: float
) -> None:
    overhead = overhead_of(shape_of("Qwen/Qwen3-32B"), chosen(gpu, tp=tp), find_version(version))

    assert overhead.non_torch / GIB == pytest.approx(gib, abs=0.02)


def test_amd_holds_more_outside_torch() -> None:
    shape, version = shape_of("openai/gpt-oss-120b"), find_version("0.24.0")

    held = [overhead_of(shape, chosen(gpu), version).non_torch / GIB for gpu in ("MI300X", "H200")]

    assert held == [pytest.approx(0.9), pytest.approx(0.24)]


@pytest.mark.parametrize(
    ("gpu", "version", "gib"),
    [("H100", "0.10.2", 2.0), ("MI300X", "0.10.2", 4.8), ("MI300X", "0.20.2", 1.9)],
)
def test_without_flashinfer_the_sampler_sorts_until_0_17(
    gpu: str, version: str, gib: float
) -> None:
    shape = shape_of("meta-llama/Llama-3.1-8B-Instruct")

    overhead = overhead_of(shape, chosen(gpu, **SERVER), find_version(version))

    assert overhead.activation / GIB == pytest.approx(gib, abs=0.06)


def test_adapters_of_experts_take_most() -> None:
    """One adapter of rank 64 on Nemotron 3 Ultra at TP8: four of them did not fit a B200."""
    shape = shape_of("Qwen/Qwen3-30B-A3B")
    one = adapter_bytes(shape, chosen(lora_rank=64, loras=1))

    assert adapter_bytes(shape, chosen(lora_rank=64, loras=4)) == 4 * one
    assert adapter_bytes(shape, chosen()) == 0
    assert one > 10 * adapter_bytes(replace(shape, experts=None), chosen(lora_rank=64, loras=1))


@pytest.mark.parametrize(
    ("version", "gpu", "more"),
    [("0.34.0", "H100", True), ("0.33.0", "GB10", True), ("0.33.0", "MI300X", True)],
)
def test_what_is_not_sure_has_a_larger_margin(version: str, gpu: str, more: bool) -> None:
    shape, known = shape_of("Qwen/Qwen3-8B"), find_version("0.33.0")
    overhead = overhead_of(shape, chosen(**SERVER), known)

    sure = margin(shape, chosen(**SERVER), known, overhead)
    unsure = margin(shape, chosen(gpu, **SERVER), find_version(version), overhead)

    assert (unsure > sure + GIB) is more


@pytest.mark.parametrize(
    ("version", "share", "verdict"),
    [
        ("0.19.0", 0.95, Verdict.TIGHT),  # ran out of memory while the sampler warmed up
        ("0.19.0", 0.90, Verdict.FITS),
        ("0.24.0", 0.95, Verdict.FITS),
        ("0.24.0", 0.995, Verdict.TIGHT),
        ("0.24.0", 1.0, Verdict.NO),  # "Free memory on device is less than desired"
    ],
)
def test_what_vllm_takes_outside_its_share_has_room(
    version: str, share: float, verdict: Verdict
) -> None:
    """Main said fits to all of them."""
    choice = chosen(utilization=share, max_model_len=8192, **SERVER)

    work = estimate(Model(shape_of("openai/gpt-oss-20b")), choice, find_version(version))

    assert work.verdict is verdict


def test_nothing_is_refused_for_the_sampler_of_a_release_that_is_not_known() -> None:
    shape, choice = shape_of("Qwen/Qwen3-32B"), chosen(max_model_len=24576, **SERVER)

    known, undated = (
        estimate(Model(shape), choice, find_version(text)) for text in ("0.11.2", UNDATED)
    )

    assert known.kv == undated.kv < known.needed
    assert (known.verdict, undated.verdict) == (Verdict.NO, Verdict.TIGHT)


@pytest.mark.parametrize(
    ("model", "version", "second"),
    [
        ("Qwen/Qwen3-0.6B", "0.22.0", True),
        ("meta-llama/Llama-3.1-8B-Instruct", "0.22.0", False),  # main: True
        ("meta-llama/Llama-3.1-8B-Instruct", "0.23.0", True),
        ("Qwen/Qwen2.5-7B-Instruct", "0.24.0", False),
        ("Qwen/Qwen2.5-7B-Instruct", "0.25.0", True),
        ("deepseek-ai/DeepSeek-V4-Flash", "0.27.0", False),
        ("deepseek-ai/DeepSeek-V4-Flash", "0.28.0", True),  # main: False
        ("Qwen/Qwen3-30B-A3B", "0.28.0", False),
        ("Qwen/Qwen3-30B-A3B", "0.29.0", True),
    ],
)
def test_the_second_runner_takes_over_by_architecture(
    model: str, version: str, second: bool
) -> None:
    assert is_second(shape_of(model), chosen(), find_version(version)) is second


def test_the_second_runner_of_amd_leaves_deepseek_to_the_first() -> None:
    shape = shape_of("deepseek-ai/DeepSeek-V4-Flash")

    assert not is_second(shape, chosen("MI300X"), find_version())


@pytest.mark.parametrize(
    ("model", "version", "reserved"),
    [
        ("Qwen/Qwen3-0.6B", "0.19.0", False),
        ("Qwen/Qwen3-0.6B", "0.20.0", True),
        ("Qwen/Qwen3-0.6B", "0.25.0", False),  # main: True
        ("Qwen/Qwen3-30B-A3B", "0.25.0", True),
        ("Qwen/Qwen3-0.6B", "0.29.0", True),
    ],
)
def test_graphs_are_reserved_by_the_runner_that_measures_them(
    model: str, version: str, reserved: bool
) -> None:
    """Two H100 logs of Qwen3-0.6B on 0.25 have 0.57 GiB in all; main said 1.22."""
    overhead = overhead_of(shape_of(model), chosen(**SERVER), find_version(version))

    assert overhead.reserved is reserved
    assert (overhead.budgeted() > overhead.activation + overhead.non_torch) is reserved


def test_an_image_that_no_profile_ran_is_taken_late() -> None:
    """Model runner V2 profiles encoders from 0.27 on; main counted them from the start."""
    model = Model(shape_of("Qwen/Qwen3-VL-8B-Instruct"))
    choice = chosen(max_num_seqs=16, max_num_batched_tokens=8192)

    before, after = (estimate(model, choice, find_version(v)) for v in ("0.26.0", "0.27.0"))

    assert before.overhead.activation < after.overhead.activation
    assert before.late > after.late


def test_adapters_double_the_graphs_from_0_11_1() -> None:
    """Eight B200 with nemotron-ultra and rank 64 left 8.49 GiB; main said 10.62."""
    shape = shape_of("Qwen/Qwen3-8B")
    plain, lora = chosen(), chosen(lora_rank=16, loras=1)

    for release, times in (("0.11.0", 1), ("0.11.1", 2)):
        version = find_version(release)
        assert captured(shape, lora, version) == times * captured(shape, plain, version)


def test_blackwell_captures_larger_batches_from_0_28() -> None:
    shape = shape_of("Qwen/Qwen3-8B")
    old, new = find_version("0.27.0"), find_version("0.28.0")

    hopper, blackwell = (chosen(gpu, **SERVER) for gpu in ("H100", "B200"))

    assert captured(shape, blackwell, new) > captured(shape, blackwell, old)
    assert captured(shape, hopper, new) == captured(shape, hopper, old)


@pytest.mark.parametrize(
    ("model", "version", "share", "verdict"),
    [
        ("openai/gpt-oss-20b", "0.19.0", 0.95, Verdict.TIGHT),  # ran out of memory
        ("openai/gpt-oss-20b", "0.11.0", 0.90, Verdict.FITS),  # started; main: tight
        ("Qwen/Qwen3-14B", "0.15.0", 0.95, Verdict.FITS),  # started; main: tight
        ("Qwen/Qwen3-14B", "0.15.0", 0.99, Verdict.TIGHT),
    ],
)
def test_much_room_is_tight_only_if_the_rest_of_the_gpu_is(
    model: str, version: str, share: float, verdict: Verdict
) -> None:
    choice = chosen(utilization=share, max_model_len=8192, **SERVER)

    work = estimate(Model(shape_of(model)), choice, find_version(version))

    assert work.kv > 35 * GIB
    assert work.verdict is verdict


def test_attention_of_blackwell_takes_its_workspace_with_the_graphs() -> None:
    """FlashInfer's 394 MiB; with them nemotron-ultra on eight B200 is within 1 %."""
    shape, version = shape_of("Qwen/Qwen3-8B"), find_version("0.22.0")

    hopper, blackwell = (graphs_gib(shape, chosen(gpu), version) for gpu in ("H200", "B200"))

    assert blackwell - hopper == pytest.approx(394 / 1024)


@pytest.mark.parametrize("length", [8192, 262144])
def test_the_largest_image_does_not_shrink_with_the_context(length: int) -> None:
    """``qwen2_vl.py``, get_max_image_tokens; main took the shorter of both."""
    choice = chosen(max_model_len=length, max_num_seqs=4)

    overhead = overhead_of(shape_of("Qwen/Qwen3.5-35B-A3B"), choice, find_version("0.20.0"))

    assert overhead.binding == "encoder"
    assert overhead.activation / GIB == pytest.approx(1.4, abs=0.1)
