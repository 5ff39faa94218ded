"""A model that the plan does not know is planned by its weights, warned of, and not refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gpu.samples import llama_file, shape_of

from carferry.errors import UnsupportedModel
from carferry.gpu.inventory.nodes import Inventory, named
from carferry.gpu.loaded.measured import measured_sizes
from carferry.gpu.model.config import parse_config
from carferry.gpu.search import decide as deciding
from carferry.gpu.search.overview import overview
from carferry.gpu.search.plan import Goal, GpuPlan, plan
from carferry.gpu.sizing.estimate import Model, Verdict
from carferry.gpu.units import GIB
from carferry.steps.fitted import Fit
from carferry.weights.safetensors import Tensor

UNKNOWN = "architecture 'foo'"
SHAPE = replace(shape_of("meta-llama/Llama-3.1-70B-Instruct"), unknown=UNKNOWN)


def stored(gib: float) -> Model:
    tensor = Tensor("blob.weight", "U8", (int(gib * GIB),), int(gib * GIB))
    return Model(SHAPE, (tensor,), "org/foo", ("--trust-remote-code",))


def planned(model: Model, gpus: str | Inventory, **goal: object) -> GpuPlan:
    inventory = named(gpus) if isinstance(gpus, str) else gpus
    return plan(model, inventory, Goal(**{"vllm": "0.24.0", **goal}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gib", "gpus", "verdict", "tp"),
    [
        (10, "L40S", Verdict.UNCHECKED, 1),
        (39, "L40S", Verdict.UNCHECKED, 1),  # cramped, and not refused
        (39, "L40S x2", Verdict.UNCHECKED, 2),  # room to spare before fewer GPUs
        (42, "L40S", Verdict.NO, 0),
        (600, "H200 x8", Verdict.UNCHECKED, 8),
        (1100, "H200 x8", Verdict.NO, 0),
    ],
)
def test_only_the_weights_can_refuse_it(gib: float, gpus: str, verdict: Verdict, tp: int) -> None:
    found = planned(stored(gib), gpus)

    assert (found.verdict, found.is_fit) == (verdict, verdict is not Verdict.NO)
    assert (found.chosen.tp if found.chosen else 0) == tp


def test_without_headers_nothing_is_certain_and_nothing_is_refused() -> None:
    assert planned(Model(SHAPE), "T4").verdict is Verdict.UNCHECKED


def test_what_is_missing_is_said_and_more_of_it_is_the_change() -> None:
    found = planned(stored(60), "L40S")

    assert found.verdict is Verdict.NO
    assert found.shortfall_gib == pytest.approx(60 - 44.4 * 0.92, abs=0.1)
    assert found.changes == ("use nodes with 2 x L40S",)
    assert found.change and found.change.option.verdict is Verdict.UNCHECKED


@pytest.mark.parametrize(
    ("version", "length"), [("0.24.0", "auto"), ("0.33.0", "auto"), ("0.11.0", "8192")]
)
def test_its_command_leaves_to_vllm_what_is_not_known(version: str, length: str) -> None:
    found = planned(stored(30), "L40S", vllm=version)

    share = {"0.11.0": "0.9"}.get(version, "0.92")
    assert found.arguments == (
        "--tensor-parallel-size=1",
        f"--max-model-len={length}",
        "--max-num-seqs=64",
        f"--gpu-memory-utilization={share}",
        "--trust-remote-code",
    )


def test_what_the_user_says_stands_in_its_command() -> None:
    goal = {"max_model_len": 4096, "max_num_seqs": 8, "dtype": "float16", "kv_dtype": "fp8"}
    found = planned(stored(30), "L40S", **goal)

    assert found.vllm_args
    args = found.vllm_args
    assert (args.max_model_len, args.max_num_seqs) == (4096, 8)
    assert (args.dtype, args.kv_cache_dtype) == ("float16", "fp8")


def test_heads_that_the_config_tells_count_all_the_same() -> None:
    found = planned(stored(60), "L40S x3")

    assert found.chosen and found.chosen.tp == 2
    reasons = {option.tp: option.reason for option in found.options}
    assert reasons[3] == "64 attention heads do not divide by 3"


def test_every_report_warns() -> None:
    fit = Fit(planned(stored(30), "L40S"))

    assert (fit.verdict, fit.ok) == ("unchecked", True)
    assert UNKNOWN in fit.warning
    for report in (fit.text, fit.markdown, fit.html, str(fit.as_json()["warning"])):
        assert "unchecked" in report
        assert "foo" in report
    assert "unchecked" in fit.deployment["gpu_plan"]
    assert Fit(planned(replace(stored(30), shape=replace(SHAPE, unknown="")), "H200")).warning == ""


def test_an_overview_has_its_rows() -> None:
    rows = {row.gpu: row for row in overview(stored(60), Goal(vllm="0.24.0"))}

    assert rows["L4"].verdict == "unchecked"
    assert rows["L4"].count in (4, 8)  # as much room as an unknown model may want
    assert (rows["H200"].verdict, rows["H200"].count) == ("unchecked", 1)
    assert rows["H100-80GB"].why == f"by its weights alone: {UNKNOWN} is not known"
    assert rows["H100-80GB"].context == 0


def test_stop_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "understand", lambda *_, **__: stored(1))

    assert deciding.decide({}, gpus="L4").verdict is Verdict.UNCHECKED
    with pytest.raises(UnsupportedModel, match="unknown architecture 'foo'"):
        deciding.decide({}, gpus="L4", strict=True)


def test_a_version_that_is_not_known_is_said_in_every_report() -> None:
    fit = Fit(planned(replace(stored(1), shape=replace(SHAPE, unknown="")), "H200", vllm="0.99.0"))

    for report in (fit.text, fit.markdown, str(fit.as_json())):
        assert "planned as vLLM" in report


@pytest.mark.parametrize("said", [{}, {"num_attention_heads": 4}, {"head_dim": 64}])
def test_sizes_that_an_unknown_config_leaves_out_are_those_of_the_headers(
    said: dict[str, int],
) -> None:
    """The old code took a 7B's, and refused embeddings that were not 32000 x 4096."""
    sizes = {"hidden_size": 256, "intermediate_size": 512, "vocab_size": 1000}
    sizes |= {"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
    data = llama_file(sizes)
    config = {"model_type": "foo", "max_position_embeddings": 4096, **said}

    found = deciding.understand(
        config,
        read_range=lambda path, start, end: data[start:end],
        files={"model.safetensors": len(data)},
    )

    assert found.shape.unknown == "architecture 'foo'"
    assert (found.shape.vocab, found.shape.hidden, found.shape.intermediate) == (1000, 256, 512)
    assert len(found.shape.layers) == 3
    assert found.shape.heads.kv * found.shape.heads.dim == 128


@pytest.mark.parametrize(
    "shapes",
    [
        {"model.embed_tokens.weight": (0, 0)},
        {"model.layers.999999.self_attn.q_proj.weight": (7, 3)},
        {"h.0.attn.q_proj.weight": (96, 3), "h.0.attn.k_proj.weight": (0, 3)},
        {"h.0.attn.q_proj.weight": (96, 3), "h.0.attn.k_proj.weight": (36, 3)},
    ],
)
def test_headers_that_make_no_sense_are_no_sizes(shapes: dict[str, tuple[int, int]]) -> None:
    tensors = [Tensor(name, "BF16", shape, 0) for name, shape in shapes.items()]
    shape = parse_config({"model_type": "foo"}, measured=measured_sizes(tensors))

    assert (shape.hidden, shape.vocab, shape.heads.query) == (4096, 32000, 32)
    assert len(shape.layers) in (1, 32)
