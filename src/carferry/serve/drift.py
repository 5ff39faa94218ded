"""What a deployment would change of an object that is there: field by field, and whose they are.

The server itself says what the object would be (a dry run), so what admission and defaults add
is no difference. Values that may be secrets are not shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carferry.cluster.kinds import Object
from carferry.cluster.owners import FIELD_MANAGER, Step, owners, without_times
from carferry.serve.masks import HIDDEN, shown
from carferry.shown import printable

# The server's own book-keeping, which is another after every write.
_KEPT_BY_SERVER = (
    "managedFields",
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "selfLink",
)
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One field that would become another.

    Attributes:
        field: As in ``spec.predictor.maxReplicas``.
        old: Its value, fit to be shown; ``none`` if it is not there.
        new: What it would be.
        managers: Who else set it; of a field that is not there nobody has.
        is_free: Nobody loses by it: it is not there, or carferry alone set it.
    """

    field: str
    old: str
    new: str
    managers: tuple[str, ...] = ()
    is_free: bool = False

    def __str__(self) -> str:
        """Return ``field: old -> new (set by whom)``."""
        whose = f" (set by {', '.join(self.managers)})" if self.managers else ""
        return f"{self.field}: {self.old} -> {self.new}{whose}"


def changes(live: Object, planned: Object) -> tuple[Change, ...]:
    """Return the fields in which an object would differ, in the object's order.

    Args:
        live: As the API server holds it.
        planned: As it would hold it.
    """
    hides = live.get("kind") == "Secret"
    found = _differences(_own(live), _own(planned), ())
    return tuple(_change(live, path, old, new, hides) for path, old, new in found)


def is_same(live: Object, planned: Object) -> bool:
    """Say whether applying would change nothing, not even who owns a field."""
    same_owners = without_times(live) == without_times(planned)
    return same_owners and _own(live) == _own(planned)


def _own(obj: Object) -> Object:
    metadata = {k: v for k, v in obj.get("metadata", {}).items() if k not in _KEPT_BY_SERVER}
    return {key: value for key, value in obj.items() if key != "status"} | {"metadata": metadata}


def _differences(
    old: Any, new: Any, path: tuple[Step, ...]
) -> Iterator[tuple[tuple[Step, ...], Any, Any]]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            inside = old.get(key, _ABSENT), new.get(key, _ABSENT)
            yield from _differences(*inside, (*path, str(key)))
    elif _are_alike(old, new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            yield from _differences(*pair, (*path, number))
    else:
        yield path, old, new


def _are_alike(old: Any, new: Any) -> bool:
    """Say whether two lists hold the same items, which are told apart by their names."""
    if not (isinstance(old, list) and isinstance(new, list)) or len(old) != len(new):
        return False
    return all(
        isinstance(one, dict) and isinstance(other, dict) and one.get("name") == other.get("name")
        for one, other in zip(old, new, strict=True)
    )


def _change(live: Object, path: tuple[Step, ...], old: Any, new: Any, hides: bool) -> Change:
    hides = hides and path[0] in ("data", "stringData")
    name = _named(live, path)

    def text(value: Any) -> str:
        return "none" if value is _ABSENT else HIDDEN if hides else shown(value, name)

    # Whoever set a list as a whole has not set a field that an item of it lacks.
    whose = [] if old is _ABSENT else owners(live, path)
    others = tuple(each for each in whose if each != FIELD_MANAGER)
    is_free = old is _ABSENT or whose == [FIELD_MANAGER]
    return Change(_written(live, path), text(old), text(new), others, is_free)


def _named(live: Object, path: Sequence[Step]) -> str:
    """Return the name that a field's value goes by: of its variable, or its own."""
    if len(path) >= 2 and path[-1] == "value" and isinstance(path[-2], int):
        return _label(live, path[:-1])
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def _written(live: Object, path: Sequence[Step]) -> str:
    """Return a path as people write it; a named item of a list by its name."""
    text = ""
    for end, step in enumerate(path, 1):
        if isinstance(step, int):
            text += f"[{_label(live, path[:end])}]"
        elif "." in step or "/" in step:
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return printable(text)


def _label(live: Any, path: Sequence[Step]) -> str:
    value = live
    for step in path:
        try:
            value = value[step]
        except (LookupError, TypeError):
            return str(path[-1])
    return str(value.get("name", path[-1])) if isinstance(value, dict) else str(path[-1])
