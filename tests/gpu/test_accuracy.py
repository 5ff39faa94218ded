from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from gpu.samples import CONFIGS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_accuracy.py"
ROWS: list[dict[str, Any]] = [
    {
        "id": 7,
        "model": "Qwen/Qwen3-32B",
        "gpu": "H100-80GB",
        "gpu_memory_gib": 79.18,
        "tp": 2,
        "dtype": "bfloat16",
        "max_model_len": 16000,
        "gpu_memory_utilization": 0.9,
        "weights_gib_per_gpu": 30.59,
        "kv_cache_gib": 34.49,
        "outcome": "ok",
    },
    {
        "id": 42,
        "model": "Qwen/Qwen2.5-0.5B-Instruct",
        "gpu": "T4",
        "dtype": "float16",
        "gpu_memory_utilization": 0.9,
        "max_model_len": 32768,
        "weights_gib_per_gpu": 0.9276,
        "kv_cache_gib": 10.63,
        "kv_cache_tokens": 928944,
        "outcome": "ok",
    },
    {"id": 97, "model": "Qwen/Qwen3-8B", "vllm_version": "nightly", "dtype": "auto", "gpu": "T4"},
    {"id": 98, "model": None, "outcome": "ok"},
    {"id": 99, "model": "org/unknown", "gpu": "T4"},
    {"id": 100, "model": "Qwen/Qwen3-8B", "gpu": "Banana"},
]


def measure(
    tmp_path: Path, rows: Sequence[Mapping[str, object]], configs: Path = CONFIGS
) -> dict[str, Any]:
    source, out = tmp_path / "rows.json", tmp_path / "out.json"
    source.write_text(json.dumps(rows))
    command = [sys.executable, str(SCRIPT), "--rows", str(source), "--configs", str(configs)]
    subprocess.run([*command, "--json", str(out)], check=True, capture_output=True)
    body: dict[str, Any] = json.loads(out.read_text())
    return body


@pytest.mark.filterwarnings("ignore")
def test_rows_of_any_completeness_are_measured(tmp_path: Path) -> None:
    body = measure(tmp_path, ROWS)

    lines = {line["id"]: line for line in body["rows"]}
    assert lines[7]["kv_gib"] == pytest.approx(34.49, rel=0.01)
    assert lines[42]["tokens"] == pytest.approx(928944, rel=0.001)
    assert lines[99]["remark"].startswith("find config org/unknown: none in configs")
    assert lines[100]["remark"].startswith("find GPU 'Banana': no such product")


def test_predictions_do_not_read_the_logged_answer(tmp_path: Path) -> None:
    blind = [
        {k: v for k, v in row.items() if k not in ("weights_gib_per_gpu", "kv_cache_gib")}
        for row in ROWS
    ]

    seen, unseen = measure(tmp_path, ROWS), measure(tmp_path, blind)

    keys = ("weights", "kv_gib", "verdict")
    assert [[row[key] for key in keys] for row in seen["rows"]] == [
        [row[key] for key in keys] for row in unseen["rows"]
    ]


LIMITS = {
    "tuned": {
        "failed called fits": 0.0,
        "started called no": 0.012,
        "refused or in error": 0.0,
        "KV GiB median": 0.005,
        "KV GiB p90 NVIDIA": 0.11,
        "KV GiB p90 AMD": 0.025,
        "weights p90": 0.01,
    },
    "held out": {
        "failed called fits": 0.0,
        "started called no": 0.0,
        "refused or in error": 0.0,
        "KV GiB median": 0.021,
        "KV GiB p90 NVIDIA": 0.12,
        "KV GiB p90 AMD": 0.025,
        "weights p90": 0.022,
    },
}
"""What was reached, with a little room: no figure may get worse than this unseen."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the figures of every row of the repository, as the benchmark prints them."""
    out = tmp_path_factory.mktemp("measured") / "out.json"
    command = [sys.executable, str(SCRIPT), "--no-speed", "--json", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    body: dict[str, Any] = json.loads(out.read_text())["summary"]
    return body


@pytest.mark.parametrize(
    ("part", "figure", "most"),
    [(part, figure, most) for part, limits in LIMITS.items() for figure, most in limits.items()],
)
def test_published_rows_are_met_as_well_as_before(
    measured: dict[str, Any], part: str, figure: str, most: float
) -> None:
    """Once 13 of 35 failed rows were called "fits", 8 of 118 broke, and KV was off by 4 %."""
    found = measured[part][figure]

    share = found[0] / found[1] if isinstance(found, list) else found
    assert share <= most


def test_a_tenth_of_popular_models_at_most_is_refused(measured: dict[str, Any]) -> None:
    """It was 9 of 90, and 43 % of the models of the issue."""
    popular = measured["popular"]

    assert popular["configs"] >= 60
    assert len(popular["refused"]) <= popular["configs"] / 10


def test_failed_row_of_an_unknown_model_is_unchecked_and_not_fits(tmp_path: Path) -> None:
    """An unknown architecture was refused: the row had no verdict at all."""
    configs = tmp_path / "configs"
    configs.mkdir()
    plain = json.loads((CONFIGS / "Qwen--Qwen3-8B.json").read_text())
    walrus = {**plain, "model_type": "walrus", "architectures": ["WalrusForCausalLM"]}
    (configs / "org--walrus.json").write_text(json.dumps(walrus))
    row = {"id": "w", "model": "org/walrus", "gpu": "H100-80GB", "outcome": "fail"}

    body = measure(tmp_path, [row], configs)

    figures = {**body["summary"]["tuned"], "part": "tuned"}
    if body["rows"][0]["part"] != "tuned":
        figures = body["summary"]["held out"]
    assert body["rows"][0]["verdict"] == "unchecked"
    assert figures["failed called fits"] == [0, 1]
    assert figures["unchecked"] == [1, 1]


def test_more_sequences_than_state_blocks_is_no(tmp_path: Path) -> None:
    """VLLM refuses such a command; the plan saw room for a request and said "fits"."""
    row = {
        "id": "s", "model": "Qwen/Qwen3.6-27B", "gpu": "H100-80GB", "vllm_version": "0.25.1",
        "max_model_len": 8192, "max_num_seqs": 1024, "outcome": "fail",
    }  # fmt: skip

    many, few = measure(tmp_path, [row, {**row, "id": "t", "max_num_seqs": 64}])["rows"]

    assert many["verdict"] == "no"
    assert "state blocks" in many["remark"]
    assert few["verdict"] in ("fits", "tight")
