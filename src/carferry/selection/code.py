"""Code that a model brings: the files its configs name, and what those import from beside them.

Nothing is run. Source: transformers ``dynamic_module_utils``: ``auto_map`` values are
``module.Class`` or, for code of another repository, ``org/name--module.Class``; relative imports
are followed, all others must be installed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from posixpath import dirname, join, normpath
from typing import Any

from carferry.selection.reading import Reader

CONFIGS = (
    "config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json",
    "video_preprocessor_config.json", "image_processor_config.json", "generation_config.json",
)  # fmt: skip
_MOST_FILES = 200
_CAP_BYTES = 4 * 1024 * 1024
_IMPORT = re.compile(r"^\s*from\s+\.([\w.]*)\s+import\s+([\w, ]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Code:
    """What code a model needs.

    Attributes:
        files: Paths in the repository.
        missing: Paths that a config names and that are not there.
        elsewhere: Repositories that hold the rest.
    """

    files: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def is_any(self) -> bool:
        """Whether a server must be allowed to run code of the model."""
        return bool(self.files or self.elsewhere or self.missing)


def find_code(configs: Iterable[Mapping[str, Any]], reader: Reader) -> Code:
    """Return the code that configs name, with what it imports from beside it."""
    named = sorted({reference for config in configs for reference in _references(config)})
    elsewhere = {name.partition("--")[0] for name in named if "--" in name}
    modules = [name.rpartition(".")[0] for name in named if "--" not in name]
    paths = sorted({f"{module.replace('.', '/')}.py" for module in modules if module})
    there = [path for path in paths if path in reader.files]
    missing = tuple(path for path in paths if path not in reader.files)
    return Code(frozenset(_with_imports(there, reader)), missing, tuple(sorted(elsewhere)))


def _references(node: object) -> Iterator[str]:
    """Yield every class that an ``auto_map`` names, at whatever depth of a config."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _texts(value) if key == "auto_map" else _references(value)


def _texts(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)


def _with_imports(paths: list[str], reader: Reader) -> set[str]:
    found: set[str] = set()
    new = set(paths)
    while new and len(found) < _MOST_FILES:
        found |= new
        bodies = reader.bytes_of(sorted(new), _CAP_BYTES)
        named = {near for path, data in bodies.items() for near in _imported(path, data)}
        new = {path for path in named if path in reader.files} - found
    return found


def _imported(path: str, data: bytes) -> Iterator[str]:
    """Yield the files that a module's relative imports may mean."""
    for level, module, names in _relative(data):
        package = normpath(join(dirname(path), *[".."] * (level - 1)))
        base = normpath(join(package, *module.split("."))) if module else package
        for target in (base, *(join(base, name) for name in names)):
            yield normpath(f"{target}.py")
            yield normpath(f"{target}/__init__.py")


def _relative(data: bytes) -> list[tuple[int, str, list[str]]]:
    """Return level, module and names of each relative import, of code that may be broken."""
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        text = data.decode(errors="replace")
        return [(1, found[1], re.findall(r"\w+", found[2])) for found in _IMPORT.finditer(text)]
    return [
        (node.level, node.module or "", [each.name for each in node.names])
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
