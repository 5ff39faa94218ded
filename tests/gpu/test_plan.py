from __future__ import annotations

import json

import pytest
from gpu.samples import LLAMA, config_of, header, llama_file

from carferry.errors import DoesNotFit, InputError
from carferry.gpu.inventory.catalogue import find
from carferry.gpu.inventory.nodes import Inventory, NodeGroup
from carferry.gpu.model.config import parse_config
from carferry.gpu.search.decide import decide
from carferry.gpu.search.plan import Goal, GpuPlan
from carferry.gpu.sizing.estimate import Choice, Model, Verdict, estimate
from carferry.gpu.units import GIB
from carferry.gpu.vllm.version import UNDATED, find_version
from carferry.weights.safetensors import FIRST_READ


def planned(model: str, gpus: Inventory | str, **goal: object) -> GpuPlan:
    return decide(config_of(model), gpus=gpus, goal=Goal(**goal), subject=model)  # type: ignore[arg-type]


GPU = "nvidia.com/gpu"
LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"


def test_cheapest_option_that_fits_is_chosen() -> None:
    plan = planned(LLAMA_8B, "H100 x8, L40S x4, T4")

    assert plan.chosen is not None
    assert (plan.verdict, plan.chosen.group.gpu.name, plan.chosen.tp) == (Verdict.FITS, "L40S", 1)


def test_own_prices_change_the_order() -> None:
    plan = planned(LLAMA_8B, "H100, L40S", prices={"H100-80GB": 1.0, "L40S": 2.0})

    assert plan.chosen is not None
    assert plan.chosen.group.gpu.name == "H100-80GB"


def test_arguments_leave_nothing_to_defaults() -> None:
    plan = planned(LLAMA_8B, "L40S", max_model_len=16384)

    assert plan.arguments == (
        "--tensor-parallel-size=1",
        "--dtype=bfloat16",
        "--max-model-len=16384",
        "--max-num-seqs=256",
        "--max-num-batched-tokens=2048",
        "--gpu-memory-utilization=0.92",
    )


def test_plan_that_fits_says_what_each_pod_asks_for_and_vllm_is_given() -> None:
    plan = planned(LLAMA_70B, "A100-80GB x8", max_model_len=32768)

    assert plan.vllm_args is not None
    assert (plan.is_fit, plan.gpu_resource, plan.changes) == (True, GPU, ())
    assert plan.gpu_count == plan.vllm_args.tensor_parallel_size == 4
    assert plan.vllm_args.max_model_len == 32768


def test_plan_that_does_not_fit_names_the_change_and_asks_for_nothing() -> None:
    plan = planned(LLAMA_8B, "T4")

    assert (plan.is_fit, plan.chosen, plan.vllm_args, plan.arguments) == (False, None, None, ())
    assert (plan.gpu_resource, plan.gpu_count) == ("", 0)
    assert plan.changes == ("quantize to 8 bits: --quantization=fp8, or take an FP8 checkpoint",)


def test_tensor_parallelism_is_used_only_if_one_gpu_is_too_small() -> None:
    plan = planned(LLAMA_70B, "A100-80GB x8", max_model_len=32768)

    assert plan.chosen is not None
    assert plan.chosen.tp == 2 or plan.chosen.tp == 4
    single = next(option for option in plan.options if option.tp == 1)
    assert (single.verdict, single.best and single.best.binding) == (Verdict.NO, "weights")


def test_invalid_tensor_sizes_are_listed_with_their_reason() -> None:
    plan = planned("microsoft/phi-4", "L40S x4")

    reasons = {option.tp: option.reason for option in plan.options}

    assert reasons[4] == "10 KV heads neither divide by nor into 4"


def test_context_is_cut_to_what_fits_and_noted() -> None:
    plan = planned(LLAMA_8B, "L4")

    assert plan.chosen and plan.chosen.best
    served = plan.chosen.best.choice.max_model_len
    assert 8192 <= served < 131072
    assert (
        f"context cut to {served} of the model's 131072 tokens; pin --max-model-len" in plan.notes
    )


@pytest.mark.parametrize(
    ("model", "gpus", "goal", "words"),
    [
        (LLAMA_8B, "L4", {"max_model_len": 131072, "kv_dtype": "auto"}, "lower --max-model-len to"),
        (LLAMA_8B, "T4", {}, "quantize to 8 bits"),
        (LLAMA_70B, "L40S", {}, "L40S"),
        ("openai/gpt-oss-20b", "T4", {}, "add a node with 1 x"),
        ("meta-llama/Llama-3.1-405B", "H100 x4", {}, ""),
    ],
)
def test_smallest_change_helps(model: str, gpus: str, goal: dict[str, object], words: str) -> None:
    plan = planned(model, gpus, **goal)

    assert plan.verdict is Verdict.NO
    assert plan.change is not None
    assert words in plan.change.what
    assert plan.change.option.verdict is not Verdict.NO


def test_shortfall_is_what_the_arithmetic_lacks() -> None:
    plan = planned(LLAMA_8B, "T4", max_model_len=8192)

    best = plan.options[0].best
    assert best is not None
    assert plan.shortfall_gib == pytest.approx((best.needed - best.kv) / GIB)
    assert best.kv == best.requested - best.weights - best.overhead.budgeted()


def test_logged_failure_is_not_called_fits() -> None:
    model = "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B"
    choice = Choice(find("RTX-4090"), tp=2, max_model_len=131072, utilization=0.98)

    work = estimate(Model(parse_config(config_of(model))), choice, find_version(UNDATED))

    assert work.verdict is Verdict.NO


def test_margin_below_our_own_error_is_tight() -> None:
    verdicts = {
        estimate(
            Model(parse_config(config_of(LLAMA_8B))),
            Choice(find("L4"), max_model_len=length, utilization=0.92),
        ).verdict
        for length in range(8192, 40000, 512)
    }

    assert verdicts == {Verdict.FITS, Verdict.TIGHT, Verdict.NO}


def test_time_sliced_gpu_is_never_more_than_tight() -> None:
    shared = NodeGroup(find("L40S-SHARED"), free=4, total=4, replicas=1)

    plan = planned("Qwen/Qwen2.5-0.5B-Instruct", Inventory((shared,), "nodes"))

    assert plan.verdict is Verdict.TIGHT
    assert {option.tp for option in plan.options} == {1}


def test_slices_are_not_joined() -> None:
    sliced = find("NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", label_mib=9984)
    group = NodeGroup(sliced, free=7, total=7)

    plan = planned(LLAMA_8B, Inventory((group,), "nodes"))

    assert (plan.verdict, {option.tp for option in plan.options}) == (Verdict.NO, {1})


def test_gpus_in_use_are_named_as_the_reason() -> None:
    busy = NodeGroup(find("H100"), free=0, total=8)

    plan = planned(LLAMA_8B, Inventory((busy,), "nodes"))

    assert plan.options[0].reason == "all 8 GPUs of the node are in use"


def test_node_disk_must_hold_the_image_twice_unless_it_is_there() -> None:
    cold = NodeGroup(find("L40S"), free=1, total=1, disk_bytes=30 * GIB)
    warm = NodeGroup(find("H100"), free=1, total=1, disk_bytes=30 * GIB, warm=1)

    plan = planned(LLAMA_8B, Inventory((cold, warm), "nodes"), image_bytes=16 * GIB)

    assert plan.chosen and plan.chosen.group.gpu.name == "H100-80GB"
    assert any("the image needs 32.0 GiB" in option.reason for option in plan.options)


def test_quota_and_limit_range_cap_the_gpus() -> None:
    group = NodeGroup(find("A100-80GB"), free=8, total=8)
    inventory = Inventory((group,), "nodes", allowances={GPU: 4}, per_pods={GPU: 2})

    plan = planned(LLAMA_70B, inventory)

    assert max(option.tp for option in plan.options) == 2


@pytest.mark.parametrize(
    ("inventory", "goal", "reason"),
    [
        ({"allowances": {GPU: 0}}, {}, "needs 1 GPUs, the namespace's quota leaves 0"),
        (
            {"allowances": {GPU: 2}},
            {"gpu_count": 4},
            "needs 4 GPUs, the namespace's quota leaves 2",
        ),
        (
            {"per_pods": {GPU: 1}},
            {"gpu_count": 2},
            "needs 2 GPUs in one pod, the LimitRange allows 1",
        ),
        ({}, {"gpu_count": 16}, "needs 16 GPUs in one node, 8 are free"),
        ({}, {"gpu_count": 8, "nodes": 3}, "needs 3 such nodes, there are 2"),
    ],
)
def test_gpus_that_cannot_be_had_are_a_reason_not_a_fit(
    inventory: dict[str, dict[str, int]], goal: dict[str, int], reason: str
) -> None:
    group = NodeGroup(find("A100-80GB"), free=8, total=8, nodes=2)

    plan = planned(LLAMA_8B, Inventory((group,), "nodes", **inventory), **goal)

    assert (plan.verdict, plan.options[0].reason) == (Verdict.NO, reason)


def test_nodes_with_more_of_their_gpus_in_use_are_not_listed_twice() -> None:
    groups = tuple(
        NodeGroup(find("L40S"), free=free, total=4, nodes=nodes) for free, nodes in ((2, 1), (4, 5))
    )

    plan = planned(LLAMA_8B, Inventory(groups, "nodes"))

    assert plan.chosen and plan.chosen.group.nodes == 5
    assert len({(o.group.gpu.name, o.tp, o.pp) for o in plan.options}) == len(plan.options)


def test_requests_that_must_run_at_once_need_their_share() -> None:
    one = planned(LLAMA_8B, "L40S", max_model_len=32768)
    many = planned(LLAMA_8B, "L40S", max_model_len=32768, concurrency=20.0)

    assert (one.verdict, many.verdict) == (Verdict.FITS, Verdict.NO)
    assert many.binding == "KV cache for 20 requests of 32768 tokens"


def test_whole_nodes_become_stages_if_one_is_too_small() -> None:
    group = NodeGroup(find("H100"), free=8, total=8, nodes=4)

    plan = planned("meta-llama/Llama-3.1-405B", Inventory((group,), "nodes"))

    assert plan.chosen is not None
    assert (plan.chosen.tp, plan.chosen.pp) == (8, 2)
    assert "--pipeline-parallel-size=2" in plan.arguments


def test_model_without_a_config_is_refused() -> None:
    with pytest.raises(InputError, match=r"plan org/x: no config\.json"):
        decide(None, gpus="L40S", subject="org/x")


def test_inventory_without_gpus_is_an_error() -> None:
    with pytest.raises(DoesNotFit, match="no GPU nodes here"):
        planned(LLAMA_8B, Inventory((), "nodes"))


@pytest.mark.parametrize(
    "goal", [{"max_model_len": 10**9}, {"max_model_len": 0}, {"utilization": 1.5}, {"vllm": "x"}]
)
def test_goal_that_cannot_be_is_refused(goal: dict[str, object]) -> None:
    with pytest.raises(InputError):
        planned(LLAMA_8B, "L40S", **goal)


def test_more_memory_never_makes_the_verdict_worse() -> None:
    order = [Verdict.NO, Verdict.TIGHT, Verdict.FITS]

    verdicts = [
        planned("Qwen/Qwen3-32B", gpu).verdict for gpu in ("L4", "L40S", "A100-80GB", "H200")
    ]

    assert verdicts == sorted(verdicts, key=order.index)


def test_headers_are_read_by_range_and_checked_against_the_config() -> None:
    data = llama_file(LLAMA)
    asked: list[tuple[int, int]] = []

    def read(path: str, start: int, end: int) -> bytes:
        asked.append((start, end))
        return data[start:end]

    plan = decide(LLAMA, gpus="T4", read_range=read, files={"model.safetensors": len(data)})

    assert (plan.verdict, asked) == (Verdict.FITS, [(0, min(FIRST_READ, len(data)))])
    with pytest.raises(InputError, match="embeddings are"):
        decide(
            LLAMA | {"hidden_size": 128},
            gpus="T4",
            read_range=read,
            files={"model.safetensors": len(data)},
        )


def test_encoder_fits_without_a_cache() -> None:
    plan = planned("sentence-transformers/all-MiniLM-L6-v2", "T4")

    assert plan.chosen and plan.chosen.best
    assert (plan.verdict, plan.chosen.best.needed) == (Verdict.FITS, 0)


def test_sentence_encoder_takes_no_more_than_it_was_trained_for() -> None:
    bert = config_of("sentence-transformers/all-MiniLM-L6-v2")
    size = 12 << 20
    names = ["embeddings.x", *(f"encoder.layer.{layer}.x" for layer in range(6))]
    entries = {
        name: {"dtype": "U8", "shape": [size], "data_offsets": [at * size, (at + 1) * size]}
        for at, name in enumerate(names)
    }
    files = {
        "model.safetensors": header(entries),
        "sentence_bert_config.json": b'{"max_seq_length": 256}',
    }

    plan = decide(
        bert,
        gpus="T4",
        read_range=lambda path, start, end: files[path][start:end],
        files={
            "model.safetensors": len(files["model.safetensors"]) + len(names) * size,
            "sentence_bert_config.json": 23,
        },
    )

    assert "--max-model-len=256" in plan.arguments


def test_encoder_batch_holds_its_longest_input() -> None:
    long = config_of("sentence-transformers/all-MiniLM-L6-v2") | {
        "model_type": "xlm-roberta",
        "max_position_embeddings": 8194,
    }

    plan = decide(long, gpus="L4")

    assert "--max-model-len=8192" in plan.arguments
    assert "--max-num-batched-tokens=8192" in plan.arguments


@pytest.mark.parametrize(
    ("there", "index", "missing"),
    [
        ("model-00002-of-00003.safetensors", False, "model-00001-of-00003.safetensors"),
        ("a.safetensors", True, "b.safetensors"),
    ],
)
def test_shard_that_is_not_there_is_named(there: str, index: bool, missing: str) -> None:
    files = {there: llama_file(LLAMA)}
    if index:
        named = {"weight_map": {"lm_head.weight": there, "model.norm.weight": missing}}
        files["model.safetensors.index.json"] = json.dumps(named).encode()

    with pytest.raises(InputError, match=f"{missing}: missing"):
        decide(
            LLAMA,
            gpus="L4",
            read_range=lambda path, start, end: files[path][start:end],
            files={name: len(data) for name, data in files.items()},
        )
