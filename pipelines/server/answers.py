"""A server's answers, checked for the form they should have.

The generated client takes a list for an object, makes text of numbers and fails on the rest with
whatever Python raises; a wrong address may answer with anything. So an answer's form is checked
against the client's own tables first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kfp_server_api import models

JsonObject = dict[str, Any]
_LIST = re.compile(r"list\[(.+)\]")
_TABLE = re.compile(r"dict\(\w+, (.+)\)")
_FORMS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "str": (str, int, float),  # 64-bit numbers are text in the API, but not of every server
    "datetime": str,
    "int": (int, float),
    "float": (int, float),
    "bool": bool,
    "object": object,
    "ProtobufAny": object,  # its one field is text or any JSON, as the type within wants
}
_NAMES = {bool: "a boolean", str: "text", list: "a list", dict: "an object", type(None): "null"}


def mapping(value: object) -> JsonObject:
    """Return a JSON object as it is; anything else counts as one without fields."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[JsonObject]:
    """Return the JSON objects of a list; anything else counts as none."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def misfit(answer: object, kind: str) -> str:
    """Return the first part of an answer that has not the form the generated client expects.

    Args:
        answer: Parsed JSON.
        kind: Type as the client's tables write it: ``V2beta1Run``, ``object``.

    Returns:
        ``the answer's pipelines[0].pipeline_id is a number``; empty if it fits.
    """
    if not isinstance(answer, dict):  # every call of the API answers with an object
        return f"the answer is {_name(answer)}"
    return next(_misfits(answer, kind, ""), "")


def _misfits(value: object, kind: str, place: str) -> Iterator[str]:
    if not isinstance(value, _form(kind)):
        yield f"the answer's {place.lstrip('.')} is {_name(value)}"
        return
    for name, part, its_kind in _parts(value, kind):
        yield from _misfits(part, its_kind, place + name)


def _form(kind: str) -> type | tuple[type, ...]:
    if _LIST.fullmatch(kind):
        return list
    if _TABLE.fullmatch(kind) or _fields(kind):
        return dict
    return _FORMS.get(kind, (str, int))  # an enumeration; of a newer server's values, a number


def _parts(value: Any, kind: str) -> Iterator[tuple[str, object, str]]:
    """Yield name, value and kind of what a value consists of; fields may be missing or null."""
    if match := _LIST.fullmatch(kind):
        yield from ((f"[{n}]", each, match[1]) for n, each in enumerate(value))
    elif match := _TABLE.fullmatch(kind):
        yield from ((f".{name}", each, match[1]) for name, each in value.items())
    else:
        for name, its_kind in _fields(kind):
            if value.get(name) is not None:
                yield f".{name}", value[name], its_kind


def _fields(kind: str) -> list[tuple[str, str]]:
    """Return names in JSON and kinds of an object's fields; none if the kind is no object."""
    model = None if kind in _FORMS else getattr(models, kind, None)
    if model is None:
        return []
    return [
        (model.attribute_map[name], "id" if name.endswith("_id") and kind == "str" else kind)
        for name, kind in model.openapi_types.items()
    ]


def _name(value: object) -> str:
    return _NAMES.get(type(value), "a number")
