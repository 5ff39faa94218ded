"""Read the arguments of vLLM's server out of its sources, without importing them.

``python read_arguments.py SOURCES... > vllm/vllm/standin/arguments.json``, each an unpacked sdist
of vLLM (``pip download --no-binary :all: --no-deps vllm==X``), oldest first; the folder's name is
its version. An argument that was gone for a while counts as there.

An argument's kind follows from the annotation of the setting behind it, as `get_kwargs` of
``vllm/engine/arg_utils.py`` decides it: ``flag`` (``--x`` and ``--no-x``), ``switch`` (``--x``
alone), ``int``, ``float``, ``many`` (one word or more), ``maybe`` (a word or none), else ``text``.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

Kinds = dict[str, str]
_ENGINE = "vllm/engine/arg_utils.py"
_FRONT = "def make_arg_parser"  # its module has moved
_ACTIONS = {"'store_true'": "switch", "argparse.BooleanOptionalAction": "flag"}
# Customized after they were derived: one JSON text each, or one word at a time.
_SINGLE = {"allowed-origins", "allowed-methods", "allowed-headers", "middleware"}
_SIZES = ("max_model_len", "max_num_batched_tokens", "kv_cache_memory_bytes")


def main(folders: list[str]) -> None:
    """Print a row for each argument: its name, its kind, the first and the last version."""
    found = {Path(each).name: read(Path(each)) for each in folders}
    versions = list(found)
    rows = {}
    for number, kinds in enumerate(found.values()):
        for row in kinds.items():
            first, _ = rows.get(row, (number, number))
            rows[row] = (first, number)
    lines = [
        json.dumps([*row, versions[first], versions[last]])
        for row, (first, last) in sorted(rows.items())
    ]
    print(json.dumps({"versions": versions})[:-1] + ',\n "arguments": [')
    print(",\n".join(lines) + "\n]}")


def read(sources: Path) -> Kinds:
    """Return each argument's name, without dashes, and its kind."""
    settings = dict(_settings(sources))
    kinds: Kinds = {}
    for path in (sources / _ENGINE, _front(sources)):
        tree = ast.parse(path.read_text())
        classes = [each for each in ast.walk(tree) if isinstance(each, ast.ClassDef)]
        for found in classes:
            if found.name in ("FrontendArgs", "BaseFrontendArgs"):
                kinds |= {name.replace("_", "-"): kind for name, kind in _fields(found)}
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "add_argument":
                kinds |= dict(_argument(call, settings))
    return dict(sorted((kinds | dict.fromkeys(_SINGLE, "text")).items()))


def _front(sources: Path) -> Path:
    paths = (sources / "vllm/entrypoints").rglob("cli_args.py")
    return next(path for path in paths if _FRONT in path.read_text())


def _settings(sources: Path) -> Iterator[tuple[str, str]]:
    """Yield the kind of each setting of each class, as ``Class.name``."""
    paths = [*(sources / "vllm/config").rglob("*.py"), sources / _ENGINE]
    for path in [*paths, *(sources / "vllm").glob("config.py")]:
        for found in ast.walk(ast.parse(path.read_text())):
            if isinstance(found, ast.ClassDef):
                for name, kind in _fields(found):
                    yield f"{found.name}.{name}", kind


def _fields(found: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for line in found.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            yield line.target.id, _kind(line.target.id, ast.unparse(line.annotation))


def _kind(name: str, annotation: str) -> str:
    words = set(re.findall(r"\w+", annotation))
    if words == {"bool", "str", "None"}:
        return "maybe"
    if "bool" in words:
        return "flag"
    if words & {"Literal", "dict", "Dict"}:
        return "text"
    if words & {"tuple", "list", "set", "List", "Tuple", "Set", "Sequence"}:
        return "many"
    for kind in ("int", "float"):
        if kind in words:
            return "text" if name in _SIZES else kind
    return "text"


def _argument(call: ast.Call, settings: Kinds) -> Iterator[tuple[str, str]]:
    texts = [each.value for each in call.args if isinstance(each, ast.Constant)]
    names = [str(each) for each in texts if str(each).startswith("-")]
    kind = "text"
    for word in call.keywords:
        if word.arg is None:
            kind = _looked_up(word.value, settings)
        if word.arg == "action":
            kind = _ACTIONS.get(ast.unparse(word.value), kind)
        if word.arg == "type":
            kind = {"int": "int", "float": "float"}.get(ast.unparse(word.value), kind)
        if word.arg == "nargs":
            kind = "maybe" if ast.unparse(word.value) == "'?'" else "many"
    for name in names:
        yield name.removeprefix("--"), kind


def _looked_up(value: ast.expr, settings: Kinds) -> str:
    """Return the kind behind ``model_kwargs["dtype"]``, also where it is changed in passing."""
    found = [each for each in ast.walk(value) if isinstance(each, ast.Subscript)]
    if not found:
        return "text"
    group = ast.unparse(found[0].value).removesuffix("_kwargs").replace("_", "")
    name = str(getattr(found[0].slice, "value", ""))
    for key, kind in settings.items():
        owner, _, field = key.partition(".")
        if field == name and owner.lower().removesuffix("config").startswith(group):
            return kind
    return settings.get(f"EngineArgs.{name}", "text")


if __name__ == "__main__":
    main(sys.argv[1:])
