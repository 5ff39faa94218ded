"""Compare the GPU plan with published vLLM logs, row by row, peers beside it.

    python benchmarks/gpu_accuracy.py --rows truth.json --configs tests/data/configs \
        --json out.json [--markdown benchmarks/GPU.md]

A row is a JSON object with any of: id, model, gpu, gpu_memory_gib, tp, pp, dtype, quant,
kv_cache_dtype, max_model_len, max_num_seqs, max_num_batched_tokens, gpu_memory_utilization,
vllm_version, block_size, dcp, enforce_eager, outcome, and the logged weights_gib_per_gpu,
kv_cache_gib and kv_cache_tokens. No prediction reads a logged value, but for the tokens that
the logged KV GiB should hold. Unknown versions are taken for 0.15.1, unknown utilization for
the version's default (those rows are scored apart).
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gpu_peers import Guess, Peer, peers

from carferry.errors import CarferryError, InputError
from carferry.gpu.inventory.catalogue import Gpu, find
from carferry.gpu.memory.estimate import (
    Choice,
    Model,
    cache_of,
    default_choice,
    estimate,
    loaded_shape,
)
from carferry.gpu.memory.limits import dtype_reason, quantization_reason
from carferry.gpu.memory.parallel import pipeline_reason, tensor_reason
from carferry.gpu.memory.vllm_version import UNDATED, Profile, profile
from carferry.gpu.model.config import load_config, parse_config
from carferry.gpu.model.shape import ModelShape
from carferry.gpu.units import GIB

START, END = "<!-- measured: start -->", "<!-- measured: end -->"
_INT8 = {"num_bits": 8, "type": "int"}
_GROUPS = {"quant_method": "compressed-tensors", "ignore": ["lm_head"]}
_SECTIONS: dict[str, dict[str, Any]] = {
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128},
    "w4a16": {"quant_method": "gptq", "bits": 4, "group_size": 128},
    "int4": {"quant_method": "gptq", "bits": 4, "group_size": 128},
    "nvfp4": {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]},
    "bitsandbytes": {"quant_method": "bitsandbytes", "load_in_4bit": True},
    "bnb": {"quant_method": "bitsandbytes", "load_in_4bit": True},
    "w8a8": {**_GROUPS, "config_groups": {"group_0": {"targets": ["Linear"], "weights": _INT8}}},
    "int8": {**_GROUPS, "config_groups": {"group_0": {"targets": ["Linear"], "weights": _INT8}}},
    "fp8": {"quant_method": "fp8"},
}
_SHORT = {"half": "float16", "fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
UNKNOWN = Gpu("unknown", 0.0, 80, 1.0, measured=False)


@dataclass(frozen=True)
class Line:
    """One row: predicted and logged, GiB and tokens; None if a side gives none."""

    id: object
    model: str
    gpu: str
    family: str = ""
    weights: float | None = None
    weights_logged: float | None = None
    tokens: int | None = None
    tokens_logged: int | None = None
    kv_gib: float | None = None
    kv_gib_logged: float | None = None
    verdict: str = ""
    outcome: str = ""
    stated: bool = False
    flagged: bool = False
    remark: str = ""
    peers: Mapping[str, dict[str, float | None]] | None = None


def main() -> None:
    """Read the rows, print the table, write JSON and the measured part of the Markdown."""
    parser = argparse.ArgumentParser(description="GPU plan against published vLLM logs")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--configs", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    rows = json.loads(options.rows.read_text())
    others = peers()
    lines = [predict(row, options.configs, others) for row in rows]
    summary = summarise(lines, tuple(others))
    print("\n".join(table(lines, tuple(others))))
    print("\n".join(summary_table(summary)))
    if options.json:
        body = {"rows": [asdict(line) for line in lines], "summary": summary}
        options.json.write_text(json.dumps(body, indent=1) + "\n")
    if options.markdown:
        fill(options.markdown, [*summary_table(summary), "", *table(lines, tuple(others))])


def predict(row: Mapping[str, Any], configs: Path, others: Mapping[str, Peer]) -> Line:
    """Predict one row from what its user would have known before starting vLLM."""
    logged = Line(
        id=row.get("id"),
        model=row.get("model") or "-",
        gpu=row.get("gpu") or (f"{row['gpu_memory_gib']} GiB" if _total(row) else "-"),
        weights_logged=row.get("weights_gib_per_gpu"),
        tokens_logged=row.get("kv_cache_tokens"),
        kv_gib_logged=row.get("kv_cache_gib"),
        outcome=row.get("outcome") or "",
        flagged=abs(row.get("kv_check_rel_err") or 0) > 0.005,
    )
    try:
        config = _config(row, configs)
        shape = parse_config(config, subject=logged.model)
        return _predicted(row, logged, shape, config, _gpu(row), others)
    except CarferryError as error:
        return replace(logged, remark=str(error))


def _predicted(
    row: Mapping[str, Any],
    logged: Line,
    shape: ModelShape,
    config: Mapping[str, Any],
    gpu: Gpu,
    others: Mapping[str, Peer],
) -> Line:
    version = _version(row)
    choice = _choice(row, shape, gpu)
    work = estimate(Model(shape, subject=logged.model), choice, version)
    loaded = loaded_shape(shape, choice.quantization)
    pool = cache_of(loaded, choice, version)
    given = logged.kv_gib_logged
    stated = bool(gpu.memory_gib and row.get("gpu_memory_utilization"))
    refused = _refused(loaded, choice, version)
    unsaid = "" if stated or not gpu.memory_gib else "utilization not stated"
    verdict = "no" if refused else work.verdict.value if gpu.memory_gib else ""
    return replace(
        logged,
        family=shape.family,
        weights=round(work.weights / GIB, 4),
        tokens=pool.tokens(int(given * GIB), choice.max_model_len) if given else None,
        kv_gib=round(work.kv / GIB, 3) if gpu.memory_gib else None,
        verdict=verdict,
        stated=stated,
        remark=refused or unsaid,
        peers={
            name: _peer(peer(loaded, config, choice), given, gpu) for name, peer in others.items()
        },
    )


def _refused(shape: ModelShape, choice: Choice, version: Profile) -> str:
    """Say which start-up rule of vLLM the row breaks; empty where it breaks none."""
    gpu = choice.gpu
    named = gpu.name != UNKNOWN.name
    return (
        (dtype_reason(shape, gpu, choice.dtype) if named else "")
        or (quantization_reason(shape, gpu, version) if named else "")
        or tensor_reason(shape, choice.tp)
        or pipeline_reason(shape, choice.pp)
    )


def _peer(guess: Guess, given: float | None, gpu: Gpu) -> dict[str, float | None]:
    per_token = guess.bytes_per_token
    return {
        "weights": guess.weights_gib,
        "kv_gib": guess.kv_gib if gpu.memory_gib else None,
        "tokens": given * GIB / per_token if given and per_token else None,
    }


def _choice(row: Mapping[str, Any], shape: ModelShape, gpu: Gpu) -> Choice:
    """Return vLLM's defaults with everything the row states put over them."""
    version = _version(row)
    quant = str(row.get("quant") or "")
    online = quant.removesuffix("-online") if quant.endswith("-online") else None
    stated = {
        "tp": row.get("tp"),
        "pp": row.get("pp"),
        "dtype": _dtype(row.get("dtype")),
        "kv_dtype": "fp8" if "fp8" in str(row.get("kv_cache_dtype")) else None,
        "max_num_seqs": row.get("max_num_seqs"),
        "max_num_batched_tokens": row.get("max_num_batched_tokens"),
        "max_model_len": row.get("max_model_len"),
        "utilization": row.get("gpu_memory_utilization"),
        "quantization": online,
        "eager": row.get("enforce_eager"),
        "block": row.get("block_size"),
        "context_ranks": row.get("dcp"),
    }
    base = default_choice(shape, gpu, version)
    return replace(base, **{key: value for key, value in stated.items() if value is not None})


def _dtype(text: str | None) -> str | None:
    """Return a dtype in vLLM's long form; None if the row leaves it to vLLM."""
    name = (text or "auto").removeprefix("torch.")
    name = _SHORT.get(name, name)
    return name if name in ("float16", "bfloat16", "float32") else None


def _version(row: Mapping[str, Any]) -> Profile:
    """Return the row's version profile; anything that is no version counts as unknown."""
    try:
        return profile(str(row.get("vllm_version") or UNDATED))
    except InputError:
        return profile(UNDATED)


def _gpu(row: Mapping[str, Any]) -> Gpu:
    """Return the row's GPU; its stated memory wins over the catalogue's."""
    if not row.get("gpu"):
        return replace(UNKNOWN, memory_gib=_total(row))
    try:
        gpu = find(row["gpu"])
    except InputError:
        if not _total(row):
            raise
        gpu = replace(UNKNOWN, name=row["gpu"])
    return replace(gpu, memory_gib=_total(row) or gpu.memory_gib)


def _total(row: Mapping[str, Any]) -> float:
    return float(row.get("gpu_memory_gib") or 0)


def _config(row: Mapping[str, Any], configs: Path) -> dict[str, Any]:
    """Return the config of a row's model; a quantization only the row names is put into it."""
    name = str(row.get("model") or "no model named").split(" / ")[0]
    path = _path(name, configs)
    if path is None:
        raise InputError("find config", name, f"none in {configs.name}", "add <org>--<name>.json")
    config = load_config(path.read_bytes(), path.name)
    words = f"{row.get('quant') or ''} {name}".lower()
    section = next((value for key, value in _SECTIONS.items() if key in words), None)
    if section and "-online" not in words and not config.get("quantization_config"):
        config["quantization_config"] = section
    return config


def _path(name: str, configs: Path) -> Path | None:
    """Return the file of a model, or of the one that differs only in org and decoration."""
    exact = configs / f"{name.replace('/', '--')}.json"
    if exact.exists():
        return exact
    wanted, plain = (form(name.replace("/", "--")) for form in (_bare, _unpacked))
    known = {_bare(path.stem): path for path in sorted(configs.glob("*.json"), reverse=True)}
    return known.get(wanted) or known.get(plain)


def _bare(name: str) -> str:
    """Forget the organisation, ``Meta-``, ``-Instruct`` and ``-it``: they do not change memory."""
    plain = name.lower().rpartition("--")[2].removeprefix("meta-")
    return re.sub(r"-(?:instruct|it|base|hf|bf16)(?=-|$)", "", plain)


def _unpacked(name: str) -> str:
    """Forget the quantization in a name too; it is put back from the row."""
    packed = (
        r"[-.](?:awq|gptq|fp8|nvfp4|int4|int8|w4a16|w8a8|bnb|4bit|8bit|dynamic|quantized)(?=[-.]|$)"
    )
    return _bare(re.sub(packed, "", name.lower()))


def summarise(lines: Iterable[Line], others: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the figures of us and of every peer."""
    rows = list(lines)
    ours = {
        index: {"weights": row.weights, "tokens": row.tokens, "kv_gib": row.kv_gib}
        for index, row in enumerate(rows)
    }
    result = {"carferry": _figures(rows, ours)}
    for peer in others:
        theirs = {index: (row.peers or {}).get(peer, {}) for index, row in enumerate(rows)}
        result[peer] = _figures(rows, theirs)
    failed = [row for row in rows if row.outcome.startswith("fail")]
    result["carferry"]["failed rows called fits"] = sum(r.verdict == "fits" for r in failed)
    started = [row for row in rows if row.outcome == "ok" and row.stated]
    result["carferry"]["started rows called no"] = sum(r.verdict == "no" for r in started)
    return result


def _figures(rows: list[Line], said: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    pairs = list(enumerate(rows))
    weights = [_error(said[i].get("weights"), r.weights_logged) for i, r in pairs]
    tokens = [_error(said[i].get("tokens"), r.tokens_logged) for i, r in pairs if not r.flagged]
    stated = [_error(said[i].get("kv_gib"), r.kv_gib_logged) for i, r in pairs if r.stated]
    every = [_error(said[i].get("kv_gib"), r.kv_gib_logged) for i, r in pairs]
    return {
        "weights median": _median(weights),
        "weights worst": _worst(weights),
        "tokens median": _median(tokens),
        "tokens worst": _worst(tokens),
        "KV GiB median": _median(stated),
        "KV GiB p90": _p90(stated),
        "KV GiB rows": len(_known(stated)),
        "KV GiB median, all": _median(every),
        "KV GiB p90, all": _p90(every),
    }


def _error(said: float | None, logged: float | None) -> float | None:
    return abs(said / logged - 1) if said is not None and logged else None


def _known(errors: Iterable[float | None]) -> list[float]:
    return [error for error in errors if error is not None]


def _median(errors: Iterable[float | None]) -> float | None:
    known = _known(errors)
    return statistics.median(known) if known else None


def _worst(errors: Iterable[float | None]) -> float | None:
    return max(_known(errors), default=None)


def _p90(errors: Iterable[float | None]) -> float | None:
    """90th percentile, linear between ranks (as numpy's default)."""
    known = sorted(_known(errors))
    if not known:
        return None
    place = 0.9 * (len(known) - 1)
    low = int(place)
    high = min(low + 1, len(known) - 1)
    return known[low] + (place - low) * (known[high] - known[low])


def table(lines: Iterable[Line], others: tuple[str, ...]) -> Iterator[str]:
    """Yield the rows as a Markdown table; peers by the error of their KV GiB."""
    names = "".join(f" | KV by {peer}" for peer in others)
    yield (
        "| id | model | GPU | weights | logged | err | KV GiB | logged | err "
        f"| tokens | logged | err | verdict | outcome{names} | remark |"
    )
    yield "|" + "---|" * (15 + len(others))
    for line in lines:
        theirs = [(line.peers or {}).get(peer, {}).get("kv_gib") for peer in others]
        cells = (
            line.id, line.model, line.gpu,
            *_trio(line.weights, line.weights_logged, ".2f"),
            *_trio(line.kv_gib, line.kv_gib_logged, ".2f"),
            *_trio(line.tokens, line.tokens_logged, "d"),
            line.verdict or "-", line.outcome,
            *(_trio(said, line.kv_gib_logged, ".2f")[2] for said in theirs),
            _remark(line),
        )  # fmt: skip
        yield "| " + " | ".join(str(cell) for cell in cells) + " |"


def _remark(line: Line) -> str:
    flag = "flagged in the data" if line.flagged else ""
    return "; ".join(part for part in (line.remark.replace("|", "/"), flag) if part)


def _trio(said: float | None, logged: float | None, form: str) -> tuple[str, str, str]:
    error = f"{said / logged - 1:+.2%}" if said is not None and logged else "-"
    return _cell(said, form), _cell(logged, form), error


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def summary_table(summary: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the figures as a Markdown table, one column per tool."""
    yield f"| figure | {' | '.join(summary)} |"
    yield "|" + "---|" * (len(summary) + 1)
    for figure in summary["carferry"]:
        cells = (_percent(figure, figures.get(figure)) for figures in summary.values())
        yield f"| {figure} | {' | '.join(cells)} |"


def _percent(figure: str, value: Any) -> str:
    if value is None:
        return "-"
    return str(value) if "rows" in figure else f"{value:.2%}"


def fill(path: Path, lines: Iterable[str]) -> None:
    """Replace the measured part of a Markdown file."""
    text = path.read_text()
    head, _, rest = text.partition(START)
    _, _, tail = rest.partition(END)
    body = "\n".join(lines)
    path.write_text(f"{head}{START}\n{body}\n{END}{tail}")


if __name__ == "__main__":
    main()
