"""The fields of an object that one manager wrote, as it wrote them.

The API server keeps them as ``managedFields``, so an earlier state can be applied again without
what KServe, webhooks and people added.

Source: kubernetes-sigs/structured-merge-diff, ``fieldpath/serialize.go`` (FieldsV1).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from carferry.cluster.kinds import Object


def owned(obj: Object, manager: str) -> Object:
    """Return what a manager owns of an object, fit to be applied again by it.

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
    for entry in obj["metadata"].get("managedFields") or []:
        if entry.get("manager") == manager and not entry.get("subresource"):
            _merge(made, _picked(obj, entry.get("fieldsV1") or {}))
    return made


def _picked(value: Any, fields: Mapping[str, Any]) -> Any:
    """Return the parts of a value that are named; all of it if none is."""
    named = {key: below for key, below in fields.items() if key != "."}
    if not named:
        return value
    if isinstance(value, dict):
        kept = {key[2:]: below for key, below in named.items() if key[2:] in value}
        return {key: _picked(value[key], below) for key, below in kept.items()}
    if isinstance(value, list):
        return [part for key, below in named.items() for part in _items(value, key, below)]
    return value


def _items(values: list[Any], key: str, fields: Mapping[str, Any]) -> list[Any]:
    """Return the items of a list that a key (``k:{...}``) or a value (``v:...``) names."""
    kind, _, text = key.partition(":")
    wanted = json.loads(text)
    if kind == "v":
        return [each for each in values if each == wanted]
    found = [each for each in values if all(each.get(k) == v for k, v in wanted.items())]
    return [{**wanted, **_picked(each, fields)} for each in found]


def _merge(into: Object, more: Object) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into.setdefault(key, value)
