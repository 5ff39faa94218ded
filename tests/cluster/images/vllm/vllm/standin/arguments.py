"""vLLM's command line: which arguments a version takes, and its words about others.

The names and kinds are in ``arguments.json``, read out of vLLM's sources by
``read_arguments.py``. Source of the rest: vLLM 0.24 ``utils/argparse_utils.py`` (underscores and
``--a.b c``), ``engine/arg_utils.py`` (what a value that is no number is told).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

VERSION = "0.24.0"
_TABLE = Path(__file__).with_name("arguments.json")
_SIZES = {"max-model-len", "max-num-batched-tokens", "kv-cache-memory-bytes"}
_MULTIPLIERS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
                "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}  # fmt: skip


class Parser(argparse.ArgumentParser):
    """Takes underscores for dashes, and JSON arguments key by key."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """Parse arguments after vLLM's own manner of writing them."""
        given = sys.argv[1:] if args is None else args
        return super().parse_args(_joined([_dashed(each) for each in given]), namespace)


def parser(version: str) -> Parser:
    """Return the parser of a version of vLLM, or of the last one before it that is known."""
    made = Parser(prog="api_server.py", description="vLLM OpenAI-Compatible RESTful API server.")
    made.set_defaults(version=version)
    made.add_argument("model_tag", nargs="?")
    for name, kind in _known(version).items():
        flag = name if name.startswith("-") else f"--{name}"
        if flag.startswith("--"):
            made.add_argument(flag, **_rules(name, kind))
    made.set_defaults(port=made.get_default("port") or 8000)
    return made


def _known(version: str) -> Mapping[str, str]:
    table = json.loads(_TABLE.read_text())
    order = {each: number for number, each in enumerate(table["versions"])}
    here = max((n for each, n in order.items() if _number(each) <= _number(version)), default=0)
    rows = table["arguments"]
    return {name: kind for name, kind, since, until in rows if order[since] <= here <= order[until]}


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _rules(name: str, kind: str) -> dict[str, Any]:
    if kind == "flag":
        return {"action": argparse.BooleanOptionalAction}
    if kind == "switch":
        return {"action": "store_true"}
    if kind == "many":
        return {"nargs": "+"}
    if kind == "maybe":
        return {"nargs": "?", "const": True}
    if name in _SIZES:
        return {"type": _optional(_size)}
    return {"type": _optional({"int": int, "float": float}.get(kind, str))}


def _optional(wanted: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(value: str) -> Any:
        if value in ("", "None"):
            return None
        try:
            return wanted(value)
        except ValueError as error:
            said = f"Value {value} cannot be converted to {wanted}."
            raise argparse.ArgumentTypeError(said) from error

    return read


def _size(value: str) -> int:
    """Read ``4096``, ``4k`` or ``4K``; ``auto`` is -1."""
    if value.strip().lower() in ("-1", "auto"):
        return -1
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGtT])", value.strip())
    return int(float(found[1]) * _MULTIPLIERS[found[2]]) if found else int(value)


def _dashed(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    head, dot, tail = name.partition(".")
    return head.replace("_", "-") + dot + tail + equals + value


def _joined(words: Sequence[str]) -> list[str]:
    """Return words where ``--a.b c`` and ``--a.b=c`` are ``--a {"b": "c"}``."""
    out: list[str] = []
    nested: dict[str, dict[str, Any]] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if not name.startswith("--") or "." not in name:
            out.append(word)
            continue
        flag, _, key = name.partition(".")
        nested.setdefault(flag, {})[key] = value if equals else next(rest, "")
    for flag, keys in nested.items():
        out += [flag, json.dumps(keys)]
    return out
