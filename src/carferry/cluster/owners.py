"""Who set which field of an object, as the API server keeps it in ``metadata.managedFields``.

Source: Kubernetes documentation, Server-Side Apply; structured-merge-diff (fieldpath/serialize.go):
``f:name`` is a field, ``k:{...}`` the item of a list with those keys, ``v:...`` the item of a set
and ``i:n`` the nth item; ``.`` stands for the item itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from carferry.cluster.kinds import Object

FIELD_MANAGER = "carferry"

Step = str | int
"""Of a path into an object: a field's name, or an item's number in its list."""


def applied_by(obj: Object, manager: str = FIELD_MANAGER) -> bool:
    """Say whether a manager has applied an object: an edit of some field is no apply."""
    return any(
        entry.get("manager") == manager and entry.get("operation") == "Apply"
        for entry in _entries(obj)
    )


def applies(obj: Object, path: Sequence[Step], manager: str = FIELD_MANAGER) -> bool:
    """Say whether a manager has applied this very field: left out, it would be removed."""
    return any(
        entry.get("manager") == manager
        and entry.get("operation") == "Apply"
        and _reach(entry.get("fieldsV1") or {}, obj, path) == len(path)
        for entry in _entries(obj)
    )


def managers(obj: Object) -> list[str]:
    """Return all who set fields, but not those who only report a status."""
    found = (str(e.get("manager") or "") for e in _entries(obj) if not e.get("subresource"))
    return [*dict.fromkeys(name for name in found if name)]


def owners(obj: Object, path: Sequence[Step]) -> list[str]:
    """Return who set a field, or the nearest field around it that somebody set as a whole.

    Args:
        obj: As the API server returned it.
        path: From the object's root to the field.
    """
    depths: dict[str, int] = {}
    for entry in _entries(obj):
        name = str(entry.get("manager") or "")
        depth = _reach(entry.get("fieldsV1") or {}, obj, path)
        if name and depth:
            depths[name] = max(depth, depths.get(name, 0))
    deepest = max(depths.values(), default=0)
    return [name for name, depth in depths.items() if depth == deepest]


def without_times(obj: Object) -> list[Object]:
    """Return who owns which fields, comparable between two looks."""
    kept = (
        {key: value for key, value in entry.items() if key != "time"}
        for entry in _entries(obj)
        if not entry.get("subresource")
    )
    return sorted(kept, key=lambda entry: (str(entry.get("manager")), str(entry.get("operation"))))


def _entries(obj: Object) -> Iterator[dict[str, Any]]:
    for entry in obj.get("metadata", {}).get("managedFields") or ():
        if isinstance(entry, dict):
            yield entry


def _reach(fields: Any, value: Any, path: Sequence[Step]) -> int:
    """Return how many steps of a path an owner's fields cover; 0 if they end before its field.

    A field without fields below it is owned as a whole, with all that is in it.
    """
    depth = 0
    for step in path:
        if not isinstance(fields, dict):
            return 0
        if not {*fields} - {"."}:
            return depth
        key = _key(fields, value, step)
        if key is None:
            return 0
        fields, depth = fields[key], depth + 1
        value = _inside(value, step)
    return depth


def _key(fields: dict[str, Any], value: Any, step: Step) -> str | None:
    if isinstance(step, str):
        return f"f:{step}" if f"f:{step}" in fields else None
    item = _inside(value, step)
    return next((key for key in fields if _names(key, item, step)), None)


def _names(key: str, item: Any, number: int) -> bool:
    kind, _, text = key.partition(":")
    if kind == "i":
        return text == str(number)
    try:
        said = json.loads(text)
    except ValueError:
        return False
    if kind == "k" and isinstance(said, dict) and isinstance(item, dict):
        return all(item.get(name) == wanted for name, wanted in said.items())
    return kind == "v" and bool(said == item)


def _inside(value: Any, step: Step) -> Any:
    try:
        return value[step]
    except (LookupError, TypeError):
        return None
