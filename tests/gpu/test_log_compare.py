"""A start of vLLM beside its prediction: which term is off, and what that teaches another plan."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from gpu.samples import config_of, shape_of
from gpu.vllm_logs import VERSIONS, Start, lines, messages, v0_messages

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import find
from carferry.gpu.log.calibrate import calibration_of, why_not
from carferry.gpu.log.compare import (
    ACTIVATION,
    CACHE,
    GRAPHS,
    LAYOUT,
    NON_TORCH,
    OVERHEAD,
    TOKENS,
    WEIGHTS,
    Comparison,
    compare,
)
from carferry.gpu.log.kept import fitting, read_kept, render_kept, with_new
from carferry.gpu.log.parse import parse_log
from carferry.gpu.memory.calibration import Calibration, calibration_for
from carferry.gpu.memory.overhead import Overhead
from carferry.gpu.search.decide import decide
from carferry.gpu.search.plan import Goal
from carferry.gpu.sizing.estimate import Model, cache_of, default_choice, estimate
from carferry.gpu.units import GIB, gib
from carferry.gpu.vllm.version import find_version

LOGS = Path(__file__).parents[1] / "data" / "gpu" / "logs"
LLAMA, QWEN = "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-0.6B"
H100 = find("H100")


def compared(log: bytes, model: str, version: str = "") -> Comparison:
    read = parse_log(io.BytesIO(log))
    known = Model(shape_of(model), subject=model)
    return compare(read, known, H100, find_version(version or read.version))


def of_file(name: str, model: str) -> Comparison:
    return compared((LOGS / f"{name}.log").read_bytes(), model)


def exact(version: str, seqs: int = 256) -> Start:
    """Return the start that vLLM would log if the prediction were right."""
    known = Model(shape_of(LLAMA), subject=LLAMA)
    ranges = find_version(version)
    choice = replace(
        default_choice(known.shape, H100, ranges),
        max_model_len=16000, max_num_seqs=seqs, max_num_batched_tokens=8192, utilization=0.9,
    )  # fmt: skip
    best, over = estimate(known, choice, ranges), estimate(known, choice, ranges).overhead
    graphs = gib(over.graphs) if best.graphs_budgeted else 0.98
    kv = round(gib(best.kv), 2)
    return Start(
        version=version, seqs=seqs, weights=round(gib(best.weights), 2), kv=kv,
        activation=round(gib(over.activation), 2), non_torch=round(gib(over.non_torch), 2),
        graphs=round(gib(over.graphs), 2), reserved=round(graphs, 2), tokens=best.tokens,
    )  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS[2:])
@pytest.mark.parametrize("debug", [False, True], ids=["usual", "debug"])
def test_a_log_that_is_as_predicted_is_within_the_band_in_every_term(
    version: str, debug: bool
) -> None:
    found = compared(lines(messages(exact(version), debug=debug)), LLAMA)

    assert [line for line in found.lines if not line.is_within] == []
    assert {WEIGHTS, CACHE, LAYOUT, TOKENS, GRAPHS} <= {line.term for line in found.lines}
    assert found.verdict == "Every term is within our band."


def test_log_of_the_first_engine_is_compared_in_every_term() -> None:
    right = exact("0.9.2")
    log = lines(v0_messages(right, int(right.kv * GIB) // (131_072 * 16)))

    found = compared(log, LLAMA)

    assert {WEIGHTS, ACTIVATION, NON_TORCH, CACHE, LAYOUT} <= {line.term for line in found.lines}
    layout = found.line(LAYOUT)
    assert layout and layout.is_within


OFF = [
    ({"weights": 3.0}, WEIGHTS, "more"),
    ({"activation": 4.0}, ACTIVATION, "more"),
    ({"non_torch": 1.5}, NON_TORCH, "more"),
    ({"weights": -3.0}, WEIGHTS, "less"),
]


@pytest.mark.parametrize("version", ["0.11.0", "0.19.0", "0.24.0", "0.33.0"])
@pytest.mark.parametrize(("change", "term", "how"), OFF)
def test_the_term_that_is_off_is_named_with_its_size(
    version: str, change: dict[str, float], term: str, how: str
) -> None:
    right = exact(version)
    ((name, size),) = change.items()
    wrong = replace(
        right, **{name: round(getattr(right, name) + size, 2)}, kv=round(right.kv - size, 2)
    )

    found = compared(lines(messages(wrong, debug=True)), LLAMA)

    assert found.verdict.lower().startswith(term)
    assert f"{abs(size):.1f}" in found.verdict or f"{abs(size) - 0.01:.2f}" in found.verdict
    assert f"GiB {how} than predicted, beyond our band of" in found.verdict


@pytest.mark.parametrize("version", ["0.11.0", "0.24.0"])
def test_usual_log_tells_activations_and_non_torch_as_one_term(version: str) -> None:
    right = exact(version)

    found = compared(lines(messages(replace(right, kv=round(right.kv - 3, 2)))), LLAMA)

    assert found.verdict.startswith("Activations and non-torch: ")
    line = found.line(OVERHEAD)
    assert line and line.off == pytest.approx(-3, abs=0.05)


def test_layout_is_off_where_the_logged_gib_hold_other_tokens() -> None:
    right = exact("0.11.0")

    found = compared(lines(messages(replace(right, tokens=right.tokens // 2))), LLAMA)

    assert found.verdict.startswith("KV layout: ")
    assert found.line(CACHE) and found.line(CACHE).is_within  # type: ignore[union-attr]


def test_settings_are_the_logs_own() -> None:
    start = Start(tp=2, length=4000, seqs=17, batched=4096, utilization=0.83)

    choice = compared(lines(messages(start, debug=True)), LLAMA).best.choice

    assert (choice.tp, choice.max_model_len, choice.max_num_seqs) == (2, 4000, 17)
    assert (choice.max_num_batched_tokens, choice.utilization) == (4096, 0.83)
    assert choice.gpu.memory_gib == 79.18


def test_published_log_is_within_the_band_but_for_what_we_know() -> None:
    found = of_file("llama-3.1-8b-h100", LLAMA)

    line = found.line(WEIGHTS)
    assert line and abs(line.off) < 0.05
    assert found.line(CACHE)


def test_log_that_failed_says_so_beside_its_figures() -> None:
    model = "Qwen/Qwen2.5-7B-Instruct-AWQ"

    found = of_file("qwen2.5-7b-awq-too-little", model)

    said = "vLLM did not start: one request of its max_model_len does not fit the KV cache"
    assert said in found.notes


def lesson(found: Comparison, date: str = "2026-11-26") -> Calibration:
    assert why_not(found) == ""
    return calibration_of(
        found, image="quay.io/x/vllm:1", gpu=H100.name, model=found.log.model, date=date
    )


def kv_error(model: str, known: tuple[Calibration, ...], logged: float, version: str) -> float:
    """Return how far a plan's KV cache is from a log, GiB."""
    ranges, subject = find_version(version), Model(shape_of(model))
    choice = replace(
        default_choice(subject.shape, H100, ranges), max_model_len=16000, utilization=0.9,
        calibration=calibration_for(known, H100.name, 1),
    )  # fmt: skip
    return abs(gib(estimate(subject, choice, ranges).kv) - logged)


def test_what_one_model_taught_brings_another_nearer() -> None:
    wrong = replace(exact("0.11.0"), activation=2.4)
    taught = lesson(compared(lines(messages(wrong, debug=True)), LLAMA))
    plain = exact("0.11.0")

    before = estimate_kv(())
    after = estimate_kv((taught,))

    assert before == pytest.approx(plain.kv, abs=0.01)
    assert before - after == pytest.approx(2.4 - plain.activation, abs=0.05)


def estimate_kv(known: tuple[Calibration, ...]) -> float:
    goal = Goal(vllm="0.11.0", max_model_len=16000, max_num_seqs=256, calibrations=known)
    plan = decide(config_of(LLAMA), gpus="H100", goal=goal, subject=LLAMA)
    assert plan.chosen and plan.chosen.best
    return gib(plan.chosen.best.kv)


@pytest.mark.parametrize(("teacher", "pupil", "logged"), [
    ("qwen3-0.6b-h100", LLAMA, 51.38), ("llama-3.1-8b-h100", QWEN, 64.45),
])  # fmt: skip
def test_published_logs_teach_each_other_of_an_image_that_samples_unlike_its_release(
    teacher: str, pupil: str, logged: float
) -> None:
    """Planned as 0.9.2, which copies where these sort: 2.8 and 3.2 GiB off."""
    model = QWEN if teacher.startswith("qwen") else LLAMA
    log = (LOGS / f"{teacher}.log").read_bytes()
    taught = lesson(compared(log, model, "0.9.2"))

    before = kv_error(pupil, (), logged, "0.9.2")
    after = kv_error(pupil, (taught,), logged, "0.9.2")

    assert before > 2.5
    assert after < 0.15


def test_later_plan_names_the_log_that_corrected_it() -> None:
    right = exact("0.11.0", 1024)
    wrong = replace(right, activation=round(right.activation * 1.5, 2))
    taught = lesson(compared(lines(messages(wrong, debug=True)), LLAMA))
    goal = Goal(vllm="0.11.0", max_model_len=4096, max_num_seqs=1024, calibrations=(taught,))

    plan = decide(config_of(QWEN), gpus="H100", goal=goal, subject=QWEN)
    other = decide(config_of(QWEN), gpus="L40S", goal=goal, subject=QWEN)

    (note,) = [note for note in plan.notes if note.startswith("calibrated for")]
    assert note.startswith(
        f"calibrated for quay.io/x/vllm:1 on {H100.name} from the log of {LLAMA}, 2026-11-26: "
        "activation +"
    )
    assert not [note for note in other.notes if note.startswith("calibrated for")]


@pytest.mark.parametrize("fault", [{"weights": 3.0}, {"tokens": -200_000}])
def test_a_fault_of_weights_or_layout_never_reaches_another_model(fault: dict[str, float]) -> None:
    right = exact("0.11.0")
    wrong = replace(right, **{name: getattr(right, name) + size for name, size in fault.items()})

    found = compared(lines(messages(wrong, debug=True)), LLAMA)

    if "weights" in fault:
        assert why_not(found) == "the weights are not the ones that were predicted"
        return
    taught = lesson(found)
    assert (taught.non_torch / GIB, taught.activation) == pytest.approx((0, 1), abs=0.02)
    pool = [
        cache_of(shape_of(QWEN), replace(default_choice(shape_of(QWEN), H100, v), calibration=c), v)
        for v in [find_version("0.11.0")] for c in (None, taught)
    ]  # fmt: skip
    assert pool[0] == pool[1]


def test_terms_carry_over_only_where_the_same_holds() -> None:
    taught = Calibration("i", "H100-80GB", "m", "2026-11-26", 2, GIB, 1.5, "sampler", 2.0)
    overhead = Overhead(4 * GIB, GIB, GIB, "sampler")

    same = taught.corrected(overhead, 2)
    other = taught.corrected(replace(overhead, binding="forward"), 4)

    assert (same.activation, same.non_torch, same.graphs) == (6 * GIB, 2 * GIB, 2 * GIB)
    assert (other.activation, other.non_torch, other.graphs) == (4 * GIB, GIB, 2 * GIB)


def test_an_unchecked_model_teaches_nothing() -> None:
    found = compared(lines(messages(exact("0.11.0"))), LLAMA)

    assert why_not(found, "architecture 'Foo'") == "the plan does not know architecture 'Foo'"


def test_a_term_that_is_off_beyond_reason_teaches_nothing() -> None:
    wrong = replace(exact("0.11.0"), non_torch=40.0)

    found = compared(lines(messages(wrong, debug=True)), LLAMA)

    assert why_not(found) == "a term is off by more than a correction may be"


def test_kept_calibrations_come_back_and_the_last_of_a_kind_stays() -> None:
    old = Calibration("vLLM 0.11.0", "L40S", "a", "2026-01-01", activation=1.2, binding="sampler")
    new, other = replace(old, date="2026-02-02", activation=1.3), replace(old, ranks=2)

    known = with_new(with_new(with_new((), old), other), new)

    assert read_kept(render_kept(known), "f") == (other, new)
    assert calibration_for(known, "L40S", 1) == new
    assert calibration_for(known, "T4", 1) is None
    assert fitting(known, "other", "vLLM 0.11.0") == known
    assert fitting(known, "other") == ()


BROKEN = [
    b"", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"format": "carferry-calibration/1"}',
    b'{"format": "carferry-calibration/1", "calibrations": [1]}',
    *(
        json.dumps({
            "format": "carferry-calibration/1",
            "calibrations": [{
                "image": "i", "gpu": "g", "model": "m", "date": "d", "ranks": 1, "non_torch": 0,
                "activation": 1.0, "binding": "", "graphs": 1.0, **change,
            }],
        }).encode()
        for change in (
            {"activation": float("nan")}, {"activation": 1e9}, {"activation": "1"},
            {"graphs": True}, {"ranks": 0}, {"ranks": 1e99}, {"non_torch": 2**60}, {"image": 1},
            {"gpu": "x" * 5000},
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_refused_in_one_line(text: bytes) -> None:
    with pytest.raises(InputError, match="read the calibration F") as caught:
        read_kept(text, "F")

    assert "\n" not in str(caught.value)
