"""JSON Schema (2020-12) of results, made from their types and docstrings.

A dataclass gives what ``asdict`` makes of it, all of its fields and no other; a TypedDict the
keys that it names. Descriptions are the docstrings' own.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser

from carferry.pipelines.reference.documents.choices import (
    CHOICES,
    LEFT_OUT,
    MORE,
    PATTERNS,
    SIGNED,
)

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def document(kind: Any, title: str) -> Schema:
    """Return the schema of a whole document of a type."""
    known: dict[str, Schema] = {}
    made = _of(kind, known)
    ordered = {name: known[name] for name in sorted(known)}
    return {"$schema": DIALECT, "title": title, **made} | ({"$defs": ordered} if known else {})


def _of(kind: Any, known: dict[str, Schema]) -> Schema:
    """Return the schema of a type; of a class a reference, and the class among those known."""
    if kind in _PLAIN:
        return {"type": _PLAIN[kind], **({"minimum": 0} if kind is int else {})}
    if kind is Any:
        return {}
    origin = get_origin(kind)
    if origin is not None:
        return _of_generic(origin, get_args(kind), known)
    if issubclass(kind, Enum):
        return {"enum": [each.value for each in kind]}
    if kind.__name__ not in known:
        known[kind.__name__] = {}  # one that holds itself refers to it
        known[kind.__name__] = _of_class(kind, known)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _of_generic(origin: Any, given: tuple[Any, ...], known: dict[str, Schema]) -> Schema:
    if origin is Literal:
        return {"enum": list(given)}
    if origin in (Union, types.UnionType):
        parts = [_of(each, known) for each in given]
        if all(list(part) == ["type"] for part in parts):
            return {"type": [part["type"] for part in parts]}
        return {"anyOf": parts}
    if issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of(given[1], known)}
    if origin is tuple and given[-1] is not Ellipsis:
        items = [_of(each, known) for each in given]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if issubclass(origin, Sequence):
        return {"type": "array", "items": _of(given[0], known)}
    raise TypeError(f"no schema of {origin}")


def _of_class(kind: type, known: dict[str, Schema]) -> Schema:
    """Return the schema of a dataclass or a TypedDict."""
    hints, about = get_type_hints(kind), _about(kind)
    names = [each.name for each in fields(kind)] if is_dataclass(kind) else list(hints)
    made = {
        name: _described(_field(kind, name, hints[name], known), about.get(name, ""))
        for name in names
        if name not in LEFT_OUT.get(kind, ())
    }
    for name in MORE.get(kind, ()):
        getter = getattr(kind, name).fget
        hint = get_type_hints(getter)["return"]
        made[name] = _described(_of(hint, known), _line(inspect.getdoc(getter) or ""))
    optional: frozenset[str] = vars(kind).get("__optional_keys__", frozenset())
    return {
        "type": "object",
        "description": _line((inspect.getdoc(kind) or "").partition("\n")[0]),
        "properties": made,
        "required": [name for name in made if name not in optional],
        "additionalProperties": False,
    }


def _field(kind: type, name: str, hint: Any, known: dict[str, Schema]) -> Schema:
    if choices := CHOICES.get((kind, name)):
        return {"enum": list(choices)}
    made = _of(hint, known)
    if (kind.__name__, name) in SIGNED:
        made.pop("minimum")
    pattern = PATTERNS.get(f"{kind.__name__}.{name}") or PATTERNS.get(name)
    if hint is str and pattern:
        made["pattern"] = pattern
    return made


def _described(made: Schema, about: str) -> Schema:
    return {"description": about, **made} if about else made


def _about(kind: type) -> dict[str, str]:
    doc = docstring_parser.parse(inspect.getdoc(kind) or "")
    return {each.arg_name: _line(each.description or "") for each in doc.params}


def _line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())
