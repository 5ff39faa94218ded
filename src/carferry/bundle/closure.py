"""The library modules and packages that a component's body can reach."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from carferry.errors import InputError

LIBRARY = "carferry"
_STAY_HERE = {
    "__main__",
    "bundle",
    "cli",
    "components",
    "gpu.search.overview",
    "lint",
    "pipelines",
    "runtime",
    "steps.look",
    "steps.looked",
    "steps.runtime",
}
"""Packages and modules that no pod needs."""


@dataclass(frozen=True, slots=True)
class Closure:
    """What a component needs at run time.

    Attributes:
        sources: Text of each library module by dotted name, packages included, sorted.
        packages: Third-party top-level modules they import, sorted.
    """

    sources: Mapping[str, str]
    packages: tuple[str, ...]


def closure(imports: tuple[str, ...]) -> Closure:
    """Follow imports from some names to every library module they can reach.

    Imports inside functions count; those under ``if TYPE_CHECKING`` do not.

    Args:
        imports: Dotted names: modules, or what to take from modules.
    """
    sources: dict[str, str] = {}
    packages: set[str] = set()
    waiting = list(imports)
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if top != LIBRARY:
            packages |= set() if top in sys.stdlib_module_names else {top}
            continue
        for module in _existing(name) - sources.keys():
            sources[module] = source_of(module)
            waiting += _imported_by(sources[module], module)
    return Closure(dict(sorted(sources.items())), tuple(sorted(packages)))


def imported(tree: ast.AST, module: str = "") -> Iterator[str]:
    """Yield the dotted names a syntax tree imports: ``a`` of import a, ``a.b`` of from a import b.

    Args:
        tree: A module, or any part of one.
        module: Its dotted name, for relative imports.
    """
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module)
            yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def everything() -> Mapping[str, str]:
    """Return the text of every library module that a step or a caller's own component may use."""
    found = {}
    for path in sorted(root().rglob("*.py")):
        parts = path.relative_to(root()).with_suffix("").parts
        if not {parts[0], ".".join(parts)} & _STAY_HERE:
            name = ".".join([LIBRARY, *parts]).removesuffix(".__init__")
            found[name] = source_of(name)
    return found


@cache
def source_of(module: str) -> str:
    """Return the source text of a library module.

    Raises:
        InputError: It holds a character outside ASCII; the dashboard's database refuses those.
    """
    text = _file(module).read_text(encoding="utf-8")
    if not text.isascii():
        reason = "holds characters outside ASCII"
        raise InputError("carry library", module, reason, "write them as escapes")
    return text


@cache
def _imported_by(source: str, module: str) -> tuple[str, ...]:
    return tuple(imported(ast.parse(source), module))


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            continue
        yield child
        yield from _runtime_nodes(child)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    inside = _file(module).name == "__init__.py"
    parts = module.split(".")
    kept = parts[: len(parts) - node.level + (1 if inside else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _existing(name: str) -> set[str]:
    """Return the module a name means, or the one it is an attribute of, and every parent."""
    parts = name.split(".")
    prefixes = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return {prefix for prefix in prefixes if _file(prefix).is_file()}


def _file(module: str) -> Path:
    package = root().joinpath(*module.split(".")[1:])
    inside = package / "__init__.py"
    return inside if inside.is_file() else package.with_suffix(".py")


def path_of(module: str) -> Path:
    """Return a module's path inside the library's archive: ``carferry/...``."""
    return Path(LIBRARY) / _file(module).relative_to(root())


@cache
def root() -> Path:
    """Return the folder of the library's sources.

    Raises:
        InputError: They are not files, as in a zip.
    """
    spec = find_spec(LIBRARY)
    if spec is None or spec.origin is None:
        raise InputError("carry library", LIBRARY, "not installed as files")
    return Path(spec.origin).parent
