"""The library inside a component: import closure, shrunk sources, one archive, one bootstrap.

A lightweight component is one Python string that the pod writes to a file and imports. kfp can
embed a folder in it, but with timestamps and zlib's bytes, so no two machines compile the same
YAML. Here every byte is a function of the library's sources alone (docs/adr/0010-embedding.md).
"""

from __future__ import annotations

import ast
import base64
import bz2
import io
import json
import sys
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from carferry.errors import InputError

LIBRARY = "carferry"
MAX_ARCHIVE = 64 * 1024
"""Base64 characters per component; a driver passes the whole container spec as one argument."""
MAX_SOURCE = 120 * 1024
"""Bytes per component source; Linux ends one argument at 128 KiB (MAX_ARG_STRLEN)."""

_BOOTSTRAP = '''\
def _carferry_library(archive):
    """Unpack the library where this user may write and make it importable."""
    import atexit, base64, bz2, json, os, pathlib, shutil, sys, tempfile

    try:
        root = tempfile.mkdtemp(prefix="carferry-")
    except OSError:
        root = tempfile.mkdtemp(prefix="carferry-", dir=os.path.expanduser("~"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    for name, text in json.loads(bz2.decompress(base64.b64decode(archive))).items():
        path = pathlib.Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    sys.path.insert(0, root)


_carferry_library("""
%s""")

'''


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


def pack(sources: Mapping[str, str]) -> str:
    """Return modules, text by dotted name, as base64 of 76 characters a line.

    Raises:
        InputError: More than MAX_ARCHIVE characters, or a source that is not ASCII.
    """
    files = {str(_relative(name)): shrink(text) for name, text in sources.items()}
    document = json.dumps(dict(sorted(files.items())), separators=(",", ":"))
    text = base64.encodebytes(bz2.compress(document.encode("ascii"), 9)).decode("ascii")
    if len(text) > MAX_ARCHIVE:
        raise InputError(
            "embed library",
            f"{len(sources)} modules",
            f"{len(text)} characters of base64, at most {MAX_ARCHIVE}",
            "compile with --image, or import less",
        )
    return text


def bootstrap(archive: str) -> str:
    """Return Python source that unpacks an archive and puts it first on ``sys.path``."""
    return _BOOTSTRAP % archive


@cache
def shrink(source: str) -> str:
    """Drop comments and docstrings, keep every line's number, so that tracebacks point right.

    Works on positions, not on re-printed syntax: ``ast.unparse`` differs between Pythons.
    """
    lines = source.split("\n")
    cuts = [*_docstrings(source), *_comments(source)]
    for row, column, end_row, end_column, filler in sorted(cuts, reverse=True):
        head, tail = lines[row][:column], lines[end_row][end_column:]
        lines[row : end_row + 1] = [(head + filler + tail).rstrip(), *[""] * (end_row - row)]
    return "\n".join(lines).rstrip() + "\n"


@cache
def source_of(module: str) -> str:
    """Return the source text of a library module.

    Raises:
        InputError: It holds a character outside ASCII; the dashboard's database refuses those.
    """
    text = _file(module).read_text(encoding="utf-8")
    if not text.isascii():
        raise InputError("embed library", module, "holds characters outside ASCII")
    return text


def _docstrings(source: str) -> Iterator[tuple[int, int, int, int, str]]:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, holders):
            for statement in node.body:
                value = statement.value if isinstance(statement, ast.Expr) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield _span(value)


def _span(node: ast.Constant) -> tuple[int, int, int, int, str]:
    end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
    return node.lineno - 1, node.col_offset, end_line - 1, end_column, '""'


def _comments(source: str) -> Iterator[tuple[int, int, int, int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start[0] - 1, token.start[1]
            yield row, column, row, token.end[1], ""


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
    package = _root().joinpath(*module.split(".")[1:])
    inside = package / "__init__.py"
    return inside if inside.is_file() else package.with_suffix(".py")


def _relative(module: str) -> Path:
    return Path(LIBRARY) / _file(module).relative_to(_root())


@cache
def _root() -> Path:
    spec = find_spec(LIBRARY)
    if spec is None or spec.origin is None:
        raise InputError("embed library", LIBRARY, "not installed as files")
    return Path(spec.origin).parent
