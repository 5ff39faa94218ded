"""What a plan decides and doubts reaches the pod once, and stays with the deployment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gpu.samples import LLAMA
from serve_samples import settings

from carferry.cluster.kinds import Object
from carferry.errors import InputError
from carferry.gpu.sizing.estimate import Verdict
from carferry.gpu.vllm_args import VllmArgs
from carferry.run.request import Run
from carferry.run.sizing import Sizing, _sized
from carferry.serve.arguments import parallel_args, planned_by, without
from carferry.serve.objects import make_objects
from carferry.steps.fit import fit
from carferry.steps.fitted import Fit

NOTE = "carferry/gpu-plan"


@pytest.fixture
def found(tmp_path: Path) -> Fit:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(LLAMA))
    return fit(str(tmp_path / "model"), gpus="L4", allow_no_weights=True)


def model_of(**values: Any) -> Object:
    made = make_objects(settings(**values))
    service = next(each for each in made if each["kind"] == "InferenceService")
    model: Object = service["spec"]["predictor"]["model"]
    return model


def notes(**values: Any) -> dict[str, dict[str, str]]:
    made = make_objects(settings(**values))
    return {each["kind"]: each["metadata"].get("annotations", {}) for each in made}


def test_the_plan_is_kept_where_no_pod_starts_anew_for_it() -> None:
    held = notes(gpu_plan="planned: 1 x L4; unchecked: architecture 'foo'")
    assert held["ServingRuntime"][NOTE] == "planned: 1 x L4; unchecked: architecture 'foo'"
    assert NOTE not in held["InferenceService"]
    assert NOTE in notes(kind="llm", gpu_plan="planned: 1 x L4")["LLMInferenceService"]
    assert NOTE not in notes()["ServingRuntime"]


@pytest.mark.parametrize(
    "text",
    [
        "planned: hf_abcdefghijklmnop",
        "planned as vLLM 0.24.0: https://me:secret-word@host/v2/ was not read",
    ],
)
def test_no_secret_is_kept_with_it(text: str) -> None:
    kept = notes(gpu_plan=text)["ServingRuntime"][NOTE]
    assert "***" in kept
    assert "secret-word" not in kept
    assert "abcdefghijklmnop" not in kept


def test_it_is_one_line_of_bounded_length() -> None:
    kept = notes(gpu_plan="planned:\n\x1b[31m" + "x" * 9_000)["ServingRuntime"][NOTE]
    assert kept.isprintable()
    assert len(kept) < 1100


def doubted(found: Fit, verdict: Verdict, vllm: str = "0.24.0", unknown: str = "") -> str:
    plan = found.plan
    model = replace(plan.model, shape=replace(plan.model.shape, unknown=unknown))
    goal = replace(plan.goal, vllm=vllm)
    said: str = Fit(replace(plan, verdict=verdict, model=model, goal=goal)).deployment["gpu_plan"]
    return said


def test_a_plans_doubts_are_in_its_line(found: Fit) -> None:
    assert "unchecked" not in doubted(found, Verdict.FITS)
    assert doubted(found, Verdict.FITS).count(";") == 0
    assert "; tight: the margin is below" in doubted(found, Verdict.TIGHT)
    unchecked = doubted(found, Verdict.UNCHECKED, unknown="architecture 'Foo'")
    assert unchecked.count("unchecked: architecture 'Foo'") == 1
    assert "unchecked" in doubted(found, Verdict.FITS, unknown="quantization 'bar'")


def test_the_nearest_version_is_in_its_line(found: Fit) -> None:
    from carferry.gpu.vllm.version import find_version

    said = doubted(found, Verdict.FITS, vllm="0.99.0")
    assert find_version("0.99.0").note in said


GIVEN_TWICE = [
    (["--gpu-memory-utilization=0.9"], "--gpu-memory-utilization 0.8", "0.8"),
    (["--gpu-memory-utilization=0.9"], "--gpu_memory_utilization=0.8", "0.8"),
    (["--max-num-seqs=256"], "--max-num-seqs=8", "8"),
    (["--quantization=fp8"], "-q awq", "awq"),
    (["--kv-cache-dtype=fp8"], "--kv-cache-dtype=auto", "auto"),
    (["--enable-expert-parallel"], "--no-enable-expert-parallel", "--no-enable-expert-parallel"),
    (["--enable-expert-parallel"], "-ep", "-ep"),
]


@pytest.mark.parametrize(("planned", "written", "value"), GIVEN_TWICE)
def test_what_plan_and_user_both_say_is_given_once(
    planned: list[str], written: str, value: str, found: Fit
) -> None:
    kept = without([*planned, "--dtype=half"], written.split())
    assert kept == ("--dtype=half",)
    assert (*kept, *written.split())[-1].endswith(value)


def test_the_pipeline_gives_each_flag_once(found: Fit) -> None:
    planned = found.deployment["vllm_args"]
    assert any(each.startswith("--max-num-seqs=") for each in planned)
    made = _sized(found, Sizing(vllm_args=("--max-num-seqs", "3", "--gpu-memory-utilization=0.5")))
    flags = [each.partition("=")[0] for each in made.vllm_args if each.startswith("--")]
    assert len(flags) == len(set(flags))
    assert made.vllm_args[-3:] == ("--max-num-seqs", "3", "--gpu-memory-utilization=0.5")


def test_a_deployment_gives_its_own_flags_once() -> None:
    args = model_of(
        gpu_count="4", max_model_len="8192", vllm_args="--max-model-len=4096 -tp 2 -pp 2"
    )["args"]
    assert args == ["--max-model-len=4096", "-tp", "2", "-pp", "2"]


PLANNED_FOR = [
    ("--gpu-memory-utilization=0.8", {"gpu_memory_utilization": 0.8}),
    ("--gpu_memory_utilization .95", {"gpu_memory_utilization": 0.95}),
    ("--kv-cache-dtype=fp8_e4m3", {"kv_cache_dtype": "fp8"}),
    ("--max-num-seqs 64 --max-model-len=4096", {"max_num_seqs": 64, "max_model_len": 4096}),
    ("--dtype=half -q fp8", {"dtype": "float16", "quantization": "fp8"}),
    ("-dp 4 -ep", {"data_parallel": 4, "expert_parallel": True}),
    ("--no-enable-expert-parallel", {"expert_parallel": False}),
    # vLLM reads these, or refuses them; no plan does.
    ("--max-model-len=8k --dtype=auto -q awq --gpu-memory-utilization=7 --max-num-seqs", {}),
    ("--enable-auto-tool-choice --tool-call-parser granite", {}),
]


@pytest.mark.parametrize(("args", "wishes"), PLANNED_FOR)
def test_what_the_pod_will_be_told_is_planned_for(args: str, wishes: dict[str, Any]) -> None:
    assert planned_by(args.split()) == wishes
    planned = Run("a/b", "quay.io/t/m:1", vllm_args=args).plan_settings()
    assert {name: planned.get(name) for name in wishes} == wishes


def test_a_setting_wins_over_the_argument_that_says_the_same() -> None:
    given = {"max_num_seqs": 8}
    run = Run("a/b", "quay.io/t/m:1", vllm_args="--max-num-seqs=64", settings=given)
    assert run.plan_settings()["max_num_seqs"] == 8


ARGS = VllmArgs(
    data_parallel_size=4, enable_expert_parallel=True, kv_cache_dtype="fp8", max_num_seqs=64,
    max_num_batched_tokens=8192, gpu_memory_utilization=0.85, quantization="fp8", dtype="bfloat16",
    speculative_config='{"method": "mtp", "num_speculative_tokens": 1}', enable_lora=True,
    max_loras=2, max_lora_rank=64,
)  # fmt: skip


@pytest.mark.parametrize("kind", ["isvc", "llm"])
def test_every_flag_that_the_plan_chose_reaches_the_pod(kind: str) -> None:
    made = make_objects(settings(kind=kind, gpu_count="8", vllm_args=ARGS.render()))
    written = json.dumps(made)
    for flag in ARGS.render():
        assert json.dumps(flag)[1:-1].replace("'", "") in written.replace("'", "")
    assert "--tensor-parallel-size=2" in written  # 8 GPUs, four engines


SPLIT = [
    (8, 1, "", ("--tensor-parallel-size=8",)),
    (1, 1, "", ()),
    (0, 1, "", ()),
    (8, 1, "--data-parallel-size=8", ()),
    (8, 1, "--data-parallel-size 2", ("--tensor-parallel-size=4",)),
    (8, 1, "-pp 2", ("--tensor-parallel-size=4",)),
    (8, 2, "", ("--tensor-parallel-size=8", "--pipeline-parallel-size=2")),
    (4, 1, "--tensor-parallel-size=2", ()),
]


@pytest.mark.parametrize(("gpus", "nodes", "args", "split"), SPLIT)
def test_a_replica_is_split_over_its_gpus(
    gpus: int, nodes: int, args: str, split: tuple[str, ...]
) -> None:
    assert parallel_args(gpus, nodes, args.split()).render() == split


NOT_SERVED = [
    ("4", "--tensor-parallel-size=8", "takes 8 GPUs, and a replica has 4; write gpu_count 8"),
    ("8", "--data-parallel-size=16 --enable-expert-parallel", "takes 16 GPUs"),
    ("8", "-tp 4 -pp 4", "takes 16 GPUs"),
    ("8", "--data-parallel-size-local=8", "carferry sets it"),
    ("8", "--data_parallel_address=10.0.0.1", "carferry sets it"),
    ("8", "--data-parallel-size=many", "not a count of GPUs"),
    ("8", "--tensor-parallel-size", "not a count of GPUs"),
    ("8", "--tensor-parallel-size=0", "not a count of GPUs"),
    ("8", "--nnodes=2", "nodes says how many"),
]


@pytest.mark.parametrize(("count", "args", "words"), NOT_SERVED)
def test_a_split_that_a_pod_cannot_hold_is_refused(count: str, args: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        model_of(gpu_count=count, vllm_args=args)


@pytest.mark.parametrize("count", ["0", "1", "2", "8"])
@pytest.mark.parametrize("nodes", ["1", "2"])
def test_workers_have_the_shared_memory_they_meet_in(count: str, nodes: str) -> None:
    if (count, nodes) == ("0", "2"):
        return
    more = {"runtime_image": "quay.io/v/vllm:1", "shm_size": "8Gi"}
    made = make_objects(settings(gpu_count=count, nodes=nodes, **more))
    spec = made[1]["spec"]
    for each in (spec, *([spec["workerSpec"]] if nodes == "2" else [])):
        (volume,) = each["volumes"]
        assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}
        (mount,) = each["containers"][0]["volumeMounts"]
        assert mount == {"name": volume["name"], "mountPath": "/dev/shm"}
