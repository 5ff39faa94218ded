"""The figures of many rows: what the issue asks for, for us and for every peer."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gpu_lines import NO_CONFIG, Line

from carferry.errors import CarferryError
from carferry.gpu.model.config import load_config, parse_config

Figures = dict[str, Any]


def figures(lines: Iterable[Line]) -> Figures:
    """Return our figures on rows; counts are (wrong, of how many), errors are shares of 1."""
    rows = list(lines)
    failed = [row for row in rows if row.outcome.startswith("fail") and _judged(row)]
    started = [row for row in rows if row.outcome == "ok" and _judged(row)]
    asked = [row for row in rows if not row.error.startswith(NO_CONFIG)]
    stated = [row for row in rows if row.stated and not row.flagged]
    nvidia = [row.kv_error for row in stated if row.vendor != "amd"]
    amd = [row.kv_error for row in stated if row.vendor == "amd"]
    weights = [_error(row.weights, row.weights_logged) for row in rows]
    return {
        "rows": len(rows),
        "failed called fits": (sum(row.verdict == "fits" for row in failed), len(failed)),
        "failed called tight": (sum(row.verdict == "tight" for row in failed), len(failed)),
        "failed called no": (sum(row.verdict == "no" for row in failed), len(failed)),
        "started called no": (sum(row.verdict == "no" for row in started), len(started)),
        "refused or in error": (sum(bool(row.error) for row in asked), len(asked)),
        "unchecked": (sum(row.verdict == "unchecked" for row in asked), len(asked)),
        "KV GiB rows": len(_known(nvidia + amd)),
        "KV GiB median": median(nvidia + amd),
        "KV GiB p90 NVIDIA": p90(nvidia),
        "KV GiB p90 AMD": p90(amd),
        "weights rows": len(_known(weights)),
        "weights median": median(weights),
        "weights p90": p90(weights),
        "state blocks median": median(_error(row.most_seqs, row.seqs_logged) for row in rows),
    }


def peer_figures(lines: Iterable[Line], peers: Iterable[str]) -> dict[str, Figures]:
    """Return the figures a peer can be measured by, ours first."""
    rows = list(lines)
    result = {"carferry": _compared(rows, _ours)}
    for peer in peers:
        result[peer] = _compared(rows, partial(_theirs, peer))
    return result


def _ours(row: Line) -> Mapping[str, float | None]:
    return {"weights": row.weights, "tokens": row.tokens, "kv_gib": row.kv_gib}


def _theirs(peer: str, row: Line) -> Mapping[str, float | None]:
    return (row.peers or {}).get(peer, {})


def _compared(rows: list[Line], said: Callable[[Line], Mapping[str, float | None]]) -> Figures:
    weights = [_error(said(row).get("weights"), row.weights_logged) for row in rows]
    plain = [row for row in rows if not row.flagged]
    tokens = [_error(said(row).get("tokens"), row.tokens_logged) for row in plain]
    kv = [_error(said(row).get("kv_gib"), row.kv_gib_logged) for row in plain if row.stated]
    return {
        "weights median": median(weights),
        "weights p90": p90(weights),
        "tokens median": median(tokens),
        "tokens p90": p90(tokens),
        "KV GiB median": median(kv),
        "KV GiB p90": p90(kv),
        "KV GiB rows": len(_known(kv)),
    }


def popular(path: Path, configs: Path) -> Figures:
    """Return how many configs of popular models are refused, and how many go unchecked."""
    refused, unchecked, had = [], [], 0
    for entry in json.loads(path.read_text()):
        if not entry.get("config"):
            continue
        had += 1
        file = configs / entry["config"]
        try:
            shape = parse_config(load_config(file.read_bytes(), file.name), subject=entry["model"])
        except CarferryError:
            refused.append(entry["model"])
            continue
        if shape.unknown:
            unchecked.append(entry["model"])
    return {"configs": had, "refused": refused, "unchecked": unchecked}


def median(errors: Iterable[float | None]) -> float | None:
    """Return the median of absolute errors; None of none."""
    known = _known(errors)
    return statistics.median(known) if known else None


def p90(errors: Iterable[float | None]) -> float | None:
    """Return the 90th percentile of absolute errors, linear between ranks (as numpy does)."""
    known = sorted(_known(errors))
    if not known:
        return None
    place = 0.9 * (len(known) - 1)
    low = int(place)
    high = min(low + 1, len(known) - 1)
    return known[low] + (place - low) * (known[high] - known[low])


def _judged(row: Line) -> bool:
    return bool(row.verdict)


def _error(said: float | None, logged: float | None) -> float | None:
    return said / logged - 1 if said is not None and logged else None


def _known(errors: Iterable[float | None]) -> list[float]:
    return [abs(error) for error in errors if error is not None]
