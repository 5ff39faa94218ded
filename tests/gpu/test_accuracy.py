from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from gpu.samples import CONFIGS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_accuracy.py"
ROWS = [
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


def measure(tmp_path: Path, rows: list[dict[str, object]]) -> dict[str, object]:
    source, out = tmp_path / "rows.json", tmp_path / "out.json"
    source.write_text(json.dumps(rows))
    command = [sys.executable, str(SCRIPT), "--rows", str(source), "--configs", str(CONFIGS)]
    subprocess.run([*command, "--json", str(out)], check=True, capture_output=True)
    body: dict[str, object] = json.loads(out.read_text())
    return body


@pytest.mark.filterwarnings("ignore")
def test_rows_of_any_completeness_are_measured(tmp_path: Path) -> None:
    body = measure(tmp_path, ROWS)

    lines = {line["id"]: line for line in body["rows"]}  # type: ignore[attr-defined]
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
    assert [[row[key] for key in keys] for row in seen["rows"]] == [  # type: ignore[attr-defined]
        [row[key] for key in keys]
        for row in unseen["rows"]  # type: ignore[attr-defined]
    ]
