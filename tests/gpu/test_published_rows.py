"""The committed rows of vLLM start-ups are whole: a source, a config, an outcome, a stable part."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from gpu.samples import CONFIGS

DATA = Path(__file__).parents[1] / "data" / "gpu"
LOGS: list[dict[str, Any]] = json.loads((DATA / "logs.json").read_text())
PUBLISHED: list[dict[str, Any]] = json.loads((DATA / "published.json").read_text())
POPULAR: list[dict[str, Any]] = json.loads((DATA / "popular.json").read_text())
FIGURES = (
    "weights_gib_per_gpu", "kv_cache_gib", "kv_cache_tokens", "max_concurrency", "activation_gib",
    "non_torch_gib", "consumed_gib", "cudagraph_gib", "cudagraph_reserved_gib", "mamba_blocks",
    "kv_needed_gib", "estimated_max_len", "kv_logged_negative",
)  # fmt: skip
FAILURES = {
    "kv too small", "no kv", "oom", "state blocks", "not divisible", "dtype", "not stated",
}  # fmt: skip


def test_ids_are_unique_and_in_order() -> None:
    ids = [row["id"] for row in LOGS]

    assert ids == sorted(set(ids))


def test_at_least_forty_rows_and_fifteen_failures_are_new() -> None:
    outcomes = Counter(row["outcome"][:4] for row in LOGS)

    assert len(LOGS) >= 40
    assert outcomes["fail"] >= 15


@pytest.mark.parametrize("row", LOGS, ids=lambda row: row["id"])
def test_row_counts_with_its_source_config_and_figures(row: dict[str, Any]) -> None:
    logged = [name for name in FIGURES if row.get(name) is not None]

    assert row["source"]
    assert (CONFIGS / f"{row['model'].replace('/', '--')}.json").exists()
    assert row["outcome"] in ("ok", "fail", "fail_max_len") or len(logged) >= 2
    assert row["outcome"] == "ok" or row["failure"] in FAILURES
    assert set(row.get("inferred", ())) <= {*row, "kv_cache_dtype"}


def test_first_rows_are_kept_as_they_were() -> None:
    assert len(PUBLISHED) == 27
    assert all(row["source"] for row in PUBLISHED)


def test_every_config_says_where_it_is_from() -> None:
    sources = (CONFIGS / "SOURCES.md").read_text()

    silent = [
        path.stem
        for path in CONFIGS.glob("*.json")
        if f"| {path.stem.replace('--', '/', 1)} |" not in sources
    ]
    assert silent == []


def test_popular_models_name_configs_that_exist() -> None:
    named = [entry["config"] for entry in POPULAR if entry.get("config")]

    assert len(POPULAR) >= 60
    assert [name for name in named if not (CONFIGS / name).exists()] == []
