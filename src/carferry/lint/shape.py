"""Check a document against the table of its fields: types at once, unknown fields on request.

The backend reads with protobuf's JSON rules: a value of another type is an error on every release,
null is nothing, and names may be written ``like_this``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from carferry.errors import InputError
from carferry.lint.fields import LATER, MESSAGES, PARAMETER_TYPES
from carferry.lint.targets import Backend

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 64
_SNAKE = re.compile(r"_([a-z])")
_VALUES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "flag": (bool,),
    "struct": (dict,),
    "ParameterType": (str,),
}
_NAMES = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    dict: "a map",
    list: "a list",
    type(None): "nothing",
}


def clean(value: Any, kind: str, path: str) -> Any:
    """Return a value of the type that the table says, names in camel case, without nulls.

    Args:
        value: What the YAML holds there.
        kind: A type of ``fields``.
        path: Its place in the document, for the error: ``root.dag.tasks``.

    Raises:
        InputError: A value of another type.
    """
    if kind == "any":
        return value
    if kind.startswith("["):
        return [clean(v, kind[1:-1], f"{path}[{i}]") for i, v in enumerate(_of(value, list, path))]
    if kind.startswith("{"):
        items = _of(value, dict, path).items()
        return {k: clean(v, kind[1:-1], f"{path}.{k}") for k, v in items if v is not None}
    if kind in _VALUES:
        return _value(value, kind, path)
    known = MESSAGES[kind]
    made: dict[str, Any] = {}
    for key, inner in _of(value, dict, path).items():
        name = key if key in known else _SNAKE.sub(lambda found: found[1].upper(), key)
        if inner is not None:
            made[name if name in known else key] = clean(
                inner, known.get(name, "any"), f"{path}.{name}".removeprefix(".")
            )
    return made


def _value(value: Any, kind: str, path: str) -> Any:
    wanted = _VALUES[kind]
    if kind == "number" and isinstance(value, str) and _is_number(value):
        return int(value) if value.lstrip("+-").isdigit() else float(value)
    if not isinstance(value, wanted) or (kind == "number" and isinstance(value, bool)):
        raise _wrong(value, _NAMES[wanted[0]], path)
    if kind == "ParameterType" and value not in PARAMETER_TYPES:
        raise InputError("read", path, f"{value!r} is no parameter type", "compile it with kfp")
    return value


def _is_number(text: str) -> bool:
    """Return whether a text is a number that JSON holds; Python refuses thousands of digits."""
    found = len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text)
    return bool(found) and math.isfinite(float(text))


def _of(value: Any, wanted: type, path: str) -> Any:
    if not isinstance(value, wanted):
        raise _wrong(value, _NAMES[wanted], path)
    return value


def _wrong(value: Any, wanted: str, path: str) -> InputError:
    found = _NAMES.get(type(value), "something else")
    return InputError("read", path, f"{found} where {wanted} belongs", "compile it with kfp")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A field that a release does not know.

    Attributes:
        path: Its place in the document.
        message: The message it stands in, as the table names it.
        field: Its name.
        value: What it holds.
    """

    path: str
    message: str
    field: str
    value: Any


def unknown(value: Any, kind: str, target: Backend, path: str) -> Iterator[Unknown]:
    """Yield what a target does not know in a cleaned value, in the document's order."""
    if kind.startswith("["):
        for index, inner in enumerate(value):
            yield from unknown(inner, kind[1:-1], target, f"{path}[{index}]")
    elif kind.startswith("{"):
        for key, inner in value.items():
            yield from unknown(inner, kind[1:-1], target, f"{path}.{key}")
    elif kind == "ParameterType":
        if not _known(kind, value, target):
            yield Unknown(path, kind, value, value)
    elif kind in MESSAGES:
        yield from _unknown_fields(value, kind, target, path)


def _unknown_fields(value: Any, kind: str, target: Backend, path: str) -> Iterator[Unknown]:
    for key, inner in value.items():
        inside = f"{path}.{key}".removeprefix(".")
        if key not in MESSAGES[kind] or not _known(kind, key, target):
            yield Unknown(inside, kind, key, inner)
        else:
            yield from unknown(inner, MESSAGES[kind][key], target, inside)


def _known(message: str, name: str, target: Backend) -> bool:
    feature = LATER.get((message, name))
    return feature is None or target.knows(feature)
