"""How the settings, the cuts and the changes of a plan are chosen."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from gpu.samples import config_of, shape_of

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import CENTRE, Gpu, advised, find, products
from carferry.gpu.inventory.nodes import Inventory, NodeGroup, named
from carferry.gpu.report.page import html
from carferry.gpu.report.text import summary, text
from carferry.gpu.report.words import headline, reasons
from carferry.gpu.search import settings
from carferry.gpu.search.decide import decide
from carferry.gpu.search.plan import Goal, GpuPlan, plan
from carferry.gpu.search.scope import scope_of
from carferry.gpu.search.ways import search
from carferry.gpu.sizing.estimate import Model, Verdict

OSS = "openai/gpt-oss-120b"
LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"
QWEN_FP8 = "Qwen/Qwen3-235B-A22B-FP8"
DEEPSEEK = "deepseek-ai/DeepSeek-V3"
LLAMA_405B = "meta-llama/Llama-3.1-405B"
GEMMA_3N = "google/gemma-3n-E4B-it"


def planned(model: str, gpus: Inventory | str, **goal: object) -> GpuPlan:
    wanted = Goal(**{"vllm": "0.24.0", **goal})  # type: ignore[arg-type]
    return decide(config_of(model), gpus=gpus, goal=wanted, subject=model)


def group(gpu: str, free: int, total: int, **more: object) -> NodeGroup:
    return NodeGroup(find(gpu), free, total, **more)  # type: ignore[arg-type]


def test_fewer_sequences_come_before_less_context() -> None:
    args = planned(OSS, "H100").vllm_args

    assert args
    assert isinstance(args.max_model_len, int)
    assert args.max_model_len > 95_000  # 75k at vLLM's own 1024 sequences
    assert args.max_num_seqs == 256


@pytest.mark.parametrize("model", [OSS, LLAMA_8B, "Qwen/Qwen3-32B", "google/gemma-3-27b-it"])
@pytest.mark.parametrize("gpu", ["L40S", "A100-80GB", "H100"])
def test_no_other_number_of_sequences_from_256_gives_a_longer_context(model: str, gpu: str) -> None:
    found = planned(model, gpu)
    if not (found.chosen and found.chosen.best):
        return
    best = found.chosen.best.choice
    for seqs in settings.SEQS[:3]:
        other = planned(model, gpu, max_num_seqs=seqs).chosen
        if other and other.best and other.verdict is Verdict.FITS:
            reached = other.best.choice
            if reached.kv_dtype == best.kv_dtype:
                assert 0.95 * reached.max_model_len <= best.max_model_len


def test_sequences_are_no_more_than_the_blocks_of_their_states() -> None:
    found = planned("Qwen/Qwen3.5-27B", "H100")

    assert found.chosen and found.chosen.best
    best = found.chosen.best
    assert best.most_seqs is not None
    assert best.choice.max_num_seqs < best.most_seqs < 1024


def test_sequences_that_the_user_pins_above_their_blocks_are_refused_with_the_number() -> None:
    found = planned("Qwen/Qwen3.5-27B", "H100", max_num_seqs=1024)

    assert found.verdict is Verdict.NO
    assert re.fullmatch(r"states of 1024 sequences, of which \d+ have a block", found.binding)
    assert found.change
    assert found.change.what.endswith("which you set to 1024")
    assert found.change.option.verdict is Verdict.FITS


def test_a_batch_holds_a_token_of_each_sequence() -> None:
    args = planned(LLAMA_8B, "A100-80GB", max_num_seqs=4096).vllm_args

    assert args and args.max_num_batched_tokens == 4096


def test_experts_are_dealt_out_whole_where_cutting_them_is_refused() -> None:
    """Blocks of 128 do not divide 1536 / 8; Qwen's own recipe deals experts out."""
    found = planned(QWEN_FP8, "H100 x8", gpu_count=8)

    assert "--enable-expert-parallel" in found.arguments
    plain = next(option for option in found.options if not option.expert_parallel)
    assert "FP8 blocks" in plain.reason


def test_experts_are_dealt_out_whole_on_whole_nodes_if_they_are_many() -> None:
    options = planned(DEEPSEEK, "H200 x8").options

    assert {option.tp for option in options if option.expert_parallel} == {8}


@pytest.mark.parametrize(("asked", "found"), [(True, {True}), (False, {False})])
def test_the_user_decides_about_experts(asked: bool, found: set[bool]) -> None:
    options = planned(DEEPSEEK, "H200 x8", expert_parallel=asked).options

    assert {option.expert_parallel for option in options} == found


def test_a_dense_model_has_no_experts_to_deal_out() -> None:
    found = planned(LLAMA_8B, "H100 x2", expert_parallel=True)

    assert {option.reason for option in found.options} == {
        "expert parallel, and the model has no experts"
    }


def test_engines_of_one_pod_share_its_gpus() -> None:
    found = planned(QWEN_FP8, "H200 x8", data_parallel=2, gpu_count=8)

    assert found.gpu_count == 8
    assert found.arguments[:2] == ("--tensor-parallel-size=4", "--data-parallel-size=2")


@pytest.mark.parametrize(
    ("goal", "reason"),
    [
        ({"data_parallel": 2, "nodes": 2}, "data parallel within one pod alone"),
        ({"data_parallel": 3, "gpu_count": 8}, "8 GPUs are not shared evenly by 3 engines"),
        ({"data_parallel": 16}, "needs 16 GPUs in one node, 8 are free"),
    ],
)
def test_engines_that_cannot_be_placed_are_a_reason(goal: dict[str, int], reason: str) -> None:
    inventory = Inventory((group("H200", 8, 8, nodes=2),), "nodes")
    found = planned(QWEN_FP8, inventory, **goal)

    assert found.verdict is Verdict.NO
    assert reason in {option.reason.split(":")[0] for option in found.options}


def test_one_node_is_any_number_of_its_gpus() -> None:
    """The pipeline asks for one node: a 70B model was planned for one GPU of it alone."""
    found = planned(LLAMA_70B, "A100-80GB x8", nodes=1)

    assert found.chosen and found.chosen.tp > 1


@pytest.mark.parametrize(
    ("gpus", "where"),
    [
        ("2 nodes of H100 x1", "2 nodes with 1 x H100-80GB each"),
        ("3 nodes of H100 x1", "2 nodes with 1 x H100-80GB each"),
        ("4 nodes of L40S x1", "4 nodes with 1 x L40S each"),
        ("H100 x2, 2 nodes of H100 x1", "2 x H100-80GB in one node"),
        ("2 nodes of H100 x2", "2 x H100-80GB in one node"),
    ],
)
def test_a_second_node_counts_whatever_a_node_holds(gpus: str, where: str) -> None:
    found = planned(LLAMA_70B, gpus)

    assert found.verdict is Verdict.FITS
    assert headline(found) == f"{LLAMA_70B} fits on {where}"


@pytest.mark.parametrize("gpus", ["2 nodes of mig-3g.40gb", "2 nodes of T4-SHARED"])
def test_parts_of_gpus_are_no_stages_of_a_pipeline(gpus: str) -> None:
    assert {option.pp for option in planned(LLAMA_8B, gpus).options} == {1}


def test_stages_on_one_node_are_called_pods() -> None:
    two, one = planned(DEEPSEEK, "2 nodes of H200 x4"), planned(DEEPSEEK, "H200 x8", nodes=2)

    assert headline(two).endswith("fits on 2 nodes with 4 x H200 each")
    assert headline(one).endswith("fits on 2 pods with 4 x H200 each")
    assert any(note.startswith("2 pods:") for note in one.notes)


def test_quantized_weights_are_not_quantized_again() -> None:
    same = planned(QWEN_FP8, "H200 x8", quantization="fp8")

    assert not [each for each in same.arguments if each.startswith("--quantization")]
    with pytest.raises(InputError, match="the weights are mxfp4 already"):
        planned(OSS, "H100", quantization="fp8")


def test_adapters_and_drafts_stand_in_the_command() -> None:
    shape = replace(shape_of(DEEPSEEK), spare_layers=1)
    goal = Goal(vllm="0.24.0", lora_rank=32, speculative_tokens=1)
    found = plan(Model(shape, subject="m"), named("H200 x8"), goal)

    assert found.arguments[-4:] == (
        "--enable-lora",
        "--max-loras=1",
        "--max-lora-rank=32",
        '--speculative-config={"method":"mtp","num_speculative_tokens":1}',
    )


@pytest.mark.parametrize(
    ("model", "inventory", "goal", "what"),
    [
        (OSS, "H100", {"max_num_seqs": 1024, "max_model_len": 65536},
         "lower --max-num-seqs to 512, which you set to 1024"),
        (LLAMA_8B, "L4", {"max_model_len": 131072}, "lower --max-model-len to"),
        (LLAMA_8B, "L4", {"max_model_len": 131072, "kv_dtype": "auto"}, "lower --max-model-len to"),
        (LLAMA_8B, "T4", {}, "quantize to 8 bits: --quantization=fp8"),
        (OSS, "A100-40GB", {}, "use nodes with"),
        (LLAMA_70B, Inventory((group("L40S", 1, 4),), "nodes"), {}, "free the GPUs that other"),
        (LLAMA_8B, Inventory((group("H100-MIG-1g.10gb", 7, 7),), "nodes"),
         {"quantization": "fp8"}, "use a larger MIG slice: H100-80GB-MIG-1g.20gb"),
        (DEEPSEEK, Inventory((group("H100", 8, 8),), "nodes"), {}, "take a 4-bit revision"),
        (OSS, "RTX-4090", {}, "use nodes with 4 x RTX-4090"),
        (OSS, "T4", {}, "add a node with 1 x"),
    ],
)  # fmt: skip
def test_the_gentlest_change_is_named(
    model: str, inventory: Inventory | str, goal: dict[str, object], what: str
) -> None:
    found = planned(model, inventory, **goal)

    assert found.change
    assert found.change.what.startswith(what)
    assert found.change.option.verdict is not Verdict.NO


def test_changes_are_tried_from_flags_to_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    from carferry.gpu.search import changes

    tried: list[str] = []
    monkeypatch.setattr(changes, "search", lambda *_: tried.append("") or ())
    model = Model(shape_of(LLAMA_70B), subject="m")
    goal = Goal(max_num_seqs=64, max_model_len=16384, kv_dtype="auto", gpu_count=1)
    inventory = Inventory((group("L40S", 1, 2), group("H100-MIG-1g.10gb", 7, 7)), "nodes")
    stages = changes._stages(model, inventory, goal)
    trials = [each.what for stage in stages for each in stage]
    firsts = [
        "lower --max-num-seqs", "lower --max-model-len", "let the KV cache be fp8",
        "quantize to 8 bits", "take a 4-bit revision", "free the GPUs", "use nodes with",
        "use a larger MIG slice", "span 2 nodes", "add a node with",
    ]  # fmt: skip
    places = [next(i for i, what in enumerate(trials) if what.startswith(f)) for f in firsts]
    assert places == sorted(places)


@pytest.mark.parametrize("gpu", products(), ids=lambda gpu: gpu.name)
def test_what_is_added_is_a_card_that_people_add_and_the_same_image_serves(gpu: Gpu) -> None:
    usual = {each.name for cards in advised() for each in cards}
    for model in (OSS, "Qwen/Qwen3-8B", DEEPSEEK):
        change = planned(model, gpu.name, max_model_len=8192).change
        if change and change.what.startswith("add a node"):
            found = change.option.group.gpu
            assert (found.vendor, found.segment) == (gpu.vendor, CENTRE)
            assert found.name in usual


def test_no_board_or_machine_is_advised() -> None:
    names = {each.name for cards in advised() for each in cards}

    assert not [name for name in names if name.startswith(("GB", "GH", "Jetson", "Gaudi"))]


@pytest.mark.parametrize(
    ("model", "gpus", "what", "length"),
    [
        ("deepseek-ai/DeepSeek-V3.2", "A100-80GB x8", "add a node with 8 x H200", 163840),
        ("Qwen/Qwen3-8B", "GTX 1080", "add a node with 1 x L4", 0),
        ("deepseek-ai/DeepSeek-R1-0528", "RTX 4090", "add a node with 8 x H200", 163840),
        (LLAMA_405B, "T4 x4", "add a node with 8 x H200", 131072),
        ("Qwen/Qwen3.5-27B", "GTX 1080", "add a node with 1 x A100-80GB", 0),
    ],
)
def test_a_fit_comes_before_a_tight_fit(model: str, gpus: str, what: str, length: int) -> None:
    change = planned(model, gpus).change

    assert change
    assert (change.what, change.option.verdict) == (what, Verdict.FITS)
    assert change.option.best
    assert change.option.best.choice.max_model_len >= length


@pytest.mark.parametrize(
    ("model", "goal", "what"),
    [
        (LLAMA_8B, {"lora_rank": 64, "loras": 200},
         "lower --max-loras to 64, which you set to 200"),
        ("Qwen/Qwen3-32B", {"lora_rank": 512, "loras": 1},
         "lower --lora-rank to 320, which you set to 512"),
        (GEMMA_3N, {"lora_rank": 8}, "serve no adapters: leave --lora-rank out"),
        ("Qwen/Qwen3-32B", {"dtype": "float32"}, "serve --dtype bfloat16, which you set to"),
        (LLAMA_8B, {"utilization": 1.0}, "lower --gpu-memory-utilization to 0.92, which you set"),
        (LLAMA_8B, {"utilization": 0.1}, "raise --gpu-memory-utilization to 0.92"),
    ],
)  # fmt: skip
def test_every_wish_that_stands_in_the_way_may_be_loosened(
    model: str, goal: dict[str, object], what: str
) -> None:
    found = planned(model, "H100", **goal)

    assert found.verdict is not Verdict.FITS
    assert found.change
    assert found.change.what.startswith(what)


def test_what_is_missing_for_the_driver_is_told_in_mib() -> None:
    found = planned(LLAMA_8B, "H100", utilization=0.998)

    assert "driver's context beside vLLM's share: 94 MiB are missing" in " ".join(reasons(found))


def test_states_of_sequences_are_not_called_one_request() -> None:
    roomy = planned("Qwen/Qwen3.5-27B", "MI300X")
    short = planned("Qwen/Qwen3.5-27B", "H100", max_num_seqs=1024)
    told = "states of 1024 sequences need 49.0"

    for found in (roomy, short):
        assert told in " ".join(reasons(found))
        assert "KV cache, states of 1024 sequences" in html(found)
        assert "K what must fit" in text(found)
        assert "one request of" not in " ".join(reasons(found))
        assert told in json.dumps(summary(found))
    assert "one request of" in " ".join(reasons(planned(LLAMA_8B, "H100")))


@pytest.mark.parametrize("gpus", ["RTX 4090", "RTX 3060 x2", "T4", "GTX 1080", "24GiB x2"])
@pytest.mark.parametrize("model", ["moonshotai/Kimi-K3", "deepseek-ai/DeepSeek-R1-0528", DEEPSEEK])
def test_a_plan_that_does_not_fit_weighs_few_options(
    model: str, gpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from carferry.gpu.search import ways

    seen: list[object] = []
    real = ways.weights_of
    monkeypatch.setattr(ways, "weights_of", lambda *each: seen.append(each) or real(*each))

    assert planned(model, gpus).verdict is Verdict.NO
    assert len(seen) < 120


def test_a_change_is_searched_like_the_question() -> None:
    found = planned(LLAMA_8B, "L4", max_model_len=131072, max_num_seqs=64)

    assert found.change
    again = search(found.change.model, found.inventory, found.change.goal)
    assert again[0] == found.change.option


def test_each_choice_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from carferry.gpu.search import ways

    seen: list[object] = []
    real = ways.estimate
    monkeypatch.setattr(ways, "estimate", lambda m, c, *more: seen.append(c) or real(m, c, *more))
    model = Model(shape_of(LLAMA_70B), subject="m")
    scope = scope_of(model, named("H100 x8"), Goal())

    assert search(model, scope.inventory, scope.goal)
    assert len(seen) == len(set(seen)) < 120


@pytest.mark.parametrize(("vllm", "flag"), [("0.24.0", True), ("0.30.0", False)])
def test_a_model_that_starts_with_an_fp8_cache_alone_is_given_one(vllm: str, flag: bool) -> None:
    """DeepSeek V4 was refused on every release before 0.30: no other cache was tried."""
    found = planned("deepseek-ai/DeepSeek-V4-Flash", "H200 x8", vllm=vllm)

    assert found.is_fit
    assert ("--kv-cache-dtype=fp8" in found.arguments) is flag
    assert not [note for note in found.notes if "to make it fit" in note]
