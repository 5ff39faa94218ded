"""One row: what the plan says of its own command, beside what vLLM logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpu_peers import Guess, Peer
from gpu_rows import (
    Row,
    choice_of,
    config_of,
    gpu_of,
    held_out,
    is_stated,
    shape_of,
    total_of,
    version_of,
)

from carferry.errors import CarferryError
from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.model.config import parse_config
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.sizing import starts
from carferry.gpu.sizing.estimate import (
    Choice,
    Estimate,
    Model,
    cache_of,
    estimate,
    loaded_shape,
)
from carferry.gpu.units import GIB
from carferry.gpu.vllm.version import VllmVersion

NO_CONFIG = "find config"
"""How the remark of a row begins that we have no config for."""


@dataclass(frozen=True)
class Line:
    """One row: predicted and logged, GiB and tokens; None if a side gives none.

    Attributes:
        tokens: That the logged KV GiB should hold.
        kv_gib: KV cache the plan leaves.
        kv_error: Of ``kv_gib``; of the whole plan's tokens where only tokens are logged.
        verdict: ``fits``, ``tight``, ``unchecked``, ``no``; empty if no memory is known.
        stated: Memory and utilization are the source's own.
        error: Why there is no prediction; empty if there is one.
    """

    id: object
    model: str
    gpu: str
    version: str = ""
    part: str = "tuned"
    vendor: str = ""
    family: str = ""
    weights: float | None = None
    weights_logged: float | None = None
    tokens: int | None = None
    tokens_logged: int | None = None
    kv_gib: float | None = None
    kv_gib_logged: float | None = None
    kv_error: float | None = None
    most_seqs: int | None = None
    seqs_logged: int | None = None
    verdict: str = ""
    outcome: str = ""
    stated: bool = False
    flagged: bool = False
    error: str = ""
    remark: str = ""
    peers: Mapping[str, dict[str, float | None]] | None = None


def predict(row: Row, configs: Path, others: Mapping[str, Peer]) -> Line:
    """Predict one row from what its user would have known before starting vLLM."""
    logged = Line(
        id=row.get("id"),
        model=row.get("model") or "-",
        gpu=row.get("gpu") or (f"{row['gpu_memory_gib']} GiB" if total_of(row) else "-"),
        version=str(row.get("vllm_version") or ""),
        part="held out" if held_out(row) else "tuned",
        weights_logged=row.get("weights_gib_per_gpu"),
        tokens_logged=row.get("kv_cache_tokens"),
        kv_gib_logged=row.get("kv_cache_gib"),
        seqs_logged=row.get("mamba_blocks"),
        outcome=row.get("outcome") or "",
        flagged=abs(row.get("kv_check_rel_err") or 0) > 0.005 or bool(row.get("flag")),
    )
    try:
        config = config_of(row, configs)
        shape = shape_of(row, parse_config(config, subject=logged.model))
        return _predicted(row, logged, shape, config, gpu_of(row), others)
    except CarferryError as error:
        return replace(logged, error=str(error), remark=str(error))


def _predicted(
    row: Row,
    logged: Line,
    shape: ModelShape,
    config: Mapping[str, Any],
    gpu: Gpu,
    others: Mapping[str, Peer],
) -> Line:
    version = version_of(row, shape)
    choice = choice_of(row, shape, gpu, version)
    work = estimate(Model(shape, subject=logged.model), choice, version)
    loaded = loaded_shape(shape, choice.quantization)
    pool = cache_of(loaded, choice, version)
    given = logged.kv_gib_logged if "kv_cache_dtype" not in row.get("inferred", ()) else None
    reason = refusal(loaded, choice, version, work)
    return replace(
        logged,
        vendor=gpu.vendor,
        family=shape.family,
        weights=round(work.weights / GIB, 4),
        tokens=pool.tokens(int(given * GIB), choice.max_model_len) if given else None,
        kv_gib=round(work.kv / GIB, 3) if gpu.memory_gib else None,
        kv_error=_kv_error(work, logged) if gpu.memory_gib else None,
        most_seqs=work.most_seqs,
        verdict=_verdict(shape, work, reason) if gpu.memory_gib or reason else "",
        stated=is_stated(row, gpu),
        remark="; ".join(filter(None, (reason, _unsaid(row, gpu), shape.unknown))),
        peers={
            name: _peer(peer(loaded, config, choice), given, gpu) for name, peer in others.items()
        },
    )


def refusal(shape: ModelShape, choice: Choice, version: VllmVersion, work: Estimate) -> str:
    """Return which start-up rule of vLLM a command breaks besides memory; empty if none."""
    most = work.most_seqs
    too_many = most is not None and choice.gpu.memory_gib and choice.max_num_seqs > most
    return starts.refusal(shape, choice, version) or (
        f"{choice.max_num_seqs} sequences, {most} state blocks" if too_many else ""
    )


def _verdict(shape: ModelShape, work: Estimate, reason: str) -> str:
    if reason:
        return "no"
    said = work.verdict.value
    return "unchecked" if shape.unknown and said != "no" else said


def _kv_error(work: Estimate, logged: Line) -> float | None:
    if logged.kv_gib_logged:
        return work.kv / GIB / logged.kv_gib_logged - 1
    return work.tokens / logged.tokens_logged - 1 if logged.tokens_logged else None


def _unsaid(row: Row, gpu: Gpu) -> str:
    if not gpu.memory_gib or row.get("gpu_memory_utilization") is not None:
        return ""
    return "utilization not stated"


def _peer(guess: Guess, given: float | None, gpu: Gpu) -> dict[str, float | None]:
    per_token = guess.bytes_per_token
    return {
        "weights": guess.weights_gib,
        "kv_gib": guess.kv_gib if gpu.memory_gib else None,
        "tokens": given * GIB / per_token if given and per_token else None,
    }
