"""Rows of published vLLM start-ups, and what their users would have known before starting.

The fields are those of ``tests/data/gpu/SOURCES.md``. Nothing here reads a logged value.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import Gpu, find
from carferry.gpu.model.config import load_config
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.sizing.classes import FIRST
from carferry.gpu.sizing.estimate import Choice, default_choice
from carferry.gpu.vllm.releases import dotted
from carferry.gpu.vllm.version import UNDATED, VllmVersion, find_version

Row = Mapping[str, Any]

UNKNOWN = Gpu("unknown", 0.0, 80, 1.0, measured=False)
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
_TOLD = {"akamas-qwen3-30b-a3b-fp8-4xl4-tp2dp2", "club-642-qwen3.6-27b-autoround-2x3090"}
"""Held out by their hash, but something of them was told to those who tune: they count as tuned."""

_ASSUMED = (0, 17, 0)
"""Releases from which what is assumed of an unknown one (``UNDATED``) is no longer true."""

_SHORT = {"half": "float16", "fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
_SETTINGS = {field.name for field in fields(Choice)}
_METHODS = "awq|gptq|fp8|nvfp4|int4|int8|w4a16|w8a8|bnb|4bit|8bit|dynamic|quantized"
_PACKED = rf"[-.](?:{_METHODS})(?=[-.]|$)"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file."""
    rows: list[dict[str, Any]] = json.loads(path.read_text())
    return rows


def held_out(row: Row) -> bool:
    """Return whether no constant may be fitted on a row: a third of those with a name as id."""
    name = row.get("id")
    if not isinstance(name, str) or name in _TOLD:
        return False
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 3 == 0


def choice_of(row: Row, shape: ModelShape, gpu: Gpu, version: VllmVersion) -> Choice:
    """Return vLLM's defaults with everything the row's command says put over them."""
    quant = str(row.get("quant") or "")
    said: dict[str, Any] = {
        "tp": row.get("tp"),
        "pp": row.get("pp"),
        "dtype": _dtype(row.get("dtype")),
        "kv_dtype": "fp8" if "fp8" in str(row.get("kv_cache_dtype")) else None,
        "max_num_seqs": row.get("max_num_seqs"),
        "max_num_batched_tokens": row.get("max_num_batched_tokens"),
        "max_model_len": row.get("max_model_len"),
        "utilization": row.get("gpu_memory_utilization"),
        "quantization": quant.removesuffix("-online") if quant.endswith("-online") else None,
        "eager": row.get("enforce_eager"),
        "block": row.get("block_size"),
        "context_ranks": row.get("dcp"),
        "expert_parallel": row.get("expert_parallel"),
        "data_parallel": row.get("data_parallel"),
        "speculative_tokens": row.get("speculative_tokens"),
        "lora_rank": row.get("lora_rank"),
        "loras": row.get("loras"),
        "prefix_caching": row.get("prefix_caching"),
    }
    stated = {key: value for key, value in said.items() if value is not None and key in _SETTINGS}
    choice = replace(default_choice(shape, gpu, version), **stated)
    return choice if "max_num_seqs" in stated else _fewer(choice)


def _fewer(choice: Choice) -> Choice:
    """Lower the default of sequences to a batch that was asked for, as vLLM does."""
    return replace(choice, max_num_seqs=min(choice.max_num_seqs, choice.max_num_batched_tokens))


def shape_of(row: Row, shape: ModelShape) -> ModelShape:
    """Return the shape the command loads: without its image tower if it says so."""
    return replace(shape, vision=None) if row.get("language_model_only") else shape


def version_of(row: Row, shape: ModelShape) -> VllmVersion:
    """Return the row's vLLM version and build.

    Anything that is no version counts as unknown; as the first release with the model's class, if
    that is later than what is assumed of an unknown one.
    """
    build = str(row.get("build") or "")
    said = str(row.get("vllm_version") or "")
    try:
        return find_version(f"{said}{build if build.startswith('+') else ''}")
    except InputError:
        return _oldest(shape)


def _oldest(shape: ModelShape) -> VllmVersion:
    first, undated = FIRST.get(shape.architecture), find_version(UNDATED)
    if first is None or first < _ASSUMED:
        return undated
    facts = find_version(dotted(first))
    return replace(facts, states_checked=True, note=undated.note, is_guessed=True, release=None)


def gpu_of(row: Row) -> Gpu:
    """Return the row's GPU; its stated memory wins over the catalogue's.

    Raises:
        InputError: A product that is not known, of which no memory is stated either.
    """
    total = total_of(row)
    if not row.get("gpu"):
        return replace(UNKNOWN, memory_gib=total)
    try:
        gpu = find(row["gpu"])
    except InputError:
        if not total:
            raise
        gpu = replace(UNKNOWN, name=row["gpu"])
    return replace(gpu, memory_gib=total or gpu.memory_gib)


def total_of(row: Row) -> float:
    """Return the GPU's memory the row states, GiB; 0 if it does not."""
    return float(row.get("gpu_memory_gib") or 0)


def is_stated(row: Row, gpu: Gpu) -> bool:
    """Return whether memory and utilization are known and not concluded by us."""
    said = row.get("gpu_memory_utilization") is not None
    ours = {"gpu_memory_gib", "gpu_memory_utilization"} & set(row.get("inferred", ()))
    return bool(gpu.memory_gib and said and not ours)


def config_of(row: Row, configs: Path) -> dict[str, Any]:
    """Return the config of a row's model; a quantization only the row names is put into it.

    Raises:
        InputError: No config stands for the model.
    """
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
    return _bare(re.sub(_PACKED, "", name.lower()))


def _dtype(text: str | None) -> str | None:
    """Return a dtype in vLLM's long form; None if the row leaves it to vLLM."""
    name = (text or "auto").removeprefix("torch.")
    name = _SHORT.get(name, name)
    return name if name in ("float16", "bfloat16", "float32") else None
