"""Server-side apply as our Kubernetes API server does it: leaves with owners, lists as wholes.

Simpler than the real one, which merges some lists by key; what it keeps is the behaviour a
client must be ready for: conflicts, taking over by force, and removal of what is no longer sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

Object = dict[str, Any]
Path = tuple[str, ...]


class Conflict(Exception):
    """Another manager owns fields that were sent with another value."""


def merge(
    live: Object, sent: Object, manager: str, owners: dict[str, str], *, force: bool
) -> Object:
    """Return live with what manager sent; owners (leaf path to manager) is brought up to date."""
    leaves = dict(_leaves(sent))
    taken = {
        path: owners[_text(path)]
        for path, value in leaves.items()
        if owners.get(_text(path), manager) != manager and _at(live, path) != value
    }
    if taken and not force:
        raise Conflict(_message(taken))
    result = deepcopy(live)
    for text in [text for text, owner in owners.items() if owner == manager]:
        if tuple(text.split("\0")) not in leaves:
            _remove(result, tuple(text.split("\0")))
            del owners[text]
    for path, value in leaves.items():
        _put(result, path, deepcopy(value))
        if path in taken or _text(path) not in owners:
            owners[_text(path)] = manager
    return result


def _leaves(value: Object, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, each in value.items():
        if isinstance(each, dict) and each:
            yield from _leaves(each, (*path, key))
        else:
            yield (*path, key), each


def _text(path: Path) -> str:
    return "\0".join(path)


def _at(obj: Object, path: Path) -> Any:
    found: Any = obj
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _put(obj: Object, path: Path, value: Any) -> None:
    for key in path[:-1]:
        obj = obj.setdefault(key, {})
    obj[path[-1]] = value


def _remove(obj: Object, path: Path) -> None:
    for key in path[:-1]:
        obj = obj.get(key, {})
    obj.pop(path[-1], None)


def _message(taken: dict[Path, str]) -> str:
    count = len(taken)
    said = ", ".join(
        f'conflict with "{who.split()[0]}": .{".".join(path)}' for path, who in taken.items()
    )
    return f"Apply failed with {count} conflict{'s' if count > 1 else ''}: {said}"
