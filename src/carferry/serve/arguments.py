"""Arguments of vLLM as people write them: which flags they give, and what a replica can serve.

Source: vLLM 0.24 and 0.33, ``engine/arg_utils.py`` (names, short forms, ``--no-``) and
``utils/argparse_utils.py`` (``_`` for ``-``, ``--flag.key``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from carferry.errors import InputError
from carferry.gpu.vllm_args import VllmArgs

_SHORT = {
    "tp": "tensor-parallel-size",
    "pp": "pipeline-parallel-size",
    "dp": "data-parallel-size",
    "ep": "enable-expert-parallel",
    "dpn": "data-parallel-rank",
    "dpr": "data-parallel-start-rank",
    "dpl": "data-parallel-size-local",
    "dpa": "data-parallel-address",
    "dcp": "decode-context-parallel-size",
    "n": "nnodes",
    "r": "node-rank",
    "q": "quantization",
    "sc": "speculative-config",
}
_FLAG = re.compile(r"--?[A-Za-z]")
TENSOR, PIPELINE, DATA = (_SHORT[each] for each in ("tp", "pp", "dp"))
_NODES = {"nnodes", "node-rank", "master-addr", "headless"}
_APART = {
    "data-parallel-rank",
    "data-parallel-start-rank",
    "data-parallel-size-local",
    "data-parallel-address",
}
"""Flags of engines in other pods."""


_PLANNED = {
    "quantization": {"fp8": "fp8"},
    "kv-cache-dtype": {"auto": "auto", "fp8": "fp8", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8"},
    "dtype": {
        "half": "float16",
        "float16": "float16",
        "bfloat16": "bfloat16",
        "float": "float32",
        "float32": "float32",
    },
}


def without(args: Sequence[str], later: Sequence[str]) -> tuple[str, ...]:
    """Return arguments less those whose flag comes again: the last of two would win unseen.

    Args:
        args: ``--name=value``, or a flag and its values.
        later: What follows them.
    """
    given = {name for name, _ in _groups(later)}
    kept = (group for name, group in _groups(args) if name not in given)
    return tuple(each for group in kept for each in group)


def planned_by(args: Sequence[str]) -> dict[str, Any]:
    """Return what the arguments say of a pod's memory, by the names of a GPU plan's settings.

    A value that no plan knows is left to vLLM, as is a length that is no plain number.
    """
    given = {name: _value(words) for name, words in _groups(args)}
    found: dict[str, Any] = {}
    for words in (words for name, words in _groups(args) if name == _SHORT["ep"]):
        found["expert_parallel"] = not words[0].startswith("--no")
    for name in ("max-model-len", "max-num-seqs", "data-parallel-size"):
        if re.fullmatch("[1-9][0-9]{0,8}", given.get(name, "")):
            found[name] = int(given[name])
    if re.fullmatch(r"0?\.[0-9]{1,9}|1(?:\.0*)?", given.get("gpu-memory-utilization", "")):
        found["gpu-memory-utilization"] = float(given["gpu-memory-utilization"])
    for name, known in _PLANNED.items():
        if text := known.get(given.get(name, "")):
            found[name] = text
    names = {"data-parallel-size": "data_parallel"}
    return {names.get(each, each.replace("-", "_")): value for each, value in found.items()}


def parallel_args(gpus: int, nodes: int, args: Sequence[str]) -> VllmArgs:
    """Return how a replica is split, as far as the arguments do not say it themselves.

    Args:
        gpus: Of each pod.
        nodes: Pods.
        args: The caller's.

    Raises:
        InputError: They ask for other GPUs than there are, or for engines in other pods.
    """
    given = dict(_groups(args))
    _check_apart(given, nodes)
    data, stages = (_number(given, DATA), _number(given, PIPELINE))
    stages = stages or nodes
    rest = gpus * nodes // ((data or 1) * stages)
    tensor = _number(given, TENSOR) or max(rest, 1)
    _check_sum(gpus, nodes, tensor * stages * (data or 1), given)
    return VllmArgs(
        tensor_parallel_size=tensor if tensor > 1 and TENSOR not in given else None,
        pipeline_parallel_size=stages if stages > 1 and PIPELINE not in given else None,
    )


def _check_apart(given: dict[str, tuple[str, ...]], nodes: int) -> None:
    if named := sorted(given.keys() & (_NODES | _APART)):
        remedy = "nodes says how many a replica spans"
        raise InputError("read vLLM arguments", f"--{named[0]}", "carferry sets it", remedy)
    if nodes > 1 and _number(given, DATA) > 1:
        reason = "carferry serves data parallel within one pod alone"
        remedy = "write nodes 1, or leave it out: nodes are stages of a pipeline"
        raise InputError("read vLLM arguments", f"--{DATA}", reason, remedy)
    if nodes > 1 and PIPELINE in given and _number(given, PIPELINE) % nodes:
        reason, remedy = f"no multiple of {nodes} nodes", "leave it out"
        raise InputError("read vLLM arguments", f"--{PIPELINE}", reason, remedy)


def _check_sum(gpus: int, nodes: int, wanted: int, given: dict[str, tuple[str, ...]]) -> None:
    named = [f"--{each}" for each in (TENSOR, PIPELINE, DATA) if each in given]
    if named and gpus and wanted > gpus * nodes:
        reason = f"that takes {wanted} GPUs, and a replica has {gpus * nodes}"
        remedy = f"write gpu_count {wanted}, or leave it out" if nodes == 1 else "leave it out"
        raise InputError("read vLLM arguments", " ".join(named), reason, remedy)


def _number(given: dict[str, tuple[str, ...]], name: str) -> int:
    """Return a flag's number; 0 if it is not given."""
    if name not in given:
        return 0
    words, text = given[name], _value(given[name])
    if not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise InputError("read vLLM arguments", " ".join(words)[:80], "not a count of GPUs")
    return int(text)


def _value(words: Sequence[str]) -> str:
    """Return what a flag is set to; empty for a switch."""
    return words[0].partition("=")[2] or (words[1] if len(words) > 1 else "")


def _groups(args: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each flag by its full name, with the words that belong to it."""
    starts = [n for n, each in enumerate(args) if _FLAG.match(each)]
    if args and (not starts or starts[0]):
        yield "", tuple(args[: starts[0] if starts else len(args)])
    for start, end in pairwise([*starts, len(args)]):
        yield _name(args[start]), tuple(args[start:end])


def _name(word: str) -> str:
    flag = word.partition("=")[0].partition(".")[0].replace("_", "-")
    name = flag.lstrip("-")
    return name.removeprefix("no-") if flag.startswith("--") else _SHORT.get(name, name)
