"""Who set which field of an object, as the API server keeps it in ``metadata.managedFields``.

Source: Kubernetes documentation, Server-Side Apply; structured-merge-diff (fieldpath/serialize.go):
``f:name`` is a field, ``k:{...}`` the item of a list with those keys, ``v:...`` the item of a set
and ``i:n`` the nth item; ``.`` stands for the item itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
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


def applied_at(obj: Object, manager: str = FIELD_MANAGER) -> str:
    """Return when a manager last changed an object, as the server writes it; empty: it has not."""
    return max((str(e.get("time") or "") for e in _entries(obj) if e.get("manager") == manager),
               default="")  # fmt: skip


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


def owned(obj: Object, manager: str) -> Object:
    """Return what a manager has applied of an object, fit to be applied again by it.

    So an earlier state comes back without what KServe, webhooks and people added.

    Args:
        obj: As the API server returned it, with ``managedFields``.
        manager: As it named itself when it applied.
    """
    name = obj["metadata"]["name"]
    made: Object = {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": {"name": name},
    }
    if space := obj["metadata"].get("namespace"):
        made["metadata"]["namespace"] = space
    held = [entry for entry in _entries(obj) if not entry.get("subresource")]
    # What a webhook changed of our request is booked under our name too, as an Update.
    ours = [e for e in held if e.get("manager") == manager and e.get("operation") == "Apply"]
    others = [entry.get("fieldsV1") or {} for entry in held if entry not in ours]
    for entry in ours:
        _merge(made, _picked(obj, entry.get("fieldsV1") or {}, others))
    return made


def _picked(value: Any, fields: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> Any:
    """Return the parts of a value that are named; all of it if none is.

    But of a map that was applied empty nothing: what is in it, others own part by part.
    """
    named = {key: below for key, below in fields.items() if key != "."}
    if not named:
        is_theirs = isinstance(value, dict) and any({*each} - {"."} for each in others)
        return {} if is_theirs else value
    inside = {key: [each[key] for each in others if key in each] for key in named}
    if isinstance(value, dict):
        kept = {key: below for key, below in named.items() if key[2:] in value}
        return {key[2:]: _picked(value[key[2:]], kept[key], inside[key]) for key in kept}
    if isinstance(value, list):
        return [
            part for key, below in named.items() for part in _items(value, key, below, inside[key])
        ]
    return value


def _items(
    values: list[Any], key: str, fields: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> list[Any]:
    """Return the items of a list that a key (``k:{...}``) or a value (``v:...``) names."""
    kind, _, text = key.partition(":")
    wanted = json.loads(text)
    if kind == "v":
        return [each for each in values if each == wanted]
    found = [each for each in values if all(each.get(k) == v for k, v in wanted.items())]
    return [{**wanted, **_picked(each, fields, others)} for each in found]


def _merge(into: Object, more: Object) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into.setdefault(key, value)
